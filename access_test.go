package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestIdentityGuide types the commands of the guide into a shell, against a suite of its own.
func TestIdentityGuide(t *testing.T) {
	for _, program := range []string{"bash", "curl", "sed", "grep", "date"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	page, err := os.ReadFile("docs/guides/identity.md")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "--store", "bolt://"+t.TempDir(), "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
		"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0", "--access-listen", "127.0.0.1:0")
	url, token := p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
	var session string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		session += block[1]
	}
	session = strings.Replace(session, "URL=http://127.0.0.1:8080 TOKEN=…", "URL="+url+" TOKEN="+token, 1)
	shell := exec.CommandContext(t.Context(), "timeout", "60", "bash", "-euo", "pipefail", "-c", session)
	shell.Dir = t.TempDir()
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, session, out)
	}
	for _, want := range []string{
		"roles/town-reader", "principals/tax/apiKeys/first", `"binding":"bindings/tax-zezhou"`, "OBSTACLE_PERMISSION", "STATE_REVOKED", "UNAUTHENTICATED",
	} {
		if !strings.Contains(strings.ReplaceAll(string(out), `": "`, `":"`), want) {
			t.Errorf("the session shows no %s:\n%s", want, out)
		}
	}
	p.stop()
}
