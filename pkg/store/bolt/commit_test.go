package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/yizhen/yizhen/pkg/store"
)

// TestABatchSharesOneCommit holds the store busy with one update while others gather behind it: some that write, one that
// fails and one that panics. They share the next commit, and nobody bears another's fault.
func TestABatchSharesOneCommit(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	begun, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.Update(t.Context(), func(tx store.Tx) error {
			close(begun)
			<-release
			return tx.Put([]byte("first"), nil)
		})
	}()
	<-begun

	const writers = 20
	answers := make(chan error, writers+2)
	hand := func(fn func(store.Tx) error) {
		before := s.commits.queue.Len()
		go func() {
			defer func() {
				if p := recover(); p != nil {
					answers <- fmt.Errorf("panic: %v", p)
				}
			}()
			answers <- s.Update(t.Context(), fn)
		}()
		for s.commits.queue.Len() == before {
			runtime.Gosched()
		}
	}
	failed := errors.New("refused")
	for i := range writers {
		hand(func(tx store.Tx) error { return tx.Put(fmt.Appendf(nil, "k%02d", i), nil) })
		switch i {
		case 5:
			hand(func(tx store.Tx) error { return errors.Join(tx.Put([]byte("bad"), nil), failed) })
		case 10:
			hand(func(tx store.Tx) error {
				_ = tx.Put([]byte("worse"), nil)
				panic("boom")
			})
		}
	}
	before := s.db.Stats()
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	heard := map[string]int{}
	for range writers + 2 {
		heard[fmt.Sprint(<-answers)]++
	}
	if heard["<nil>"] != writers || heard["refused"] != 1 || heard["panic: boom"] != 1 {
		t.Errorf("the callers hear %v", heard)
	}
	// A commit writes some pages and the meta page; each writer on its own would have made that many of them.
	after := s.db.Stats()
	made := after.Sub(&before)
	if wrote := made.TxStats.GetWrite(); wrote >= writers {
		t.Errorf("%d writes for two commits", wrote)
	}
	var keys []string
	err = s.View(t.Context(), func(r store.Reader) error {
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			keys = append(keys, string(e.Key))
		}
		return nil
	})
	if err != nil || len(keys) != writers+1 {
		t.Errorf("what is there is %q (%v)", keys, err)
	}
}
