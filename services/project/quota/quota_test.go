package quota_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/services/project/quota"
)

// A pool is held against a model that knows nothing of sums: the list of quantities that are reserved, and of those that are
// consumed.
func TestPoolAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := quota.Pool{Total: rapid.Int64Range(0, 200).Draw(t, "total")}
		total := pool.Total
		var held, used []int64
		sum := func(of []int64) (n int64) {
			for _, q := range of {
				n += q
			}
			return n
		}
		take := func(t *rapid.T) (int64, bool) {
			if len(held) == 0 {
				return 0, false
			}
			i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
			q := held[i]
			held = append(held[:i:i], held[i+1:]...)
			return q, true
		}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				q := rapid.Int64Range(1, 100).Draw(t, "quantity")
				next, err := pool.Reserve(q)
				left := total - sum(held) - sum(used)
				var short *quota.InsufficientError
				switch {
				case q <= left && err != nil:
					t.Fatalf("%d of %d left refused: %v", q, left, err)
				case q > left && (!errors.As(err, &short) || short.Available != left || short.Wanted != q || next != pool):
					t.Fatalf("%d of %d left gave %+v, %v", q, left, next, err)
				case q <= left:
					held = append(held, q)
				}
				pool = next
			},
			"consume": func(t *rapid.T) {
				if q, ok := take(t); ok {
					next, err := pool.Consume(q)
					if err != nil {
						t.Fatal(err)
					}
					pool, used = next, append(used, q)
				}
			},
			"release": func(t *rapid.T) {
				if q, ok := take(t); ok {
					next, err := pool.Release(q)
					if err != nil {
						t.Fatal(err)
					}
					pool = next
				}
			},
			"resize": func(t *rapid.T) {
				to := rapid.Int64Range(0, 300).Draw(t, "to")
				next, err := pool.Resize(to)
				if fits := to >= sum(held)+sum(used); fits != (err == nil) {
					t.Fatalf("resizing to %d with %d in use gave %v", to, sum(held)+sum(used), err)
				}
				if err == nil {
					total = to
				}
				pool = next
			},
			"": func(t *rapid.T) {
				want := quota.Pool{Total: total, Reserved: sum(held), Consumed: sum(used)}
				if pool != want {
					t.Fatalf("pool is %+v, want %+v", pool, want)
				}
				if pool.Available() < 0 || pool.Reserved < 0 || pool.Consumed < 0 {
					t.Fatalf("a figure is below zero: %+v", pool)
				}
			},
		})
	})
}

func TestMoreThanReservedNeverLeaves(t *testing.T) {
	pool := quota.Pool{Total: 10, Reserved: 3}
	for name, do := range map[string]func(int64) (quota.Pool, error){"consume": pool.Consume, "release": pool.Release} {
		var no *quota.NotReservedError
		if got, err := do(4); !errors.As(err, &no) || got != pool {
			t.Errorf("%s gave %+v, %v", name, got, err)
		}
	}
}
