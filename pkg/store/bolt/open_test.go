package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

// filled writes a store of some pages and returns its bytes.
func filled(t testing.TB, path string) []byte {
	t.Helper()
	s := open(t, path)
	for i := range 40 {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			return tx.Put(fmt.Appendf(nil, "row/%02d", i), bytes.Repeat([]byte{byte(i)}, 5000))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	whole := filled(t, filepath.Join(t.TempDir(), "whole.db"))
	page := int(binary.NativeEndian.Uint32(whole[24:]))
	pages := int(max(binary.NativeEndian.Uint64(whole[56:]), binary.NativeEndian.Uint64(whole[page+56:])))
	altered := func(alter func([]byte)) []byte {
		b := bytes.Clone(whole)
		alter(b)
		return b
	}
	version := func(b []byte) {
		binary.NativeEndian.PutUint32(b[20:], 7)
		binary.NativeEndian.PutUint32(b[page+20:], 7)
	}
	for _, c := range []struct {
		name    string
		content []byte
		want    string
		corrupt bool
	}{
		{"an empty file", []byte{}, "the file is empty", true},
		{"a text", []byte("this is no store"), "it is no store", false},
		{"a page of zeros", make([]byte, 4096), "it is no store", false},
		{"another version of the format", altered(version), "version 7 of bbolt's format, and this program reads version 2", false},
		{"both heads are damaged", altered(func(b []byte) { b[60]++; b[page+60]++ }), "both of its heads", true},
		{"cut off within the first page", whole[:1000], "cut off", true},
		{"cut off after the heads", whole[:2*page], "cut off", true},
		{"cut off at its end", whole[:page*pages-1], "cut off", true},
		{"the list of free pages is no such list", altered(func(b []byte) {
			for i := 2 * page; i < len(b); i++ {
				b[i] = 0xff
			}
		}), "restore a backup", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := bolt.Open(path)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || errors.Is(err, store.ErrCorrupt) != c.corrupt {
				t.Errorf("%v\nwant the file, %q, and whether it is damaged", err, c.want)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.content) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
	t.Run("one head is damaged, the other will do", func(t *testing.T) {
		for _, at := range []int{60, page + 60} {
			path := filepath.Join(t.TempDir(), "test.db")
			if err := os.WriteFile(path, altered(func(b []byte) { b[at]++ }), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := open(t, path).Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a folder", func(t *testing.T) {
		if s, err := bolt.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "it is a folder") {
			t.Errorf("%v, %v", s, err)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "absent", "test.db")
		if _, err := bolt.Open(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Error(err)
		}
	})
}

// TestManyCreateOneStore has many open a store that is not there: one makes it, and no other file takes its place.
func TestManyCreateOneStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "test.db")
	// What a process has left that died while it made one.
	if err := os.WriteFile(filepath.Join(dir, ".test.db.new-1"), []byte("half of one"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for {
				s, err := bolt.Open(path)
				if err != nil {
					if !strings.Contains(err.Error(), "another process has it open") {
						t.Error(err)
						return
					}
					continue
				}
				err = s.Update(t.Context(), func(tx store.Tx) error { return tx.Put([]byte{byte(i)}, nil) })
				if err := errors.Join(err, s.Close()); err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	wait.Wait()
	s := open(t, path)
	defer s.Close()
	err := s.View(t.Context(), func(r store.Reader) error {
		for i := range 8 {
			if _, err := r.Get([]byte{byte(i)}); err != nil {
				t.Errorf("what the %d. wrote: %v", i, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("in the folder is %v, %v", left, err)
	}
}

// TestDamageMetWhileServing damages a file under a store that is open. Whoever comes upon it is told; nobody goes down with it.
func TestDamageMetWhileServing(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string, size int){
		"pages are written over": func(t *testing.T, path string, size int) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, size-8192), 8192)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"the file is cut off": func(t *testing.T, path string, _ int) {
			if err := os.Truncate(path, 8192); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			raw := filled(t, path)
			s := open(t, path)
			damage(t, path, len(raw))
			told := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v, want that the file is damaged", what, err)
				}
			}
			told("a read", s.View(t.Context(), func(r store.Reader) error {
				_, err := r.Get([]byte("row/01"))
				return err
			}))
			for _, order := range []store.Order{store.Ascending, store.Descending} {
				told("a scan", s.View(t.Context(), func(r store.Reader) error {
					for _, err := range r.Scan(nil, nil, order) {
						if err != nil {
							return err
						}
					}
					return nil
				}))
			}
			told("a scan in an update", s.Update(t.Context(), func(tx store.Tx) error {
				for _, err := range tx.Scan(nil, nil, store.Ascending) {
					if err != nil {
						return err
					}
				}
				return nil
			}))
			for range 2 {
				told("a write", s.Update(t.Context(), func(tx store.Tx) error { return tx.Put([]byte("row/new"), nil) }))
			}
			if err := s.Close(); err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Error(err)
			}
		})
	}
}

// TestACallersPanicIsHisOwn: only what bbolt panics at is taken for damage.
func TestACallersPanicIsHisOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	filled(t, path)
	s := open(t, path)
	defer s.Close()
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("it panics with %v", p)
		}
	}()
	_ = s.View(t.Context(), func(r store.Reader) error {
		for range r.Scan(nil, nil, store.Ascending) {
			panic("mine")
		}
		return nil
	})
}
