package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

func TestOpenWhatMayNotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "there.db")
	filled(t, file)
	for _, err := range []error{os.Chmod(file, 0o400), os.Chmod(dir, 0o500)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, path := range map[string]string{"a folder": filepath.Join(dir, "test.db"), "a file": file} {
		refused := make(chan error)
		go func() {
			// Root may write anywhere; on a thread of its own it gives that up. The thread ends with the goroutine.
			runtime.LockOSThread()
			if os.Geteuid() == 0 {
				if err := syscall.Setfsuid(65534); err != nil {
					refused <- nil
					return
				}
			}
			s, err := bolt.Open(path)
			if err == nil {
				s.Close()
			}
			refused <- err
		}()
		err := <-refused
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s that may not be written: %v, want that it is not permitted, where, and what to do", what, err)
		}
	}
}

// TestFullDisk fills a small file system of its own, which only root can make.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system to fill: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test.db")
	s := open(t, path)
	add := func(i int) error {
		return s.Update(context.Background(), func(tx store.Tx) error {
			return tx.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), bytes.Repeat([]byte{7}, 20<<10))
		})
	}
	count := func() (n int) {
		err := s.View(context.Background(), func(r store.Reader) error {
			n = 0
			for range r.Scan(nil, nil, store.Ascending) {
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	written := 0
	var err error
	for err == nil && written < 1000 {
		if err = add(written); err == nil {
			written++
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d rows: %v, want ErrFull", written, err)
	}
	if got := count(); got != written {
		t.Errorf("%d rows are there, %d were acknowledged", got, written)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := add(written); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if got := count(); got != written+1 {
		t.Errorf("reopened it has %d rows, want %d", got, written+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
