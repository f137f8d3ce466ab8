// Package storetest holds what every engine of package store has to do, as one suite of tests.
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/store"
)

// Run runs the suite. Each call of open makes an empty store; the suite closes it.
func Run(t *testing.T, open func(testing.TB) store.Store) {
	cases := []struct {
		promise string
		check   func(*testing.T, store.Store)
	}{
		{"a scan is ordered and keeps to its bounds, both ways", scanBounds},
		{"a scan ends when its reader has enough", scanStops},
		{"a scan misses no key that writes during it left alone", scanUnderWrites},
		{"an empty value is a value", emptyValue},
		{"a large value comes back whole", largeValue},
		{"any bytes make a key, but none make none", keys},
		{"what is put is copied", copies},
		{"a transaction sees its own writes", ownWrites},
		{"an error rolls everything back", rollbackOnError},
		{"a panic rolls everything back, and the store lives on", rollbackOnPanic},
		{"a view sees one moment, whatever is committed meanwhile", snapshot},
		{"a context that has ended begins nothing", endedContext},
		{"a context that ends while it waits for its turn begins nothing", endsWaiting},
		{"a context that ends before the commit leaves nothing", contextEndsDuring},
		{"increments by many goroutines add up", increments},
		{"readers beside writers see no half of a commit", noHalves},
		{"transactions that read what the other writes do not both win", writeSkew},
		{"transactions that count what they add to keep to the number", phantoms},
		{"a context that ends at any moment leaves no doubt that is not told", outcomes},
		{"there is an order of transactions that explains all answers", history},
		{"a closed store says so", closed},
	}
	for _, c := range cases {
		t.Run(c.promise, func(t *testing.T) {
			s := open(t)
			defer shut(t, s)
			c.check(t, s)
		})
	}
	t.Run("it does what a map with sorted keys does", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			s := open(t)
			defer shut(t, s)
			asMap(rt, s)
		})
	})
}

func shut(t testing.TB, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

var errUndo = errors.New("undo")

// put commits keys with values, given in turn.
func put(t testing.TB, s store.Store, keysAndValues ...string) {
	t.Helper()
	update(t, s, func(tx store.Tx) error {
		for i := 0; i < len(keysAndValues); i += 2 {
			if err := tx.Put([]byte(keysAndValues[i]), []byte(keysAndValues[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
}

func update(t testing.TB, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t testing.TB, s store.Store, fn func(store.Reader) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// all collects what a scan yields.
func all(entries iter.Seq2[store.Entry, error]) (out []string, err error) {
	for e, err := range entries {
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%s=%s", e.Key, e.Value))
	}
	return out, nil
}

// expect compares all that is in a store.
func expect(t testing.TB, s store.Store, want ...string) {
	t.Helper()
	view(t, s, func(r store.Reader) error {
		got, err := all(r.Scan(nil, nil, store.Ascending))
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("in the store is %q, want %q", got, want)
		}
		return err
	})
}

func scanBounds(t *testing.T, s store.Store) {
	put(t, s, "b", "2", "a", "1", "c", "3", "a\x00", "1.5", "\xff", "9", "ab", "1.7")
	cases := []struct {
		from, to string
		want     []string // ascending
	}{
		{"", "", []string{"a=1", "a\x00=1.5", "ab=1.7", "b=2", "c=3", "\xff=9"}},
		{"a", "b", []string{"a=1", "a\x00=1.5", "ab=1.7"}},
		{"a\x00", "ab", []string{"a\x00=1.5"}},
		{"aa", "bb", []string{"ab=1.7", "b=2"}},
		{"b", "b", nil},
		{"c", "a", nil},
		{"c", "", []string{"c=3", "\xff=9"}},
		{"", "a", nil},
		{"d", "e", nil},
		{"\xff\xff", "", nil},
	}
	view(t, s, func(r store.Reader) error {
		for _, c := range cases {
			up, err := all(r.Scan([]byte(c.from), []byte(c.to), store.Ascending))
			if err != nil {
				return err
			}
			if !slices.Equal(up, c.want) {
				t.Errorf("scan [%q, %q) up is %q, want %q", c.from, c.to, up, c.want)
			}
			down, err := all(r.Scan([]byte(c.from), []byte(c.to), store.Descending))
			if err != nil {
				return err
			}
			slices.Reverse(down)
			if !slices.Equal(down, c.want) {
				t.Errorf("scan [%q, %q) down is, read backwards, %q, want %q", c.from, c.to, down, c.want)
			}
		}
		return nil
	})
}

func scanStops(t *testing.T, s store.Store) {
	put(t, s, "a", "1", "b", "2", "c", "3")
	view(t, s, func(r store.Reader) error {
		for order, want := range map[store.Order]string{store.Ascending: "a", store.Descending: "c"} {
			seen := 0
			for e, err := range r.Scan(nil, nil, order) {
				if err != nil {
					return err
				}
				if seen++; string(e.Key) != want {
					t.Errorf("the first key is %q, want %q", e.Key, want)
				}
				break
			}
			if seen != 1 {
				t.Errorf("%d keys were yielded before the break", seen)
			}
		}
		return nil
	})
}

// scanUnderWrites removes and adds keys while a scan runs, as a handler does that goes through an index and changes
// what it finds.
func scanUnderWrites(t *testing.T, s store.Store) {
	const n = 500 // several pages of a paged engine
	key := func(i int) []byte { return fmt.Appendf(nil, "k%04d", i) }
	for _, order := range []store.Order{store.Ascending, store.Descending} {
		for _, how := range []struct {
			name   string
			change func(tx store.Tx, seen []byte) error
		}{
			{"deleting what was seen", func(tx store.Tx, seen []byte) error { return tx.Delete(seen) }},
			{"replacing what was seen", func(tx store.Tx, seen []byte) error { return tx.Put(seen, bytes.Repeat(seen, 20)) }},
			{"moving what was seen out of the range", func(tx store.Tx, seen []byte) error {
				moved := append([]byte("z"), seen...)
				return errors.Join(tx.Delete(seen), tx.Put(moved, nil))
			}},
			{"deleting it and adding before the range", func(tx store.Tx, seen []byte) error {
				added := append([]byte("a"), seen...)
				return errors.Join(tx.Delete(seen), tx.Put(added, nil))
			}},
		} {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				for i := range n {
					if err := tx.Put(key(i), nil); err != nil {
						return err
					}
				}
				seen := map[string]bool{}
				for e, err := range tx.Scan([]byte("k"), []byte("l"), order) {
					if err != nil {
						return err
					}
					if seen[string(e.Key)] {
						t.Errorf("descending %v, %s: %s came twice", order, how.name, e.Key)
					}
					seen[string(e.Key)] = true
					if err := how.change(tx, e.Key); err != nil {
						return err
					}
				}
				if len(seen) != n {
					t.Errorf("descending %v, %s: %d keys were yielded, want %d", order, how.name, len(seen), n)
				}
				return errUndo
			})
			if !errors.Is(err, errUndo) {
				t.Fatal(err)
			}
		}
	}
}

func emptyValue(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Put([]byte("nil"), nil), tx.Put([]byte("none"), []byte{}))
	})
	view(t, s, func(r store.Reader) error {
		for _, key := range []string{"nil", "none"} {
			if v, err := r.Get([]byte(key)); err != nil || len(v) != 0 {
				t.Errorf("Get(%s) = %q, %v", key, v, err)
			}
		}
		if _, err := r.Get([]byte("absent")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of an absent key: %v, want ErrNotFound", err)
		}
		return nil
	})
	expect(t, s, "nil=", "none=")
}

func largeValue(t *testing.T, s store.Store) {
	large := make([]byte, 1<<20)
	for i := range large {
		large[i] = byte(i * 7 / 3)
	}
	update(t, s, func(tx store.Tx) error { return tx.Put([]byte("large"), large) })
	view(t, s, func(r store.Reader) error {
		got, err := r.Get([]byte("large"))
		if !bytes.Equal(got, large) {
			t.Errorf("%d bytes come back changed", len(got))
		}
		return err
	})
}

func keys(t *testing.T, s store.Store) {
	for _, key := range []string{"\x00", "\xff\xff", "a/b\x00c", "认定", string(bytes.Repeat([]byte("k"), 1000))} {
		put(t, s, key, "v")
		view(t, s, func(r store.Reader) error {
			_, err := r.Get([]byte(key))
			return err
		})
	}
	err := s.Update(context.Background(), func(tx store.Tx) error { return tx.Put(nil, []byte("v")) })
	if err == nil {
		t.Error("an empty key was taken")
	}
	update(t, s, func(tx store.Tx) error { return tx.Delete([]byte("was never there")) })
	view(t, s, func(r store.Reader) error {
		if _, err := r.Get(nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of the empty key: %v, want ErrNotFound", err)
		}
		return nil
	})
}

func copies(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		key, value := []byte("key"), []byte("value")
		if err := tx.Put(key, value); err != nil {
			return err
		}
		copy(key, "XXX")
		copy(value, "XXXXX")
		return nil
	})
	expect(t, s, "key=value")
}

func ownWrites(t *testing.T, s store.Store) {
	put(t, s, "a", "1", "b", "2")
	update(t, s, func(tx store.Tx) error {
		if err := errors.Join(tx.Put([]byte("c"), []byte("3")), tx.Delete([]byte("a")), tx.Put([]byte("b"), []byte("two"))); err != nil {
			return err
		}
		got, err := all(tx.Scan(nil, nil, store.Descending))
		if want := []string{"c=3", "b=two"}; !slices.Equal(got, want) {
			t.Errorf("the transaction sees %q, want %q", got, want)
		}
		if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of a key just deleted: %v, want ErrNotFound", err)
		}
		return err
	})
	expect(t, s, "b=two", "c=3")
}

func rollbackOnError(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	err := s.Update(context.Background(), func(tx store.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("2")), tx.Put([]byte("b"), nil), errUndo)
	})
	if !errors.Is(err, errUndo) {
		t.Errorf("Update: %v, want the error of its function", err)
	}
	expect(t, s, "a=1")
	if err := s.View(context.Background(), func(store.Reader) error { return errUndo }); !errors.Is(err, errUndo) {
		t.Errorf("View: %v, want the error of its function", err)
	}
}

func rollbackOnPanic(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	panics := func(what string, fn func()) {
		defer func() {
			if p := recover(); p != "out of here" {
				t.Errorf("%s: recovered %v; the panic is the caller's to see", what, p)
			}
		}()
		fn()
	}
	panics("Update", func() {
		_ = s.Update(context.Background(), func(tx store.Tx) error {
			if err := tx.Put([]byte("a"), []byte("2")); err != nil {
				t.Error(err)
			}
			panic("out of here")
		})
	})
	panics("View", func() {
		_ = s.View(context.Background(), func(store.Reader) error { panic("out of here") })
	})
	expect(t, s, "a=1")
	put(t, s, "b", "2")
	expect(t, s, "a=1", "b=2")
}

func snapshot(t *testing.T, s store.Store) {
	put(t, s, "a", "old", "b", "old")
	view(t, s, func(r store.Reader) error {
		committed := make(chan error)
		go func() {
			committed <- s.Update(context.Background(), func(tx store.Tx) error {
				return errors.Join(tx.Put([]byte("a"), []byte("new")), tx.Delete([]byte("b")), tx.Put([]byte("c"), nil))
			})
		}()
		if err := <-committed; err != nil {
			return err
		}
		got, err := all(r.Scan(nil, nil, store.Ascending))
		if want := []string{"a=old", "b=old"}; !slices.Equal(got, want) {
			t.Errorf("the view sees %q, want %q", got, want)
		}
		return err
	})
	expect(t, s, "a=new", "c=")
}

func endedContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	called := false
	if err := s.View(ctx, func(store.Reader) error { called = true; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v, want context.Canceled", err)
	}
	if err := s.Update(ctx, func(store.Tx) error { called = true; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v, want context.Canceled", err)
	}
	if called {
		t.Error("the function was called")
	}
}

func endsWaiting(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error, 1)
	update(t, s, func(store.Tx) error {
		go func() {
			waited <- s.Update(ctx, func(store.Tx) error {
				if ctx.Err() != nil {
					t.Error("the function was called after its context had ended")
				}
				return nil
			})
		}()
		cancel()
		return nil
	})
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v, want context.Canceled", err)
	}
}

func contextEndsDuring(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	err := s.Update(ctx, func(tx store.Tx) error {
		defer cancel()
		return tx.Put([]byte("a"), nil)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v, want context.Canceled", err)
	}
	expect(t, s)
}

func increments(t *testing.T, s store.Store) {
	const goroutines, each = 16, 20
	counter := []byte("counter")
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for range each {
				err := s.Update(context.Background(), func(tx store.Tx) error {
					var n uint64
					v, err := tx.Get(counter)
					if err == nil {
						n = binary.BigEndian.Uint64(v)
					} else if !errors.Is(err, store.ErrNotFound) {
						return err
					}
					return tx.Put(counter, binary.BigEndian.AppendUint64(nil, n+1))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	view(t, s, func(r store.Reader) error {
		v, err := r.Get(counter)
		if err == nil && binary.BigEndian.Uint64(v) != goroutines*each {
			t.Errorf("the counter stands at %d, want %d", binary.BigEndian.Uint64(v), goroutines*each)
		}
		return err
	})
}

// noHalves moves an amount to and fro between two keys; every reader finds the same sum.
func noHalves(t *testing.T, s store.Store) {
	put(t, s, "left", "\x64", "right", "\x00")
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := s.View(context.Background(), func(r store.Reader) error {
					left, err := r.Get([]byte("left"))
					if err != nil {
						return err
					}
					right, err := r.Get([]byte("right"))
					if err == nil && left[0]+right[0] != 100 {
						t.Errorf("a reader saw %d and %d", left[0], right[0])
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range byte(100) {
		put(t, s, "left", string([]byte{99 - i}), "right", string([]byte{1 + i}))
	}
	close(done)
	wait.Wait()
}

func closed(t *testing.T, s store.Store) {
	put(t, s, "a", "1")
	shut(t, s)
	ctx := context.Background()
	if err := s.View(ctx, func(store.Reader) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("View: %v, want ErrClosed", err)
	}
	if err := s.Update(ctx, func(store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Update: %v, want ErrClosed", err)
	}
}

// asMap does the same to a store and to a map, in transactions some of which are undone, and compares every answer.
func asMap(t *rapid.T, s store.Store) {
	// Few and short keys, so that they meet.
	keys := rapid.SliceOfN(rapid.ByteRange(0xfe, 0xff), 1, 4)
	bounds := rapid.SliceOfN(rapid.ByteRange(0xfd, 0xff), 0, 4)
	committed := map[string]string{}
	for range rapid.IntRange(1, 5).Draw(t, "transactions") {
		var model map[string]string
		undo := rapid.Bool().Draw(t, "undo")
		steps := rapid.IntRange(0, 12).Draw(t, "steps")
		err := s.Update(context.Background(), func(tx store.Tx) error {
			model = maps.Clone(committed) // it may run again
			for range steps {
				if err := step(t, tx, model, keys, bounds); err != nil {
					return err
				}
			}
			if undo {
				return errUndo
			}
			return nil
		})
		if err != nil && !errors.Is(err, errUndo) {
			t.Fatal(err)
		}
		if err == nil {
			committed = model
		}
		err = s.View(context.Background(), func(r store.Reader) error {
			return scanLike(t, r, committed, nil, nil, store.Ascending)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func step(t *rapid.T, tx store.Tx, model map[string]string, keys, bounds *rapid.Generator[[]byte]) error {
	switch rapid.SampledFrom([]string{"put", "put", "delete", "get", "scan"}).Draw(t, "step") {
	case "put":
		key, value := keys.Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")
		model[string(key)] = string(value)
		return tx.Put(key, value)
	case "delete":
		key := keys.Draw(t, "key")
		delete(model, string(key))
		return tx.Delete(key)
	case "get":
		key := keys.Draw(t, "key")
		got, err := tx.Get(key)
		want, ok := model[string(key)]
		if errors.Is(err, store.ErrNotFound) && !ok {
			return nil
		}
		if !ok || string(got) != want {
			t.Fatalf("Get(%x) = %x, %v; want %x, there: %v", key, got, err, want, ok)
		}
		return err
	default:
		order := store.Order(rapid.Bool().Draw(t, "descending"))
		return scanLike(t, tx, model, bounds.Draw(t, "from"), bounds.Draw(t, "to"), order)
	}
}

func scanLike(t *rapid.T, r store.Reader, model map[string]string, from, to []byte, order store.Order) error {
	var want []string
	for _, key := range slices.Sorted(maps.Keys(model)) {
		if key >= string(from) && (len(to) == 0 || key < string(to)) {
			want = append(want, key+"="+model[key])
		}
	}
	if order == store.Descending {
		slices.Reverse(want)
	}
	got, err := all(r.Scan(from, to, order))
	if err == nil && !slices.Equal(got, want) {
		t.Fatalf("scan [%x, %x) descending %v is %q, want %q", from, to, order, got, want)
	}
	return err
}
