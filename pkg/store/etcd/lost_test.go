package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
)

// lossy stands between a store and a member. While it is deaf what the member answers does not come through; cut ends all
// connections.
type lossy struct {
	net.Listener
	deaf  atomic.Bool
	mu    sync.Mutex
	conns []net.Conn
}

func newLossy(t *testing.T, to string) *lossy {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{Listener: lis}
	t.Cleanup(func() { lis.Close(); l.cut() })
	go func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, near, far)
			l.mu.Unlock()
			go io.Copy(far, near)
			go io.Copy(deafened{near, l}, far)
		}
	}()
	return l
}

func (l *lossy) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

type deafened struct {
	net.Conn
	l *lossy
}

func (d deafened) Write(b []byte) (int, error) {
	if d.l.deaf.Load() {
		return len(b), nil
	}
	return d.Conn.Write(b)
}

// TestLostAnswer loses the answers to commits that the cluster has carried out. They are reported as done and done once, also
// when another replica has gone on committing meanwhile.
func TestLostAnswer(t *testing.T) {
	c := etcdtest.Start(t, 1)
	between := newLossy(t, c.Members[0].Address)
	s, err := etcd.Open(t.Context(), options(t, "etcd://"+between.Addr().String()+"/lost"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := open(t, c, "lost")
	defer other.Close()
	add := func(ctx context.Context, s store.Store, key string, before func()) error {
		return s.Update(ctx, func(tx store.Tx) error {
			v, err := tx.Get([]byte(key))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			before()
			return tx.Put([]byte(key), append(append([]byte{}, v...), 'x'))
		})
	}
	for range 20 {
		if err := add(t.Context(), s, "warm", func() {}); err != nil {
			t.Fatal(err)
		}
	}
	for _, others := range []int{0, 1, 7} {
		key := fmt.Sprint("n", others)
		if err := add(t.Context(), s, key, func() {}); err != nil {
			t.Fatal(err)
		}
		// From when the update is run until the cluster has it, nothing comes back.
		done := make(chan error, 1)
		go func() { done <- add(t.Context(), s, key, func() { between.deaf.Store(true) }) }()
		for value := ""; value != "xx"; {
			if err := other.View(t.Context(), func(r store.Reader) error {
				v, err := r.Get([]byte(key))
				value = string(v)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		for range others {
			if err := add(t.Context(), other, "other", func() {}); err != nil {
				t.Fatal(err)
			}
		}
		between.deaf.Store(false)
		between.cut()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("with %d commits of others since, a commit whose answer was lost is answered with %v", others, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nobody says what came of the commit")
		}
		if err := s.View(t.Context(), func(r store.Reader) error {
			if v, err := r.Get([]byte(key)); string(v) != "xx" {
				t.Errorf("with %d commits of others since, the update was carried out %d times (%v), want 2", others, len(v), err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestLoserRunsAgain has another replica commit while an update runs.
func TestLoserRunsAgain(t *testing.T) {
	c := etcdtest.Start(t, 1)
	s, other := open(t, c, "loser"), open(t, c, "loser")
	defer s.Close()
	defer other.Close()
	runs, last := 0, ""
	err := s.Update(t.Context(), func(tx store.Tx) error {
		runs++
		last = "nothing"
		if v, err := tx.Get([]byte("k")); err == nil {
			last = string(v)
		}
		if runs == 1 {
			if err := other.Update(t.Context(), func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("theirs")) }); err != nil {
				t.Error(err)
			}
		}
		return tx.Put([]byte("ours"), nil)
	})
	if err != nil || runs < 2 || last != "theirs" {
		t.Errorf("it ran %d times, at last saw %s, and ended with %v", runs, last, err)
	}
}
