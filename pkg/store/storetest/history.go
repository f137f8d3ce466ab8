package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/store"
)

// History runs transactions of many callers side by side until the context ends, and checks that what they were answered
// is what one store could have answered that carries out one transaction at a time, each at some moment between the
// question and the answer. The stores are several ways into the same one. Where the answer is that the outcome is unknown,
// either will do, at any time afterwards. The transactions are spread over the time that the context has.
func History(ctx context.Context, t *testing.T, stores ...store.Store) {
	t.Helper()
	const callers, keys, each = 8, 3, 400
	begun := clock.System{}.Now()
	end, _ := ctx.Deadline()
	var mu sync.Mutex
	var history []porcupine.Operation
	unknown, failed := 0, 0
	var wait sync.WaitGroup
	for caller := range callers {
		rng := rand.New(rand.NewPCG(1, uint64(caller)))
		wait.Go(func() {
			pace := time.NewTicker(max(1, end.Sub(begun)/each))
			defer pace.Stop()
			for n := 0; n < each && ctx.Err() == nil; n++ {
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
				in := move{update: rng.IntN(3) > 0, from: rng.IntN(keys), to: rng.IntN(keys), value: caller*10_000 + n + 1}
				op := porcupine.Operation{ClientId: caller, Input: in, Call: clock.System{}.Now().Sub(begun).Nanoseconds()}
				state, err := in.carryOut(ctx, stores[caller%len(stores)])
				op.Return, op.Output = clock.System{}.Now().Sub(begun).Nanoseconds(), seen{state: state}
				mu.Lock()
				switch {
				case err == nil:
					history = append(history, op)
				case in.update && errors.Is(err, store.ErrOutcomeUnknown):
					op.Return, op.Output = time.Duration(1<<62).Nanoseconds(), seen{unknown: true}
					history = append(history, op)
					unknown++
				default: // nothing was done
					failed++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	t.Logf("%d transactions, %d of unknown outcome, %d refused", len(history), unknown, failed)
	if len(history) < 20 {
		t.Errorf("only %d transactions were answered", len(history))
	}
	model := porcupine.Model{
		Init: func() any { return "0,0,0" },
		Step: func(state, input, output any) (bool, any) {
			before := parse(state.(string))
			in, out := input.(move), output.(seen)
			after := slices.Clone(before)
			if in.update {
				after[in.to] = after[in.from] + in.value
			}
			return out.unknown || out.state == show(before), show(after)
		},
	}
	// An update of unknown outcome may never have happened: the model lets it happen after all else, when nobody looks.
	switch porcupine.CheckOperationsTimeout(model, history, time.Minute) {
	case porcupine.Illegal:
		t.Error("no order of the transactions explains what they were answered")
	case porcupine.Unknown:
		t.Log("the history was not checked to its end in a minute")
	}
}

// move is a transaction: it reads all keys, by a scan, and, if it is an update, sets one to the value of another and some.
type move struct {
	update   bool
	from, to int
	value    int
}

type seen struct {
	state   string
	unknown bool
}

func (m move) carryOut(ctx context.Context, s store.Store) (state string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	read := func(r store.Reader) ([]int, error) {
		values := []int{0, 0, 0}
		for e, err := range r.Scan([]byte("h/"), []byte("h0"), store.Ascending) {
			if err != nil {
				return nil, err
			}
			var key, value int
			if _, err := fmt.Sscanf(string(e.Key)+" "+string(e.Value), "h/%d %d", &key, &value); err != nil {
				return nil, err
			}
			values[key] = value
		}
		return values, nil
	}
	if !m.update {
		err = s.View(ctx, func(r store.Reader) error {
			values, err := read(r)
			state = show(values)
			return err
		})
		return state, err
	}
	err = s.Update(ctx, func(tx store.Tx) error {
		values, err := read(tx)
		if err != nil {
			return err
		}
		state = show(values)
		return tx.Put(fmt.Append(nil, "h/", m.to), fmt.Append(nil, values[m.from]+m.value))
	})
	return state, err
}

func show(values []int) string { return fmt.Sprintf("%d,%d,%d", values[0], values[1], values[2]) }

func parse(state string) []int {
	values := []int{0, 0, 0}
	_, _ = fmt.Fscanf(strings.NewReader(state), "%d,%d,%d", &values[0], &values[1], &values[2])
	return values
}

// history checks a short history of each engine.
func history(t *testing.T, s store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	History(ctx, t, s)
}

// writeSkew has two transactions each read what the other writes: of two on duty one may leave, never both.
func writeSkew(t *testing.T, s store.Store) {
	for range 20 {
		put(t, s, "duty/a", "", "duty/b", "")
		leave := func(who string) error {
			return s.Update(context.Background(), func(tx store.Tx) error {
				on, err := all(tx.Scan([]byte("duty/"), []byte("duty0"), store.Ascending))
				if err != nil || len(on) < 2 {
					return err
				}
				return tx.Delete([]byte("duty/" + who))
			})
		}
		var wait sync.WaitGroup
		for _, who := range []string{"a", "b"} {
			wait.Go(func() {
				if err := leave(who); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		view(t, s, func(r store.Reader) error {
			on, err := all(r.Scan([]byte("duty/"), []byte("duty0"), store.Ascending))
			if len(on) != 1 {
				t.Errorf("%d are on duty, want 1", len(on))
			}
			return err
		})
	}
}

// phantoms has many transactions each take a place if there is one: they count the places taken and add one of their own.
func phantoms(t *testing.T, s store.Store) {
	const places = 5
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				taken, err := all(tx.Scan([]byte("place/"), []byte("place0"), store.Ascending))
				if err != nil || len(taken) >= places {
					return err
				}
				return tx.Put(fmt.Append(nil, "place/", i), nil)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	view(t, s, func(r store.Reader) error {
		taken, err := all(r.Scan(nil, nil, store.Ascending))
		if len(taken) != places {
			t.Errorf("%d places are taken, want %d", len(taken), places)
		}
		return err
	})
}

// outcomes ends contexts at chance moments: what is reported as ended was not done, and what is reported as done was.
func outcomes(t *testing.T, s store.Store) {
	rng := rand.New(rand.NewPCG(2, 3))
	for i := range 100 {
		key := fmt.Append(nil, "try/", i)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.Int64N(int64(2*time.Millisecond))))
		err := s.Update(ctx, func(tx store.Tx) error { return tx.Put(key, nil) })
		cancel()
		if errors.Is(err, store.ErrOutcomeUnknown) {
			continue
		}
		view(t, s, func(r store.Reader) error {
			if _, absent := r.Get(key); (absent == nil) != (err == nil) {
				t.Errorf("try %d was answered with %v, and reading it gives %v", i, err, absent)
			}
			return nil
		})
	}
}
