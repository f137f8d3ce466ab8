package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
)

// In scripts, and in the tests here, `yizhen` is this test binary run as the program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"yizhen": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "script")})
}

// demoLimit is far more than a demo takes, also with the race detector on a busy machine.
const demoLimit = 5 * time.Minute

// runDemo runs a demo to its end and returns what it printed.
func runDemo(t *testing.T, location string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "yizhen", "demo", "--store", location).CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	return string(out)
}

// result is the part of a demo's output that has to be the same in every run: the tables, hashes included.
func result(t *testing.T, out string) string {
	t.Helper()
	_, tables, found := strings.Cut(out, "\n\nFigures of 2022")
	if !found {
		t.Fatalf("the demo shows no tables:\n%s", out)
	}
	tables, _, _ = strings.Cut(tables, "\n\nAll figures foot")
	return tables
}

// TestDemoSurvivesKill kills the demo with SIGKILL in the middle, at several chapters, and lets another run go on in the
// same store. It has to end with the same tables as a run that nothing disturbed, down to the hash of each journal:
// nothing was lost, and nothing done twice.
func TestDemoSurvivesKill(t *testing.T) {
	want := result(t, runDemo(t, "bolt://"+t.TempDir()))
	location := "bolt://" + t.TempDir()
	for _, day := range []string{"2023-02-06", "2023-04-20", "2023-09-11", "2024-01-08"} {
		killDemo(t, location, day)
		replays(t, location, serviceNames()...)
	}
	if got := result(t, runDemo(t, location)); got != want {
		t.Errorf("after four kills the demo ends with\n%s\nundisturbed it ends with\n%s", got, want)
	}
	if got := result(t, runDemo(t, location)); got != want {
		t.Errorf("a run after the end ends with\n%s\nthe first ended with\n%s", got, want)
	}
}

// replays makes sure that the tables of services are what their journals make, byte for byte.
func replays(t *testing.T, location string, names ...string) {
	t.Helper()
	for _, name := range names {
		db, err := readJournal(t.Context(), location, name, etcd.Files{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := replayed(t.Context(), db, name, t.TempDir(), io.Discard); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killDemo runs a demo and kills it when it has begun to tell of a day.
func killDemo(t *testing.T, location, day string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "yizhen", "demo", "--store", location)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	words := bufio.NewScanner(stdout)
	words.Split(bufio.ScanWords) // the line of a day is finished only when its chapter is
	told := false
	for words.Scan() {
		if words.Text() == day {
			told = true
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !told {
		t.Fatalf("the demo was to be killed on %s, and ended with %v (it had begun: %v)\n%s", day, err, told, &stderr)
	}
}

// TestDemoOnEtcd runs the demo on a cluster of three and kills one of them, the one that is spoken to, in the middle. It ends
// with the same tables as on a file, down to the hash of each journal.
func TestDemoOnEtcd(t *testing.T) {
	want := result(t, runDemo(t, "bolt://"+t.TempDir()))
	cluster := etcdtest.Start(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "yizhen", "demo", "--store", cluster.URL("jincheng"))
	var out, stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&out, lines.Text())
		if !killed && strings.Contains(lines.Text(), "2023-04-20") {
			cluster.Members[0].Kill()
			killed = true
		}
	}
	if err := cmd.Wait(); err != nil || !killed {
		t.Fatalf("the demo ended with %v (a member was killed: %v)\n%s\n%s", err, killed, &out, &stderr)
	}
	replays(t, cluster.URL("jincheng"), serviceNames()...)
	if got := result(t, out.String()); got != want {
		t.Errorf("on etcd the demo ends with\n%s\non a file it ends with\n%s", got, want)
	}
}
