package etcd_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
)

// BenchmarkCommit sets our commits of one key of 1 KiB beside bare puts of the same, from as many callers.
func BenchmarkCommit(b *testing.B) {
	for _, members := range []int{1, 3} {
		c := etcdtest.Start(b, members)
		client := c.Client(b)
		s := open(b, c, "bench")
		value := string(make([]byte, 1024))
		for _, callers := range []int{1, 64} {
			var n atomic.Int64
			run := func(name string, one func(key string) error) {
				b.Run(fmt.Sprintf("%s/members=%d/callers=%d", name, members, callers), func(b *testing.B) {
					b.SetParallelism(max(1, callers/2)) // of two processors
					if callers == 1 {
						for b.Loop() {
							if err := one(fmt.Sprint("key/", n.Add(1))); err != nil {
								b.Fatal(err)
							}
						}
						return
					}
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := one(fmt.Sprint("key/", n.Add(1))); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
			run("put", func(key string) error {
				_, err := client.Put(b.Context(), "/bare/"+key, value)
				return err
			})
			run("commit", func(key string) error {
				return s.Update(b.Context(), func(tx store.Tx) error { return tx.Put([]byte(key), []byte(value)) })
			})
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkLast looks for the last key of a range of 20,000 that grows, as who numbers things does.
func BenchmarkLast(b *testing.B) {
	c := etcdtest.Start(b, 1, "--max-txn-ops", "4096")
	s := open(b, c, "bench?max-txn-ops=4096")
	defer s.Close()
	const rows, some = 20_000, 1000
	n := 0
	add := func(more int) {
		err := s.Update(b.Context(), func(tx store.Tx) error {
			for i := range more {
				if err := tx.Put(fmt.Appendf(nil, "key/%019d", n+i), make([]byte, 200)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		n += more
	}
	for range rows / some {
		add(some)
	}
	for b.Loop() {
		err := s.View(b.Context(), func(r store.Reader) error {
			for e, err := range r.Scan([]byte("key/"), []byte("key0"), store.Descending) {
				if want := fmt.Sprintf("key/%019d", n-1); err != nil || string(e.Key) != want {
					return fmt.Errorf("the last is %s, want %s: %w", e.Key, want, err)
				}
				break
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		add(1)
		b.StartTimer()
	}
}
