package bolt

import (
	"cmp"

	"go.etcd.io/bbolt"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/queue"
)

// Bounds of one commit.
const (
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
	db      *bbolt.DB
	queue   *queue.Queue
	stopped chan struct{}

	// broken is why nothing is written any more; stuck says that bbolt did not even get out of the transaction in which it came upon
	// that.
	broken error
	stuck  bool
}

func newCommitter(db *bbolt.DB) *committer {
	c := &committer{db: db, queue: queue.New(0), stopped: make(chan struct{})}
	go c.run()
	return c
}

// stop waits until everything that was handed in is carried out.
func (c *committer) stop() {
	c.queue.Close()
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	defer faultsPanic()()
	for first := c.queue.Next(); first != nil; first = c.queue.Next() {
		c.commit(first)
	}
}

// commit carries out one update and those that wait behind it, up to the bounds of a batch.
func (c *committer) commit(first *queue.Update) {
	if c.broken != nil {
		first.Finish(c.broken)
		return
	}
	tx, err := c.db.Begin(true)
	if err != nil {
		first.Finish(err)
		return
	}
	b := &batch{in: &buckets{tx: tx}}
	for u := first; u != nil && c.broken == nil; u = c.next(b) {
		if writes := b.run(u); writes != nil {
			_ = c.guard(tx, func() error { return b.write(writes) }) // it is in c.broken
		}
	}
	// The crash tests stop here: everything is in memory, nothing is written.
	// gofail: var beforeWrite struct{}
	switch {
	case c.broken != nil:
		err = c.broken
	case b.size == 0:
		err = tx.Rollback() // nothing was written
	default:
		err = c.guard(tx, tx.Commit)
	}
	// And here: it is on disk, and no caller knows.
	// gofail: var afterSync struct{}
	for _, d := range b.done {
		d.update.Finish(cmp.Or(err, d.err))
	}
}

// guard lets bbolt write. When it panics at a page that is not what it should be, nothing is written from then on: what it has in
// memory may be wrong by now, and a store that is damaged does not get better by being written to.
func (c *committer) guard(tx *bbolt.Tx, write func() error) (err error) {
	path := c.db.Path()
	defer func() {
		if found := recover(); found != nil {
			err = damaged(path, found)
			c.broken, c.stuck = err, !rollback(tx)
		}
	}()
	return write()
}

// rollback tells whether bbolt gets out of a transaction in which it has panicked.
func rollback(tx *bbolt.Tx) (out bool) {
	defer func() { out = recover() == nil }()
	_ = tx.Rollback()
	return true
}

// next takes another update into the batch if one waits and there is room.
func (c *committer) next(b *batch) *queue.Update {
	if len(b.done) >= maxBatch || b.size >= maxBatchBytes {
		return nil
	}
	return c.queue.Poll()
}

// batch is the updates that share a commit.
type batch struct {
	in   *buckets
	size int
	done []outcome
}

// outcome is what an update has come to, if the commit succeeds.
type outcome struct {
	update *queue.Update
	err    error
}

// run runs one update, and returns what is to be written of it, if anything. All wait for the commit, also those that failed or wrote nothing: what they
// have seen of others is not on disk yet, and a refusal must not rest on what never came to be.
func (b *batch) run(u *queue.Update) *store.Overlay {
	overlay := store.NewOverlay(reader{b.in})
	err, ok := u.Run(overlay)
	b.done = append(b.done, outcome{u, err})
	if !ok {
		return nil
	}
	return overlay
}

// write writes what an update has written.
func (b *batch) write(o *store.Overlay) error {
	for w := range o.Writes() {
		if err := b.writeOne(w); err != nil {
			panic(err) // bbolt refuses only keys and values beyond its bounds, which are far beyond the overlay's
		}
	}
	b.size += o.Size()
	return nil
}

func (b *batch) writeOne(w store.Write) error {
	in := b.in.of(partOf(w.Key))
	if w.Deleted {
		return in.Delete(w.Key)
	}
	return in.Put(w.Key, w.Value)
}
