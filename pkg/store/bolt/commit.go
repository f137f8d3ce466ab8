package bolt

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/yizhen/yizhen/pkg/store"
)

// Bounds of what waits for a commit, and of one commit.
const (
	maxWaiting    = 4096
	maxBatch      = 512
	maxBatchBytes = 16 << 20
)

// committer runs updates one after the other and commits them in batches: whatever is waiting when a commit begins shares
// it. There is no delay to wait for company: while one batch is being synced to disk the next one gathers, so batches are
// as large as the disk is slow.
//
// Each update writes into an overlay of its own, which is carried out only if the update succeeds. So one that fails, or
// panics, takes nothing with it.
type committer struct {
	db    *bbolt.DB
	queue chan *update

	// closing guards the queue: updates are put in under its read lock, so none is put in once stop has it.
	closing sync.RWMutex
	closed  bool
	stopped chan struct{}
}

// The stages of an update. Whoever moves it away from waiting, the committer or a caller that gives up, has it.
const (
	waiting int32 = iota
	taken
	abandoned
)

// update is one call of Update.
type update struct {
	ctx   context.Context
	fn    func(store.Tx) error
	stage atomic.Int32
	done  chan struct{}

	// What came of it; valid once done is closed.
	err      error
	panicked any
}

func newCommitter(db *bbolt.DB) *committer {
	c := &committer{db: db, queue: make(chan *update, maxWaiting), stopped: make(chan struct{})}
	go c.run()
	return c
}

// update hands fn to the committer and waits until what it wrote is on disk.
func (c *committer) update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := c.enqueue(u); err != nil {
		return err
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		if u.stage.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		<-u.done // it is being carried out: what comes of it is known soon, and must not be guessed
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

func (c *committer) enqueue(u *update) error {
	c.closing.RLock()
	defer c.closing.RUnlock()
	if c.closed {
		return store.ErrClosed
	}
	select {
	case c.queue <- u:
		return nil
	default:
		return fmt.Errorf("%w: %d updates are waiting", store.ErrBusy, maxWaiting)
	}
}

// stop waits until everything that was handed in is carried out.
func (c *committer) stop() {
	c.closing.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.closing.Unlock()
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	for first := range c.queue {
		c.commit(first)
	}
}

// commit carries out one update and those that wait behind it, up to the bounds of a batch.
func (c *committer) commit(first *update) {
	tx, err := c.db.Begin(true)
	if err != nil {
		first.finish(err)
		return
	}
	b := &batch{bucket: tx.Bucket(bucket)}
	for u := first; u != nil; u = c.next(b) {
		b.run(u)
	}
	// gofail: var beforeWrite struct{}
	if b.size == 0 {
		err = tx.Rollback() // nothing was written
	} else {
		err = tx.Commit()
	}
	// gofail: var afterSync struct{}
	for _, u := range b.done {
		u.finish(err)
	}
}

// next takes another update into the batch if one waits and there is room.
func (c *committer) next(b *batch) *update {
	if len(b.done) >= maxBatch || b.size >= maxBatchBytes {
		return nil
	}
	select {
	case u := <-c.queue:
		return u // nil once the queue is closed and empty
	default:
		return nil
	}
}

// batch is the updates that share a commit.
type batch struct {
	bucket *bbolt.Bucket
	size   int
	done   []*update
}

// run carries one update out within the batch. One that fails is told at once; the others wait for the commit, also those
// that wrote nothing, since they have seen what is not on disk yet.
func (b *batch) run(u *update) {
	if !u.stage.CompareAndSwap(waiting, taken) {
		return
	}
	overlay := store.NewOverlay(reader{b.bucket})
	if err := u.call(overlay); err != nil || u.panicked != nil {
		u.finish(err)
		return
	}
	for w := range overlay.Writes() {
		if err := b.write(w); err != nil {
			panic(err) // bbolt refuses only keys and values beyond its bounds, which are far beyond the overlay's
		}
	}
	b.size += overlay.Size()
	b.done = append(b.done, u)
}

func (b *batch) write(w store.Write) error {
	if w.Deleted {
		return b.bucket.Delete(w.Key)
	}
	return b.bucket.Put(w.Key, w.Value)
}

// call runs the caller's function. A panic is caught here, to be raised again where the caller waits.
func (u *update) call(tx store.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			u.panicked = p
		}
	}()
	if err := u.fn(tx); err != nil {
		return err
	}
	return u.ctx.Err()
}

func (u *update) finish(err error) {
	u.err = err
	close(u.done)
}
