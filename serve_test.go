package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/authn"
)

// process is the program, running.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	lines  []string
	more   chan struct{} // has an element when there are more lines, and is closed after the last
	stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("yizhen", args...), more: make(chan struct{}, 1)}
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.more)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}
	}()
	return p
}

// await waits until the program has printed a line that matches, and returns what the group in the pattern matched.
func (p *process) await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(time.Minute)
	for seen, open := 0, true; ; {
		p.mu.Lock()
		for ; seen < len(p.lines); seen++ {
			if m := re.FindStringSubmatch(p.lines[seen]); m != nil {
				p.mu.Unlock()
				return m[1]
			}
		}
		p.mu.Unlock()
		if !open {
			p.t.Fatalf("%v ended without printing %q\n%s", p.cmd.Args, pattern, &p.stderr)
		}
		select {
		case _, open = <-p.more:
		case <-limit:
			p.t.Fatalf("%v did not print %q in a minute", p.cmd.Args, pattern)
		}
	}
}

// stop asks the program to stop, and fails the test unless it does so in order.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	for range p.more {
		continue // its output has to be read to the end before Wait
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%v ended with %v\n%s", p.cmd.Args, err, &p.stderr)
	}
}

// callREST sends a request and returns the status and body of the answer.
func callREST(t *testing.T, client *http.Client, method, url, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

const zezhou = `{"titleZh": "泽州县", "titleEn": "Zezhou"}`

func TestServeKeepsItsRecords(t *testing.T) {
	args := []string{
		"serve", "--store", "bolt://" + t.TempDir(), "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
		"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0", "--access-listen", "127.0.0.1:0",
	}
	p := start(t, args...)
	url, token := p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
	if status, body := callREST(t, http.DefaultClient, "POST", url+"/v1/divisions?division_id=140525", token, zezhou); status != http.StatusOK {
		t.Fatalf("a division is created with status %d: %s", status, body)
	}
	if status, _ := callREST(t, http.DefaultClient, "GET", url+"/v1/divisions/140525", "guess", ""); status != http.StatusUnauthorized {
		t.Errorf("a guessed token is answered with status %d", status)
	}
	p.stop()

	p = start(t, args...)
	url, token = p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
	if status, body := callREST(t, http.DefaultClient, "GET", url+"/v1/divisions/140525", token, ""); status != http.StatusOK || !strings.Contains(body, "Zezhou") {
		t.Errorf("after a restart the division is answered with status %d: %s", status, body)
	}
	p.stop()
}

func TestServicesApartSpeakTLS(t *testing.T) {
	folder := t.TempDir()
	certificate, key, authority := writeCertificate(t, folder)
	token := "a token of this test"
	credentials := filepath.Join(folder, "credentials.yaml")
	entry := fmt.Sprintf("principals: [{name: admin, token_sha256: %s, permissions: ['*'], division: '140000'}]\n", authn.Digest(token))
	if err := os.WriteFile(credentials, []byte(entry), 0o600); err != nil {
		t.Fatal(err)
	}
	// Each service goes by a configuration file, the others by flags: they say the same things.
	config := filepath.Join(folder, "yizhen.yaml")
	settings := fmt.Sprintf("listen: 127.0.0.1:0\nstore: bolt://%s\ntls-cert: %s\ntls-key: %s\ncredentials: %s\n", folder, certificate, key, credentials)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	town := start(t, "town", "--config", config)
	townAddr := town.await(`^town answers gRPC on (\S+)`)
	project := start(t, "project", "--config", config, "--town-addr", townAddr, "--peer-ca", authority)
	gateway := start(t, "gateway", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key, "--peer-ca", authority,
		"--town-addr", townAddr, "--project-addr", project.await(`^project answers gRPC on (\S+)`))
	url := "https://" + gateway.await(`answers HTTP on (\S+)`)

	pool := x509.NewCertPool()
	trusted, err := os.ReadFile(authority)
	if err != nil || !pool.AppendCertsFromPEM(trusted) {
		t.Fatal("no authority", err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if status, body := callREST(t, client, "POST", url+"/v1/divisions?division_id=140525", token, zezhou); status != http.StatusOK {
		t.Errorf("a division is created with status %d: %s", status, body)
	}
	if status, body := callREST(t, client, "GET", url+"/v1/projects", token, ""); status != http.StatusOK {
		t.Errorf("projects are listed with status %d: %s", status, body)
	}
	// The fund does not run: what it is asked is refused, by name, and nothing else suffers.
	if status, body := callREST(t, client, "GET", url+"/v1/budgets", token, ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "fund") {
		t.Errorf("budgets of a fund that does not run are answered with status %d: %s", status, body)
	}
	for _, p := range []*process{gateway, project, town} {
		p.stop()
	}
}

// writeCertificate writes a certificate for loopback, its key, and the certificate again as its own authority.
func writeCertificate(t *testing.T, folder string) (certificate, key, authority string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "yizhen test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certificate = write("server.pem", "CERTIFICATE", der)
	return certificate, write("server.key", "PRIVATE KEY", secret), certificate
}
