package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "google", "api", "gone.proto")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"buf/validate/validate.proto", "google/api/annotations.proto", "google/rpc/status.proto", "google/type/date.proto"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("%s is still there", stale)
	}
	if _, err := os.Stat(filepath.Join(dir, "google", "protobuf")); !os.IsNotExist(err) {
		t.Error("google/protobuf was written; every compiler brings it")
	}

	file := filepath.Join(dir, "google", "api", "http.proto")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Errorf("the second run wrote %s again", file)
	}
}
