package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	"github.com/yizhen/yizhen/pkg/store/storetest"
)

func open(t testing.TB, c *etcdtest.Cluster, prefix string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(context.Background(), options(t, c.URL(prefix)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func options(t testing.TB, url string) etcd.Options {
	t.Helper()
	o, err := etcd.Parse(url, etcd.Files{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestEtcdIsAStore(t *testing.T) {
	c := etcdtest.Start(t, 1)
	n := 0
	storetest.Run(t, func(t testing.TB) store.Store {
		n++
		return open(t, c, fmt.Sprintf("suite/%d", n))
	})
}

func TestReplicasShareAStore(t *testing.T) {
	c := etcdtest.Start(t, 1)
	replicas := []*etcd.Store{open(t, c, "shared"), open(t, c, "shared")}
	const each = 50
	var heard atomic.Int32
	replicas[1].Notify(func() { heard.Add(1) })
	var wait sync.WaitGroup
	for _, s := range replicas {
		for range 4 {
			wait.Go(func() {
				for range each {
					err := s.Update(t.Context(), func(tx store.Tx) error {
						v, err := tx.Get([]byte("n"))
						if err != nil && !errors.Is(err, store.ErrNotFound) {
							return err
						}
						var n int
						fmt.Sscan(string(v), &n)
						return tx.Put([]byte("n"), fmt.Append(nil, n+1))
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
	for i, s := range replicas {
		err := s.View(t.Context(), func(r store.Reader) error {
			if v, err := r.Get([]byte("n")); string(v) != fmt.Sprint(8*each) {
				t.Errorf("replica %d counts %s (%v), want %d", i, v, err, 8*each)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if heard.Load() == 0 {
		t.Error("a replica has not heard of the other's commits")
	}
}

func TestTransactionBeyondTheClustersLimits(t *testing.T) {
	s := open(t, etcdtest.Start(t, 1), "limits")
	defer s.Close()
	write := func(n, size int) error {
		return s.Update(t.Context(), func(tx store.Tx) error {
			for i := range n {
				if err := tx.Put(fmt.Append(nil, i), make([]byte, size)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, c := range []struct {
		n, size int
		want    error
	}{
		{127, 1, nil},
		{128, 1, store.ErrTooLarge},
		{15, 100 << 10, nil},
		{16, 100 << 10, store.ErrTooLarge},
	} {
		err := write(c.n, c.size)
		if !errors.Is(err, c.want) {
			t.Errorf("%d keys of %d bytes: %v, want %v", c.n, c.size, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), "start its members with a higher --max-txn-ops") {
			t.Errorf("%d keys of %d bytes: %v, which does not say what to do", c.n, c.size, err)
		}
	}
	// Many that fit one by one are cut into as many commits as it takes.
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			err := s.Update(t.Context(), func(tx store.Tx) error {
				for k := range 30 {
					if err := tx.Put(fmt.Append(nil, "many", i, k), make([]byte, 5000)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// TestAURLThatPromisesTooMuch says more in the URL than the members take, and then has members that take more.
func TestAURLThatPromisesTooMuch(t *testing.T) {
	write := func(c *etcdtest.Cluster) error {
		s := open(t, c, "promised?max-txn-ops=4096")
		defer s.Close()
		return s.Update(t.Context(), func(tx store.Tx) error {
			for i := range 2000 {
				if err := tx.Put(fmt.Append(nil, i), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := write(etcdtest.Start(t, 1)); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "the members take less") {
		t.Errorf("beyond what the members take: %v, want ErrTooLarge", err)
	}
	if err := write(etcdtest.Start(t, 1, "--max-txn-ops", "4096")); err != nil {
		t.Errorf("with members that take as much: %v", err)
	}
}

func TestForeignKeysAreNoticed(t *testing.T) {
	c := etcdtest.Start(t, 1)
	client := c.Client(t)
	put := func(key, value string) {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(prefix, want string) {
		t.Helper()
		s, err := etcd.Open(t.Context(), options(t, c.URL(prefix)))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opened below %s: %v, want %q", prefix, err, want)
		}
	}
	put("/other/thing", "")
	refused("other", "no store of this program's")
	open(t, c, "ours/town").Close()
	open(t, c, "ours/fund").Close()
	open(t, c, "ours/town").Close()
	refused("ours/town/deeper", "lies within")
	put("/ours/town/thing", "")
	refused("ours/town", "1 foreign keys")
	put("/ours/fund/identity", "yizhen store 2")
	refused("ours/fund", "another version")
}

func TestCompactionLeavesReadersAlone(t *testing.T) {
	c := etcdtest.Start(t, 1)
	client := c.Client(t)
	s := open(t, c, "compacted")
	defer s.Close()
	put := func(value string) {
		if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put([]byte("k"), []byte(value)) }); err != nil {
			t.Fatal(err)
		}
	}
	compact := func() {
		res, err := client.Put(t.Context(), "elsewhere", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Compact(t.Context(), res.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	scan := func(r store.Reader) (value string, err error) {
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return "", err
			}
			value = string(e.Value)
		}
		return value, nil
	}
	err := s.View(t.Context(), func(r store.Reader) error {
		compact()
		if v, err := scan(r); v != "1" || err != nil {
			t.Errorf("after a compaction a view of an unchanged store sees %q, %v", v, err)
		}
		put("2")
		compact()
		if v, err := scan(r); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a view whose state is compacted sees %q, %v, want ErrUnavailable", v, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	compact()
	put("3")
}

func TestUpdateWithoutACluster(t *testing.T) {
	c := etcdtest.Start(t, 1)
	s := open(t, c, "gone")
	defer s.Close()
	put := func(ctx context.Context) error {
		return s.Update(ctx, func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) })
	}
	for range 50 { // by then its watch has begun, and it has no more reason to read the guard first
		if err := put(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.Members[0].Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := put(ctx); !errors.Is(err, store.ErrOutcomeUnknown) {
		t.Errorf("a commit that nobody answers: %v, want ErrOutcomeUnknown", err)
	}
	c.Members[0].Resume()
	if err := put(t.Context()); err != nil {
		t.Errorf("with the cluster back: %v", err)
	}
}

// TestFaults has two replicas of a store used while members are killed, paused and started again, one at a time. It goes on
// for YIZHEN_FAULTS, such as 5m in the nightly suite.
func TestFaults(t *testing.T) {
	length := 8 * time.Second
	if v := os.Getenv("YIZHEN_FAULTS"); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	c := etcdtest.Start(t, 3)
	for round := 0; length > 0; round++ {
		span := min(length, 8*time.Second)
		length -= span
		prefix := fmt.Sprintf("faults/%d", round)
		a, b := open(t, c, prefix), open(t, c, prefix)
		ctx, cancel := context.WithTimeout(t.Context(), span)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				m := c.Members[(i+round)%3]
				if i%2 == 0 {
					m.Kill()
				} else {
					m.Pause()
				}
				ended := elapse(ctx, span/8)
				if i%2 == 0 {
					if err := m.Start(); err != nil {
						t.Error(err)
					}
				} else {
					m.Resume()
				}
				if ended || elapse(ctx, span/8) {
					return
				}
			}
		}()
		storetest.History(ctx, t, a, b)
		cancel()
		<-done
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	}
}

// elapse lets a time pass in which things go wrong, and tells whether it is over.
func elapse(ctx context.Context, d time.Duration) (ended bool) {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(d):
		return false
	}
}

// TestUserMayOnlyBelowThePrefix gives a user of etcd's own authentication the prefix and nothing else.
func TestUserMayOnlyBelowThePrefix(t *testing.T) {
	c := etcdtest.Start(t, 1)
	client := c.Client(t)
	ctx := t.Context()
	_, e1 := client.RoleAdd(ctx, "root")
	_, e2 := client.UserAdd(ctx, "root", "root's")
	_, e3 := client.UserGrantRole(ctx, "root", "root")
	_, e4 := client.RoleAdd(ctx, "yizhen")
	_, e5 := client.RoleGrantPermission(ctx, "yizhen", "/deep/yizhen/", clientv3.GetPrefixRangeEnd("/deep/yizhen/"), clientv3.PermissionType(clientv3.PermReadWrite))
	_, e6 := client.UserAdd(ctx, "yizhen", "a secret")
	_, e7 := client.UserGrantRole(ctx, "yizhen", "yizhen")
	_, e8 := client.AuthEnable(ctx)
	if err := errors.Join(e1, e2, e3, e4, e5, e6, e7, e8); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "password")
	with := func(prefix, password string) (*etcd.Store, error) {
		if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := etcd.Parse("etcd://yizhen@"+c.Members[0].Address+"/"+prefix, etcd.Files{Password: secret})
		if err != nil {
			t.Fatal(err)
		}
		return etcd.Open(ctx, o.Below("town"))
	}
	for _, refused := range []struct{ prefix, password string }{{"deep/yizhen", "a guess"}, {"elsewhere", "a secret"}} {
		s, err := with(refused.prefix, refused.password)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "refuses the user") {
			t.Errorf("%v: %v, want that the user is refused", refused, err)
		}
	}
	s, err := with("deep/yizhen", "a secret")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(ctx, func(tx store.Tx) error { return tx.Put([]byte("k"), nil) }); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	o := options(t, "etcd://a:1,b:2/x/y?max-txn-ops=4096")
	if o.Below("town").String() != "etcd://a:1,b:2/x/y/town/" || o.MaxTxnOps != 4096 {
		t.Errorf("parsed as %s, %+v", o, o)
	}
	for _, wrong := range []string{
		"bolt://x", "etcd://a:1", "etcd://a:1/", "etcd://u:p@a:1/x", "etcd://u@a:1/x", "etcd://a:1/x?max-txn-ops=0", "etcd://a:1/x?other=1",
	} {
		if _, err := etcd.Parse(wrong, etcd.Files{}); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}
