package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/storetest"
)

func TestBoltIsAStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store {
		return open(t, filepath.Join(t.TempDir(), "test.db"))
	})
}

func open(t testing.TB, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReopenedFileHasWhatWasCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	for i := range 3 {
		s := open(t, path)
		err := s.Update(context.Background(), func(tx store.Tx) error {
			for before := range i {
				if _, err := tx.Get([]byte{'k', byte(before)}); err != nil {
					t.Errorf("opened for the %d. time, key %d: %v", i+1, before, err)
				}
			}
			return tx.Put([]byte{'k', byte(i)}, bytes.Repeat([]byte{1}, 10_000))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
}

func TestOnlyOneHasTheFileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	first := open(t, path)
	_, err := bolt.Open(path)
	if err == nil || !strings.Contains(err.Error(), "another process has it open") || !strings.Contains(err.Error(), path) {
		t.Errorf("opened a second time: %v, want an error that names the file and says why", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Errorf("opened after the first one closed it: %v", err)
	}
}

// TestScansCrossTheParts compares scans between all pairs of keys, at and around where keys change the bucket, with a sorted list.
func TestScansCrossTheParts(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	defer s.Close()
	keys := []string{"a", "journal/", "journal/change", "journal/change/", "journal/change/1", "journal/change/2", "journal/change0",
		"journal/head", "journal/type/", "journal/type/A", "journal/type0", "row/a"}
	err := s.Update(t.Context(), func(tx store.Tx) (err error) {
		for _, k := range keys {
			err = errors.Join(err, tx.Put([]byte(k), []byte(k)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	bounds := append([]string{"", "journal/change/15", "journal/d", "z"}, keys...)
	err = s.View(t.Context(), func(r store.Reader) error {
		for _, from := range bounds {
			for _, to := range bounds {
				var want, up, down []string
				for _, k := range keys {
					if k >= from && (to == "" || k < to) {
						want = append(want, k)
					}
				}
				for e := range r.Scan([]byte(from), []byte(to), store.Ascending) {
					up = append(up, string(e.Key))
				}
				for e := range r.Scan([]byte(from), []byte(to), store.Descending) {
					down = append(down, string(e.Key))
				}
				slices.Reverse(down)
				if !slices.Equal(up, want) || !slices.Equal(down, want) {
					t.Errorf("from %q to %q: %q and back %q, want %q", from, to, up, down, want)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"a short text":         []byte("this is not a store"),
		"a page of text":       bytes.Repeat([]byte("this is not a store\n"), 1000),
		"pages of zeros":       make([]byte, 1<<16),
		"a store with no head": nil, // made below
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if content == nil {
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content = append(make([]byte, 8192), whole[8192:]...)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := bolt.Open(path)
		if err == nil {
			t.Errorf("%s was opened", name)
			s.Close()
			continue
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names the file", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	if _, err := bolt.Open(dir); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := bolt.Open(filepath.Join(dir, "absent", "test.db")); err == nil {
		t.Error("a file in a folder that is not there was opened")
	}
}
