package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// yizhen runs the program to its end and returns what it printed, on both outputs.
func yizhen(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "yizhen", args...).CombinedOutput()
	return string(out), err
}

func mustPrint(t *testing.T, want string, args ...string) {
	t.Helper()
	if out, err := yizhen(t, args...); err != nil || !strings.Contains(out, want) {
		t.Errorf("yizhen %s: %v\n%swant %q", strings.Join(args, " "), err, out, want)
	}
}

func mustRefuse(t *testing.T, want string, args ...string) {
	t.Helper()
	if out, err := yizhen(t, args...); err == nil || !strings.Contains(out, want) {
		t.Errorf("yizhen %s: %v\n%swant a refusal with %q", strings.Join(args, " "), err, out, want)
	}
}

// TestJournalMovesToFiles archives a journal piece by piece, of a stopped store and of a service that runs, and verifies the files
// and what is left as one.
func TestJournalMovesToFiles(t *testing.T) {
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	store := "bolt://" + file("data")
	if out, err := yizhen(t, "journal", "key", file("key")); err != nil {
		t.Fatal(err, out)
	}
	args := []string{
		"serve", "--store", store, "--journal-key", file("key"), "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
		"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0", "--access-listen", "127.0.0.1:0",
	}
	p := start(t, args...)
	url, token := p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
	for _, code := range []string{"140521", "140522", "140524", "140525"} {
		if status, body := callREST(t, http.DefaultClient, "POST", url+"/v1/divisions?division_id="+code, token, zezhou); status != http.StatusOK {
			t.Fatalf("a division is created with status %d: %s", status, body)
		}
	}
	p.stop() // and the journal is signed

	stopped := []string{"--store", store}
	runDemo(t, "bolt://"+file("demo"))
	mustPrint(t, "to 2", "journal", "export", "town", "--store", "bolt://"+file("demo"), "--until", "2", "--to", file("demo.segment"))
	mustRefuse(t, "one of the two was made anew", append([]string{"journal", "verify", "town", "--file", file("demo.segment")}, stopped...)...)
	mustRefuse(t, "no checkpoint", append([]string{"journal", "prune", "town", "--until", "5", "--to", file("none")}, stopped...)...)
	if _, err := os.Stat(file("none")); err == nil {
		t.Error("a refused prune wrote a file")
	}
	first := []string{"journal", "prune", "town", "--until", "1", "--to", file("1")}
	mustPrint(t, "journals/town is kept from revision 2 on", append(first, stopped...)...)
	mustRefuse(t, "nothing to remove", append(first, stopped...)...)
	mustRefuse(t, "holds the revisions from 1 to 1: those from 2 to 2 would be removed",
		append([]string{"journal", "prune", "town", "--until", "2", "--to", file("1")}, stopped...)...)
	// As if it had been interrupted between the file and the removal.
	mustPrint(t, "from revision 2 to 2", append([]string{"journal", "export", "town", "--until", "2", "--to", file("2")}, stopped...)...)
	mustPrint(t, "kept from revision 3 on", append([]string{"journal", "prune", "town", "--until", "2", "--to", file("2")}, stopped...)...)
	mustPrint(t, "divisions/140524", append([]string{"journal", "show", "town"}, stopped...)...)

	p = start(t, args...)
	token = p.await(`^admin token for this run: (\S+)`)
	if err := os.WriteFile(file("token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	live := []string{"--addr", p.await(`^gRPC +(\S+) +town$`), "--token-file", file("token")}
	mustPrint(t, "kept from revision 4 on", append([]string{"journal", "prune", "town", "--until", "3", "--to", file("3")}, live...)...)
	files := []string{"--file", file("1"), "--file", file("2"), "--file", file("3"), "--public-key", file("key.pub")}
	mustPrint(t, "whole from revision 1 to 4", append(append([]string{"journal", "verify", "town"}, files...), live...)...)
	mustPrint(t, "created  divisions/140525", append([]string{"journal", "show", "town"}, live...)...)
	p.stop()

	mustPrint(t, "whole from revision 1 to 4", append(append([]string{"journal", "verify", "town"}, files...), stopped...)...)
	mustPrint(t, "held against 1 checkpoints", append(append([]string{"journal", "verify", "town"}, files...), stopped...)...)
	mustPrint(t, "whole from revision 1 to 3", append([]string{"journal", "verify", "town"}, files...)...)
	mustRefuse(t, "journal revision 3: is missing", append([]string{"journal", "verify", "town", "--file", file("1"), "--file", file("2")}, stopped...)...)

	// The last goes too; then a file is damaged.
	mustPrint(t, "kept from revision 5 on", append([]string{"journal", "prune", "town", "--until", "4", "--to", file("4")}, stopped...)...)
	files = append(files, "--file", file("4"))
	mustPrint(t, "whole from revision 1 to 4", append(append([]string{"journal", "verify", "town"}, files...), stopped...)...)
	raw, err := os.ReadFile(file("3"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("3"), bytes.ReplaceAll(raw, []byte("Zezhou"), []byte("Zezhuo")), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "journal revision 3: does not have the hash of its content", append([]string{"journal", "verify", "town"}, files...)...)
	if err := os.WriteFile(file("3"), raw[:len(raw)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "3: not a whole journal segment: it is cut off", append([]string{"journal", "verify", "town"}, files...)...)
}
