package etcd

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/queue"
)

const (
	// patience is how long a caller whose context has ended waits to hear what came of its commit: longer than it takes to
	// elect a leader.
	patience = 5 * time.Second
	// maxBatch bounds how many updates share a commit.
	maxBatch = 512
	// opBytes and commitBytes are at least what etcd's encoding adds to a key and its value, and to a transaction.
	opBytes     = 32
	commitBytes = 1 << 10
)

// limits are those of one transaction of the cluster.
type limits struct{ ops, bytes int }

// errLost: somebody else has committed first.
var errLost = errors.New("another commit came first")

// run carries updates out one after the other and commits them in batches: whatever waits when a batch begins shares it,
// as far as the cluster's limits allow. While one batch is being committed the next one gathers.
func (s *Store) run() {
	defer close(s.stopped)
	var held []*queue.Update // taken out, but not in a batch that was committed
	for {
		if len(held) == 0 {
			first := s.queue.Next()
			if first == nil {
				return
			}
			held = append(held, first)
		}
		held = s.commit(held)
	}
}

// commit carries out updates, and those that wait behind them, until as many as go into one commit are committed. It
// returns those that did not go into it.
func (s *Store) commit(held []*queue.Update) (rest []*queue.Update) {
	s.turn.give(s.ctx)
	losses := 0
	for pause := firstPause / 4; ; pause = longer(pause) {
		b, left := s.gather(held)
		held = left
		err := s.send(b)
		if !errors.Is(err, errLost) {
			b.finish(err)
			return held
		}
		// Those of the batch come first again, in their order.
		held = append(b.all(), held...)
		if losses++; losses == losesPatience {
			s.ask()
		}
		if losses > 1 && !wait(s.ctx, pause) {
			return held
		}
		if held = living(held); len(held) == 0 {
			return nil
		}
	}
}

// living finishes the updates whose callers have gone.
func living(held []*queue.Update) (rest []*queue.Update) {
	for _, u := range held {
		if err := u.Context().Err(); err != nil {
			u.Finish(err)
			continue
		}
		rest = append(rest, u)
	}
	return rest
}

// batch is the updates that share a commit.
type batch struct {
	reader *reader
	writes *store.Overlay
	ops    map[string]int // the size of each write
	size   int
	done   []outcome
}

// outcome is what came of an update if the batch is committed. One that failed counts too: what it has seen, of the store or
// of those before it in the batch, is certain only then.
type outcome struct {
	update *queue.Update
	err    error
	wrote  bool
}

// gather runs updates that were taken out before and others that wait, in their order, until no more go in.
func (s *Store) gather(held []*queue.Update) (b *batch, rest []*queue.Update) {
	b = &batch{ops: map[string]int{}, size: commitBytes}
	next := func() *queue.Update {
		if len(held) > 0 {
			u := held[0]
			held = held[1:]
			return u
		}
		return s.queue.Poll()
	}
	for u := next(); u != nil; u = next() {
		if b.reader == nil {
			at, err := s.begin(u.Context())
			if err != nil {
				u.Finish(err)
				continue
			}
			b.reader = &reader{store: s, at: at}
			b.writes = store.NewOverlay(b.reader)
		}
		if !b.run(u, s.limits) {
			return b, append([]*queue.Update{u}, held...)
		}
		if len(b.done) >= maxBatch || b.reader.failed != nil {
			break
		}
	}
	return b, held
}

// begin finds out where the next batch begins: where our last commit ended, or, if others have committed, at the newest point.
func (s *Store) begin(ctx context.Context) (point, error) {
	at, ok := s.cache.point()
	select {
	case <-s.foreign:
	default:
		if ok {
			return at, nil
		}
	}
	at, err := s.now(ctx)
	if err != nil {
		s.distrust()
		return at, err
	}
	s.cache.restart(at)
	return at, nil
}

// run carries one update out within the batch. It returns false if its writes do not fit in with those before it.
func (b *batch) run(u *queue.Update, l limits) bool {
	b.reader.ctx = u.Context()
	tx := store.NewOverlay(b.writes)
	err, ok := u.Run(tx)
	if failed := b.reader.failed; failed != nil {
		if errors.Is(failed, errMoved) {
			return false // the batch is out of date; it will lose, and run again
		}
		b.reader.failed = nil
		u.Finish(failed)
		return true
	}
	if !ok {
		b.done = append(b.done, outcome{update: u, err: err})
		return true
	}
	ops, size := len(b.ops), b.size
	own, ownSize := 0, commitBytes
	for w := range tx.Writes() {
		bytes := len(w.Key) + len(w.Value) + opBytes
		own, ownSize = own+1, ownSize+bytes
		was, there := b.ops[string(w.Key)]
		if !there {
			ops++
		}
		size += bytes - was
	}
	if ops+1 > l.ops || size > l.bytes { // one more for the guard
		if own+1 > l.ops || ownSize > l.bytes {
			b.done = append(b.done, outcome{update: u, err: fmt.Errorf(
				"%w: the transaction writes %d keys and about %d bytes, and the cluster is said to take %d and %d: "+
					"start its members with a higher --max-txn-ops or --max-request-bytes, and then say so in the store's URL",
				store.ErrTooLarge, own, ownSize, l.ops-1, l.bytes)})
			return true
		}
		return false
	}
	b.size = size
	for w := range tx.Writes() {
		b.ops[string(w.Key)] = len(w.Key) + len(w.Value) + opBytes
		if w.Deleted {
			_ = b.writes.Delete(w.Key)
		} else {
			_ = b.writes.Put(w.Key, w.Value) // the update's own overlay has taken it already
		}
	}
	b.done = append(b.done, outcome{update: u, wrote: own > 0})
	return true
}

func (b *batch) all() (updates []*queue.Update) {
	for _, o := range b.done {
		updates = append(updates, o.update)
	}
	return updates
}

// finish tells the callers. An error of the commit is that of all of them; one who wrote nothing has lost nothing.
func (b *batch) finish(err error) {
	for _, o := range b.done {
		switch {
		case err == nil:
			o.update.Finish(o.err)
		case !o.wrote && errors.Is(err, store.ErrOutcomeUnknown):
			o.update.Finish(fmt.Errorf("%w: %w", store.ErrUnavailable, context.DeadlineExceeded))
		default:
			o.update.Finish(err)
		}
	}
}

// operations are the writes as the cluster carries them out.
func (b *batch) operations(k keys) []clientv3.Op {
	ops := make([]clientv3.Op, 0, b.writes.Len()+1)
	for w := range b.writes.Writes() {
		if w.Deleted {
			ops = append(ops, clientv3.OpDelete(k.data+string(w.Key)))
		} else {
			ops = append(ops, clientv3.OpPut(k.data+string(w.Key), string(w.Value)))
		}
	}
	return ops
}

// send commits a batch. If it writes nothing it only makes sure that the store has not moved, so that what was seen was
// so at a moment after the callers asked.
func (s *Store) send(b *batch) error {
	if len(b.done) == 0 {
		if b.reader != nil && b.reader.failed != nil {
			s.distrust()
			return errLost
		}
		return nil
	}
	ctx, cancel := s.callers(b)
	defer cancel()
	if len(b.ops) == 0 {
		now, err := s.now(ctx)
		if err != nil {
			return err
		}
		moved := now.guard != b.reader.at.guard
		s.cache.restart(now)
		if moved {
			return errLost
		}
		return nil
	}
	id := s.nextID()
	at := b.reader.at
	guard := s.keys.guard
	op := clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(guard), "=", at.guard)},
		append(b.operations(s.keys), clientv3.OpPut(guard, string(id))),
		[]clientv3.Op{clientv3.OpGet(guard)},
	)
	doubt := false // whether a send before may have been carried out
	for pause := firstPause; ; pause = longer(pause) {
		var res *clientv3.TxnResponse
		// gofail: var beforeSend struct{}
		err := s.cluster.call(ctx, func(ctx context.Context) (err error) {
			res, err = s.cluster.once(ctx, op)
			return err
		})
		// gofail: var afterAnswer struct{}
		switch {
		case err == nil && res.Succeeded:
			s.cache.follow(point{guard: res.Header.Revision, version: at.version + 1, created: at.created, revision: res.Header.Revision}, b.writes)
			return nil
		case err == nil:
			return s.settle(ctx, res, at, id)
		case !passing(err) && !doubt:
			return translate(err) // the cluster has refused it
		}
		doubt = true
		if !wait(ctx, pause) {
			// It may still come to pass. What is known of the store no longer holds.
			s.distrust()
			return fmt.Errorf("%w: commit %s: %w", store.ErrOutcomeUnknown, idString(id), err)
		}
	}
}

// settle finds out whether a commit whose compare failed was made by a send before, whose answer was lost: then the value
// that the guard had right after the point of the compare is the commit's. etcd's client sends again by itself too, in some
// cases, so this is asked after every compare that fails.
func (s *Store) settle(ctx context.Context, res *clientv3.TxnResponse, at point, id []byte) error {
	found := res.Responses[0].GetResponseRange().Kvs
	if len(found) == 0 {
		s.distrust()
		return fmt.Errorf("the guard %s is gone: somebody has removed the store", s.keys.guard)
	}
	s.distrust()
	next, err := s.after(ctx, found[0], at)
	if err != nil {
		return fmt.Errorf("%w: commit %s: %w", store.ErrOutcomeUnknown, idString(id), err)
	}
	if string(next.Value) == string(id) {
		return nil
	}
	return errLost
}

// after returns the guard as the commit after a point left it. Its history is searched between that point and now; each
// version of the guard is a commit.
func (s *Store) after(ctx context.Context, now *pb.KeyValue, at point) (*pb.KeyValue, error) {
	if now.CreateRevision != at.created {
		return nil, errors.New("the store was removed and made anew")
	}
	if now.Version == at.version+1 {
		return now, nil
	}
	// version tells how many commits there are up to a revision.
	var found *pb.KeyValue
	var failed error
	sort.Search(int(now.ModRevision-at.guard), func(i int) bool {
		if failed != nil {
			return true
		}
		res, err := s.cluster.get(ctx, s.keys.guard, clientv3.WithRev(at.guard+int64(i)))
		if err != nil || len(res.Kvs) == 0 {
			failed = errors.Join(errors.New("the guard's history is not to be read"), err)
			return true
		}
		if kv := res.Kvs[0]; kv.Version == at.version+1 {
			found = kv
		}
		return res.Kvs[0].Version > at.version
	})
	if failed != nil {
		return nil, failed
	}
	if found == nil {
		return nil, errors.New("the guard's history has a gap")
	}
	return found, nil
}

// distrust has the next batch begin with a look at the guard.
func (s *Store) distrust() {
	select {
	case s.foreign <- struct{}{}:
	default:
	}
}

// callers returns a context that ends when no caller of the batch waits any more.
func (s *Store) callers(b *batch) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(s.ctx, maxWait)
	var mu sync.Mutex
	waiting := len(b.done)
	var stops []func() bool
	var limit *time.Timer
	for _, o := range b.done {
		stops = append(stops, context.AfterFunc(o.update.Context(), func() {
			mu.Lock()
			defer mu.Unlock()
			if waiting--; waiting == 0 {
				limit = time.AfterFunc(patience*9/10, cancel)
			}
		}))
	}
	return ctx, func() {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		for _, stop := range stops {
			stop()
		}
		if limit != nil {
			limit.Stop()
		}
	}
}
