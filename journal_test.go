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
	// They follow the first change of every journal, that of the store itself.
	for _, code := range []string{"140522", "140524", "140525"} {
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
	mustRefuse(t, "journals/town has no resources of a type NoSuch", append([]string{"journal", "show", "town", "--type", "NoSuch"}, live...)...)
	p.stop()

	mustPrint(t, "whole from revision 1 to 4", append(append([]string{"journal", "verify", "town"}, files...), stopped...)...)
	mustPrint(t, "held against 1 checkpoints", append(append([]string{"journal", "verify", "town"}, files...), stopped...)...)
	mustPrint(t, "whole from revision 1 to 3", append([]string{"journal", "verify", "town"}, files...)...)
	mustRefuse(t, "journal revision 3: is missing", append([]string{"journal", "verify", "town", "--file", file("1"), "--file", file("2")}, stopped...)...)

	replay := []string{"journal", "replay", "town", "--store", store}
	made := "the tables of town are what its 4 changes make"
	mustPrint(t, made, append(replay, "--file", file("3"), "--file", file("1"), "--file", file("2"))...)
	mustRefuse(t, "the revisions from 1 to 3 are missing: they were archived", replay...)
	mustRefuse(t, "the revisions from 3 to 3 are missing: they were archived", append(replay, "--file", file("1"), "--file", file("2"))...)
	mustRefuse(t, "begins at 3: journals/town: the revisions from 2 to 2 are missing", append(replay, "--file", file("1"), "--file", file("3"))...)

	// The last goes too; then a file is damaged.
	mustPrint(t, "kept from revision 5 on", append([]string{"journal", "prune", "town", "--until", "4", "--to", file("4")}, stopped...)...)
	files = append(files, "--file", file("4"))
	mustPrint(t, "whole from revision 1 to 4", append(append([]string{"journal", "verify", "town"}, files...), stopped...)...)
	replay = append(replay, "--file", file("1"), "--file", file("2"), "--file", file("3"))
	mustRefuse(t, "the revisions from 4 to 4 are missing: they were archived", replay...)
	replay = append(replay, "--file", file("4"))
	mustPrint(t, made, replay...)
	raw, err := os.ReadFile(file("3"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("3"), bytes.ReplaceAll(raw, []byte("Zezhou"), []byte("Zezhuo")), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "journal revision 3: does not have the hash of its content", append([]string{"journal", "verify", "town"}, files...)...)
	mustRefuse(t, "journal revision 3: does not have the hash of its content", replay...)
	if err := os.WriteFile(file("3"), raw[:len(raw)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "3: not a whole journal segment: it is cut off", append([]string{"journal", "verify", "town"}, files...)...)
}

// TestSignedOutsideTheStore kills a service, then takes the end of its journal away. What was signed is in a file elsewhere, each
// once, so the verifier finds it and the service does not go on.
func TestSignedOutsideTheStore(t *testing.T) {
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	if out, err := yizhen(t, "journal", "key", file("key")); err != nil {
		t.Fatal(err, out)
	}
	args := []string{
		"serve", "--store", "bolt://" + file("data"), "--journal-key", file("key"), "--journal-checkpoints", file("signed"),
		"--journal-signed", "1h", "--journal-signed-revisions", "1", "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
		"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0",
	}
	enter := func(codes ...string) *process {
		p := start(t, args...)
		url, token := p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
		for _, code := range codes {
			if status, body := callREST(t, http.DefaultClient, "POST", url+"/v1/divisions?division_id="+code, token, zezhou); status != http.StatusOK {
				t.Fatalf("a division is created with status %d: %s", status, body)
			}
		}
		return p
	}
	enter("140521", "140522").stop()
	old, err := os.ReadFile(file("data/town.db"))
	if err != nil {
		t.Fatal(err)
	}
	p := enter("140524", "140525")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range p.more {
		continue
	}
	if err := p.cmd.Wait(); err == nil {
		t.Error("a service that was killed ended well")
	}
	enter().stop()

	verify := []string{"journal", "verify", "town", "--store", "bolt://" + file("data"), "--public-key", file("key.pub"), "--checkpoints", file("signed/town.checkpoints")}
	mustPrint(t, "whole from revision 1 to 5", verify...)
	text, err := os.ReadFile(file("signed/town.checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(`"name":"journals/town/checkpoints/5"`)); n != 1 {
		t.Errorf("revision 5 is in the file %d times:\n%s", n, text)
	}
	if out, err := yizhen(t, "journal", "checkpoints", "town", "--store", "bolt://"+file("data")); err != nil || out != string(text) {
		t.Errorf("the file is not what journal checkpoints prints: %v\n%s", err, out)
	}
	if err := os.WriteFile(file("data/town.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "journal revision 4: is missing: the journal ends at 3, and a checkpoint was signed at 5", verify...)
	mustRefuse(t, "journals/town is not what was signed", args...)
}
