package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/yizhen/yizhen/pkg/authn"
)

// setting is a line of what `yizhen settings` prints.
type setting struct{ command, key, env string }

// settings asks the program for every setting that it has, and checks a configuration file on the way.
func settings(t *testing.T, config string) (found []setting) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(context.Background(), []string{"settings", "--config", config}, &out, &errs); status != 0 {
		t.Fatalf("yizhen settings --config %s: status %d\n%s", config, status, &errs)
	}
	for line := range strings.Lines(out.String()) {
		if cells := strings.Fields(line); len(cells) >= 3 && strings.HasPrefix(cells[1], "--") {
			found = append(found, setting{cells[0], strings.TrimPrefix(cells[1], "--"), cells[2]})
		}
	}
	if len(found) == 0 {
		t.Fatalf("no settings in\n%s", &out)
	}
	return found
}

// served are the commands that somebody deploys.
var served = []string{"(all)", "serve", "town", "project", "fund", "assessment", "access", "gateway"}

// TestSampleConfiguration takes the # away from every setting in the sample: the program has to know each, and the sample
// has to have each that the program knows.
func TestSampleConfiguration(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join("deploy", "config", "yizhen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	uncommented := regexp.MustCompile(`(?m)^#([^#])`).ReplaceAll(sample, []byte("$1"))
	path := filepath.Join(t.TempDir(), "yizhen.yaml")
	if err := os.WriteFile(path, uncommented, 0o600); err != nil {
		t.Fatal(err)
	}
	known := settings(t, path)
	var file map[string]any
	if err := yaml.Unmarshal(uncommented, &file); err != nil {
		t.Fatal(err)
	}
	for _, s := range known {
		section, _ := file[s.command].(map[string]any)
		if _, top := file[s.key]; !top && section[s.key] == nil && slices.Contains(served, s.command) {
			t.Errorf("the sample has no %s for %s", s.key, s.command)
		}
	}
}

// TestDeploymentsSetWhatThereIs looks for environment variables in the units and the compose file that the command they
// start does not read.
func TestDeploymentsSetWhatThereIs(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reads := map[string]map[string]bool{}
	for _, s := range settings(t, empty) {
		if reads[s.command] == nil {
			reads[s.command] = map[string]bool{}
		}
		reads[s.command][s.env] = true
	}
	check := func(where, command, env string) {
		if reads[command] == nil {
			t.Errorf("%s starts %q, which is no command", where, command)
		} else if !reads[command][env] && !reads["(all)"][env] {
			t.Errorf("%s sets %s, which yizhen %s does not read", where, env, command)
		}
	}

	units, err := filepath.Glob(filepath.Join("deploy", "systemd", "*.service"))
	if err != nil || len(units) == 0 {
		t.Fatal("no units", err)
	}
	for _, path := range units {
		unit, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		command := regexp.MustCompile(`(?m)^ExecStart=\S+ (\S+)`).FindSubmatch(unit)
		if command == nil {
			t.Fatalf("%s starts nothing", path)
		}
		for _, env := range regexp.MustCompile(`YIZHEN_[A-Z_]+`).FindAll(unit, -1) {
			check(path, string(command[1]), string(env))
		}
	}

	compose, err := os.ReadFile(filepath.Join("deploy", "compose", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(compose, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 5 {
		t.Errorf("the compose file has %d services, and not 5", len(file.Services))
	}
	for name, service := range file.Services {
		where := "compose.yaml, " + name + ","
		for env, value := range service.Environment {
			check(where, service.Command[0], env)
			secret, is := strings.CutPrefix(value, "/run/secrets/")
			if is && (!slices.Contains(service.Secrets, secret) || file.Secrets[secret].File == "") {
				t.Errorf("%s sets %s to a secret that it is not given", where, env)
			}
		}
	}
}

// TestSecretsScript makes certificates and tokens, and looks whether servers could go by them.
func TestSecretsScript(t *testing.T) {
	for _, program := range []string{"bash", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	folder := filepath.Join(t.TempDir(), "secrets")
	if out, err := exec.Command("bash", filepath.Join("deploy", "secrets.sh"), folder, "town.yizhen.example", "10.0.0.7").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.Open(filepath.Join(folder, "credentials.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := authn.ReadCredentials(file); err != nil {
		t.Error(err)
	}
	pem, err := os.ReadFile(filepath.Join(folder, "tls", "ca.pem"))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no authority", err)
	}
	for _, svc := range services() {
		pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls", svc.name+".pem"), filepath.Join(folder, "tls", svc.name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{svc.name, "localhost", "127.0.0.1", "town.yizhen.example", "10.0.0.7"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
				t.Errorf("the certificate of %s: %v", svc.name, err)
			}
		}
		if _, err := os.Stat(filepath.Join(folder, "tokens", svc.name)); err != nil && len(svc.asks) > 0 {
			t.Errorf("%s asks others and has no token: %v", svc.name, err)
		}
	}
}
