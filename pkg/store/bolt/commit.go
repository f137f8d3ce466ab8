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
	for first := c.queue.Next(); first != nil; first = c.queue.Next() {
		c.commit(first)
	}
}

// commit carries out one update and those that wait behind it, up to the bounds of a batch.
func (c *committer) commit(first *queue.Update) {
	tx, err := c.db.Begin(true)
	if err != nil {
		first.Finish(err)
		return
	}
	b := &batch{in: &buckets{tx: tx}}
	for u := first; u != nil; u = c.next(b) {
		b.run(u)
	}
	// The crash tests stop here: everything is in memory, nothing is written.
	// gofail: var beforeWrite struct{}
	if b.size == 0 {
		err = tx.Rollback() // nothing was written
	} else {
		err = tx.Commit()
	}
	// And here: it is on disk, and no caller knows.
	// gofail: var afterSync struct{}
	for _, d := range b.done {
		d.update.Finish(cmp.Or(err, d.err))
	}
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

// run carries one update out within the batch. All wait for the commit, also those that failed or wrote nothing: what they
// have seen of others is not on disk yet, and a refusal must not rest on what never came to be.
func (b *batch) run(u *queue.Update) {
	overlay := store.NewOverlay(reader{b.in})
	err, ok := u.Run(overlay)
	b.done = append(b.done, outcome{u, err})
	if !ok {
		return
	}
	for w := range overlay.Writes() {
		if err := b.write(w); err != nil {
			panic(err) // bbolt refuses only keys and values beyond its bounds, which are far beyond the overlay's
		}
	}
	b.size += overlay.Size()
}

func (b *batch) write(w store.Write) error {
	in := b.in.of(partOf(w.Key))
	if w.Deleted {
		return in.Delete(w.Key)
	}
	return in.Put(w.Key, w.Value)
}
