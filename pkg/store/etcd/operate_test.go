package etcd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// TestAFullCluster lets a cluster run out of its quota, and makes room as an operator does. The store goes on without being
// opened again.
func TestAFullCluster(t *testing.T) {
	c := etcdtest.Start(t, 3, "--quota-backend-bytes", "16777216")
	s := open(t, c, "full")
	defer s.Close()
	put := func(key string) error {
		return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put([]byte(key), []byte("value")) })
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	fill(t, c)
	for range 3 {
		if err := put("full"); !errors.Is(err, store.ErrFull) {
			t.Errorf("on a full cluster: %v, want ErrFull", err)
		}
	}
	err := s.View(t.Context(), func(r store.Reader) error {
		if v, err := r.Get([]byte("before")); string(v) != "value" || err != nil {
			t.Errorf("a full cluster has %q, %v", v, err)
		}
		if _, err := r.Get([]byte("full")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what was refused is there: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	makeRoom(t, c)
	if err := put("after"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// fill writes beside the store until the cluster refuses.
func fill(t *testing.T, c *etcdtest.Cluster) {
	t.Helper()
	client := c.Client(t)
	for i := range 100 {
		if _, err := client.Put(t.Context(), fmt.Sprint("filler/", i), string(make([]byte, 1<<20))); err != nil {
			return
		}
	}
	t.Fatal("the cluster takes 100 MiB")
}

// makeRoom removes what fill has written: delete, compact, defragment each member, and put the alarm out.
func makeRoom(t *testing.T, c *etcdtest.Cluster) {
	t.Helper()
	client := c.Client(t)
	res, err := client.Delete(t.Context(), "filler/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Compact(t.Context(), res.Header.Revision, clientv3.WithCompactPhysical())
	for _, m := range c.Addresses() {
		_, e := client.Defragment(t.Context(), m)
		err = errors.Join(err, e)
	}
	_, e := client.AlarmDisarm(t.Context(), &clientv3.AlarmMember{})
	if err := errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
}

// TestCompactionDuringLongReads verifies, backs up, replays and follows a journal while it is written and an operator has old
// revisions removed: first all but a few hundred, which nobody may notice, then all but the newest, which may cut
// a reading off, but never shows it anything wrong.
func TestCompactionDuringLongReads(t *testing.T) {
	for _, c := range []struct {
		shows string
		keep  int64
	}{
		{"what is kept is more than one reading takes", 300},
		{"nothing old is kept", 0},
	} {
		t.Run(c.shows, func(t *testing.T) { compactDuringReads(t, c.keep) })
	}
}

func compactDuringReads(t *testing.T, keep int64) {
	c := etcdtest.Start(t, 1, "--max-txn-ops", "4096")
	db := journal.Open(open(t, c, "long?max-txn-ops=4096"), "town", clock.System{})
	defer db.Close()
	schema := store.NewSchema("town")
	towns := store.Declare[*townv1.Town](schema)
	write := func(ctx context.Context, from, to int) error {
		return db.Update(ctx, journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
			for i := from; i < to; i++ {
				if err := towns.Put(tx, &townv1.Town{Name: fmt.Sprint("towns/", i%3000), TitleEn: fmt.Sprint(i)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for from := 0; from < 3000; from += 500 {
		if err := write(t.Context(), from, from+500); err != nil {
			t.Fatal(err)
		}
	}
	client := c.Client(t)
	for range keep { // revisions to be kept
		if _, err := client.Put(t.Context(), "elsewhere", ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	beside.Go(func() {
		for n := 3000; ctx.Err() == nil; n++ {
			if err := write(ctx, n, n+1); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	compactions := 0
	beside.Go(func() {
		for ctx.Err() == nil {
			res, err := client.Get(ctx, "elsewhere", clientv3.WithCountOnly())
			if err == nil && res.Header.Revision > keep {
				if _, err = client.Compact(ctx, res.Header.Revision-keep); err == nil {
					compactions++
				}
			}
			elapse(ctx, 10*time.Millisecond)
		}
	})
	followed := make(chan int64, 1)
	beside.Go(func() {
		var last int64
		for ctx.Err() == nil {
			changed := db.Changed()
			changes, head, err := db.Read(ctx, last, 500)
			switch {
			case err == nil && len(changes) > 0:
				last = changes[len(changes)-1].GetRevision()
			case err == nil && last == head.GetRevision():
				select {
				case <-changed:
				case <-ctx.Done():
				}
			case err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable):
				t.Errorf("following from %d: %v", last, err)
			}
		}
		followed <- last
	})
	scratch, err := bolt.Open(filepath.Join(t.TempDir(), "scratch.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer scratch.Close()
	for what, read := range map[string]func() error{
		"verify": func() error { _, err := db.Verify(ctx, 1, 3000); return err },
		"backup": func() error { _, err := backup.Write(ctx, &bytes.Buffer{}, db); return err },
	} {
		cut := 0
		for range 3 {
			if err := read(); errors.Is(err, store.ErrUnavailable) {
				cut++
			} else if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		t.Logf("%s: %d of 3 were cut off", what, cut)
		if keep > 0 && cut > 0 {
			t.Errorf("%s is cut off though its revision is kept", what)
		}
	}
	stop()
	beside.Wait()
	if _, err := replay.Check(t.Context(), db, schema, scratch, nil); err != nil {
		t.Error(err)
	}
	head, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := <-followed
	t.Logf("%d compactions, followed to %d of %d", compactions, last, head.GetRevision())
	// Where nothing old is kept, how far a reader comes meanwhile is a matter of speed. Afterwards all go on where they were.
	if compactions == 0 || keep > 0 && last < 3000 {
		t.Errorf("%d compactions, followed to %d", compactions, last)
	}
	for last < head.GetRevision() {
		changes, _, err := db.Read(t.Context(), last, 500)
		if err != nil || len(changes) == 0 {
			t.Fatalf("following from %d: %d changes, %v", last, len(changes), err)
		}
		last = changes[len(changes)-1].GetRevision()
	}
}
