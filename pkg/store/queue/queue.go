// Package queue holds the updates of a store while they wait to share a commit. It is what the engines that commit in groups
// have in common: first come, first served; a bound on what waits; a caller who can give up until it is its turn.
package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yizhen/yizhen/pkg/store"
)

// maxWaiting is how many updates wait for a commit at most.
const maxWaiting = 4096

// Queue is the updates that wait. Any number of goroutines call Do; one takes them out, with Next and Poll.
type Queue struct {
	waiting  chan *Update
	patience time.Duration

	// closing guards the channel: updates are put in under its read lock, so none is put in once Close has it.
	closing sync.RWMutex
	closed  bool
}

// New returns an empty queue. A caller whose context ends while its update is carried out waits for what comes of it as
// long as patience more, and for ever if that is zero.
func New(patience time.Duration) *Queue {
	return &Queue{waiting: make(chan *Update, maxWaiting), patience: patience}
}

// The stages of an update. Whoever moves it away from waiting, who takes it out or a caller that gives up, has it.
const (
	waiting int32 = iota
	taken
	abandoned
)

// Update is one call of Do.
type Update struct {
	ctx   context.Context
	fn    func(store.Tx) error
	stage atomic.Int32
	done  chan struct{}

	// What came of it; valid once done is closed.
	err      error
	panicked any
}

// Do hands fn in and waits until it is known what came of it. A panic of fn is raised again here.
func (q *Queue) Do(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &Update{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := q.put(u); err != nil {
		return err
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		if u.stage.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		// It is being carried out: what comes of it is known soon, and must not be guessed.
		if err := q.linger(u); err != nil {
			return err
		}
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

func (q *Queue) put(u *Update) error {
	q.closing.RLock()
	defer q.closing.RUnlock()
	if q.closed {
		return store.ErrClosed
	}
	select {
	case q.waiting <- u:
		return nil
	default:
		return fmt.Errorf("%w: %d updates are waiting", store.ErrBusy, maxWaiting)
	}
}

// linger waits for an update whose context has ended.
func (q *Queue) linger(u *Update) error {
	if q.patience == 0 {
		<-u.done
		return nil
	}
	limit := time.NewTimer(q.patience)
	defer limit.Stop()
	select {
	case <-u.done:
		return nil
	case <-limit.C:
		return errors.Join(store.ErrOutcomeUnknown, u.ctx.Err())
	}
}

// Next waits for an update and takes it out. It returns nil once the queue is closed and empty.
func (q *Queue) Next() *Update {
	for u := range q.waiting {
		if u.take() {
			return u
		}
	}
	return nil
}

// Poll takes an update out if one waits, and returns nil if not.
func (q *Queue) Poll() *Update {
	for {
		select {
		case u := <-q.waiting:
			if u == nil || u.take() {
				return u // nil once the queue is closed and empty
			}
		default:
			return nil
		}
	}
}

// Len returns how many updates wait.
func (q *Queue) Len() int { return len(q.waiting) }

// Close lets no more updates in. Those that wait are still to be taken out.
func (q *Queue) Close() {
	q.closing.Lock()
	defer q.closing.Unlock()
	if !q.closed {
		q.closed = true
		close(q.waiting)
	}
}

func (u *Update) take() bool { return u.stage.CompareAndSwap(waiting, taken) }

// Context returns the caller's context.
func (u *Update) Context() context.Context { return u.ctx }

// Run calls the caller's function, and may do so again. A panic is caught, to be raised where the caller waits; ok tells
// that there was neither panic nor error, and that the caller's context has not ended.
func (u *Update) Run(tx store.Tx) (err error, ok bool) { //nolint:revive // ok says more than whether err is nil
	u.panicked = nil
	returned := false
	defer func() {
		if p := recover(); p != nil {
			u.panicked, ok = p, false
		} else if !returned {
			// t.Fatal in a test does this. It would end the goroutine that serves everybody.
			panic("an update has ended its goroutine: report the error and return instead")
		}
	}()
	err = u.fn(tx)
	returned = true
	if err == nil {
		err = u.ctx.Err()
	}
	return err, err == nil
}

// Finish tells the caller what came of it.
func (u *Update) Finish(err error) {
	u.err = err
	close(u.done)
}
