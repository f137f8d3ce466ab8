package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town"
)

// TestServiceOnAFullDisk fills the disk of a service with what it is asked to keep. It refuses to keep more, and goes on to be read;
// with room again it goes on to write, without a restart, and has all that it acknowledged.
func TestServiceOnAFullDisk(t *testing.T) {
	t.Run("the file system is full", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("no file system to fill, for which it takes root: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		fillAndFree(t, filepath.Join(dir, "town.db"), func(*journal.DB, *bolt.Store) {}, func() error { return os.Remove(ballast) })
	})
	t.Run("the file may not grow", func(t *testing.T) {
		signal.Ignore(syscall.SIGXFSZ)
		defer signal.Reset(syscall.SIGXFSZ)
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		lift := func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }
		defer func() {
			if err := lift(); err != nil {
				t.Error(err)
			}
		}()
		path := filepath.Join(t.TempDir(), "town.db")
		fillAndFree(t, path, func(_ *journal.DB, s *bolt.Store) {
			// Receipts are no tables: the journal need not tell of them.
			key := func(i int) []byte { return fmt.Appendf(nil, "receipt/%05d", i) }
			put := func(i int, bytes int) error {
				return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(key(i), make([]byte, bytes)) })
			}
			if err := put(0, 64<<10); err != nil { // the file grows by steps of 16 MiB
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			now := before
			now.Cur = uint64(info.Size())
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
				t.Fatal(err)
			}
			last := 1
			for ; err == nil; last++ {
				err = put(last, 64<<10)
			}
			if !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
			err = s.Update(t.Context(), func(tx store.Tx) (err error) {
				for i := last - 10; i < last; i++ {
					err = errors.Join(err, tx.Delete(key(i)))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}, lift)
	})
}

// fillAndFree serves the town registry from a file, in a place that is made nearly full, fills that, and frees it.
func fillAndFree(t *testing.T, path string, crowd func(*journal.DB, *bolt.Store), free func() error) {
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	db := journal.Open(s, "town", clock.System{})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := serviceNamed("town").plan(nil).Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	registry := town.New(db)
	rpctest.Replays(t, db, registry.Schema())
	server := rpctest.Serve(t, db, registry.Register, authn.Principal{Name: "clerk", Permissions: []string{"*"}, Division: everywhere})
	client := townv1.NewTownRegistryClient(server.As("clerk"))
	create := func(i int) error {
		_, err := client.CreateDivision(t.Context(), &townv1.CreateDivisionRequest{
			DivisionId: fmt.Sprintf("%06d", i), Division: &townv1.Division{TitleZh: "泽州县", TitleEn: "Zezhou"}, RequestId: fmt.Sprint("r-", i),
		})
		return err
	}
	has := func(ctx context.Context, i int) error {
		_, err := client.GetDivision(ctx, &townv1.GetDivisionRequest{Name: fmt.Sprintf("divisions/%06d", i)})
		return err
	}
	crowd(db, s)
	if err := create(0); err != nil {
		t.Fatal(err)
	}

	// Somebody reads all the while.
	reading, stop := context.WithCancel(t.Context())
	var reads atomic.Int64
	read := make(chan error)
	go func() {
		for {
			err := has(reading, 0)
			if reading.Err() != nil {
				read <- nil
				return
			}
			if err != nil {
				read <- err
				return
			}
			reads.Add(1)
		}
	}()

	// A page that was given up may make room for one more, so a single refusal does not say that it is full.
	made := 1
	for refused := 0; refused < 3; {
		switch err := create(made); {
		case err == nil && made < 20_000:
			made, refused = made+1, 0
		case status.Code(err) == codes.ResourceExhausted && fault.ReasonOf(err) == "STORE_FULL":
			refused++
		default:
			t.Fatalf("after %d: %v, want STORE_FULL", made, err)
		}
	}
	if err := errors.Join(has(t.Context(), 0), has(t.Context(), made-1)); err != nil {
		t.Errorf("read while it is full: %v", err)
	}
	if status.Code(has(t.Context(), made)) != codes.NotFound {
		t.Error("what was refused is there")
	}
	full := reads.Load()
	if err := free(); err != nil {
		t.Fatal(err)
	}
	const more = 200
	for i := made; i < made+more; i++ {
		if err := create(i); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	}
	stop()
	if err := <-read; err != nil || full == 0 {
		t.Errorf("%d reads before there was room again, and then: %v", full, err)
	}
	for i := range made + more {
		if err := has(t.Context(), i); err != nil {
			t.Fatalf("%d was acknowledged: %v", i, err)
		}
	}
	t.Logf("%d were kept until it was full, and %d after", made, more)
}
