package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupPage holds docs/backup.md against its script, which runs every command that the page shows.
func TestBackupPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "backup.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", "backup.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if !strings.HasPrefix(line, "yizhen ") {
			continue
		}
		shown++
		if !strings.Contains(string(script), "\nexec "+line+"\n") {
			t.Errorf("the script does not run %q", line)
		}
	}
	if shown == 0 {
		t.Error("the page shows no commands")
	}
}
