// Package etcd keeps records in an etcd cluster, for services that outgrow one machine: several replicas of a service share
// one store, and a member of the cluster that is lost takes nothing with it.
//
// # The guard
//
// Every transaction of a store writes one key, its guard, and compares one thing when it commits: that the guard's
// modification revision is still the one at which the transaction read. That makes it serialisable. A transaction reads
// all that it reads at one revision; if the compare holds, no other transaction of this store came between that revision
// and the commit, so what was read, the keys that were found missing and the ends of scans included, is what would be
// read at the moment of the commit. It is as if the whole transaction had happened at that moment. If the compare does
// not hold, somebody was faster, nothing is written, and the transaction runs again.
//
// The guard's value is the commit's own identifier, never used twice. When the answer to a commit is lost the same commit
// is sent again: at most one of the two can pass the compare. If neither answer comes through, or the compare fails, the
// value that the guard had right after the revision of the compare, which etcd still knows, tells whether it was ours.
//
// # Keys
//
// Below the store's prefix are: "guard"; "identity", by which a store and its version are known; "turn", with which a replica
// that loses again and again asks the others to let it go first; and under "d/" the store's own keys, as they are.
package etcd

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/queue"
)

// version is what the identity of a store says: the layout that this package reads and writes.
const version = "yizhen store 1"

// Store is a store in an etcd cluster.
type Store struct {
	cluster *cluster
	keys    keys
	limits  limits
	queue   *queue.Queue
	cache   cache
	tops    tops

	// replica begins the identifiers of all commits that are made through this Store, and count ends them.
	replica [8]byte
	count   uint64

	// foreign has an element when others have committed since the committer last looked.
	foreign chan struct{}
	// turn is closed, and replaced, when another replica has committed; asked tells that one waits for its turn.
	turn  turn
	heard []func()
	mu    sync.Mutex // guards heard

	ctx     context.Context // ends when the store is closed
	cancel  context.CancelFunc
	closed  atomic.Bool
	stopped chan struct{} // closed when the committer has ended
	views   sync.WaitGroup
	watcher sync.WaitGroup
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Notifier = (*Store)(nil)
)

// keys are the keys of a store in the cluster.
type keys struct{ prefix, guard, identity, turn, data, dataEnd string }

func keysBelow(prefix string) keys {
	data := prefix + "d/"
	return keys{
		prefix: prefix, guard: prefix + "guard", identity: prefix + "identity", turn: prefix + "turn",
		data: data, dataEnd: string(store.PrefixEnd([]byte(data))),
	}
}

// point is a moment in the life of a store.
type point struct {
	// guard is the guard's modification revision, which is that of the last commit; version and created are the guard's too.
	guard, version, created int64
	// revision is one of etcd's at which nothing has been committed since. Where others use the cluster too it may be later.
	revision int64
}

func pointOf(kv *pb.KeyValue, revision int64) point {
	return point{guard: kv.ModRevision, version: kv.Version, created: kv.CreateRevision, revision: revision}
}

// Open opens a store that begins below a prefix of a cluster, and creates it if there is nothing there.
func Open(ctx context.Context, o Options) (*Store, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", o, err)
	}
	c, err := dial(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", o, errors.Join(err, o.unreachable(ctx, err)))
	}
	s := &Store{
		cluster: c, keys: keysBelow(o.Prefix), limits: limits{ops: o.MaxTxnOps, bytes: o.MaxRequestBytes}, queue: queue.New(patience),
		foreign: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if _, err := rand.Read(s.replica[:]); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := s.identify(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", o, errors.Join(err, o.unreachable(ctx, err))), c.close())
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.turn.reset()
	s.watcher.Go(s.watch)
	go s.run()
	return s, nil
}

// identify creates the store, or makes sure that what is there is one of ours and nothing else.
func (s *Store) identify(ctx context.Context) error {
	if err := s.alone(ctx); err != nil {
		return err
	}
	res, err := s.cluster.txn(ctx, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(s.keys.prefix).WithPrefix(), "=", 0)}, // there is nothing yet
		[]clientv3.Op{clientv3.OpPut(s.keys.identity, version), clientv3.OpPut(s.keys.guard, string(s.nextID()))},
		[]clientv3.Op{
			clientv3.OpGet(s.keys.identity),
			clientv3.OpGet(s.keys.guard),
			clientv3.OpGet(s.keys.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(s.keys.data, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(s.keys.turn, clientv3.WithCountOnly()),
		}))
	if err != nil {
		return err
	}
	if res.Succeeded {
		return nil
	}
	answer := func(i int) *clientv3.GetResponse { return (*clientv3.GetResponse)(res.Responses[i].GetResponseRange()) }
	identity, guard := answer(0).Kvs, answer(1).Kvs
	all, data, turn := answer(2).Count, answer(3).Count, answer(4).Count
	switch {
	case len(identity) == 0:
		return fmt.Errorf("there are %d keys below %s that are no store of this program's: give it a prefix of its own", all, s.keys.prefix)
	case string(identity[0].Value) != version:
		return fmt.Errorf("it is %q, and this program knows %q: it was written by another version", identity[0].Value, version)
	case len(guard) == 0:
		return fmt.Errorf("its guard %s is missing: it was not written by this program alone", s.keys.guard)
	case all != data+turn+2:
		return fmt.Errorf("there are %d foreign keys below %s: give the store a prefix of its own", all-data-turn-2, s.keys.prefix)
	}
	return nil
}

// alone makes sure that the prefix is not within another store.
func (s *Store) alone(ctx context.Context) error {
	path := strings.TrimSuffix(s.keys.prefix, "/")
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		res, err := s.cluster.get(ctx, keysBelow(path[:i+1]).identity, clientv3.WithCountOnly())
		switch {
		case is(err, rpctypes.ErrGRPCPermissionDenied):
			continue // what the user may not read is none of this program's
		case err != nil:
			return err
		}
		if res.Count > 0 {
			return fmt.Errorf("%s lies within the store %s: give it a prefix of its own", s.keys.prefix, path[:i+1])
		}
	}
	return nil
}

// nextID makes the identifier of a commit. Only the committer calls it, and Open before there is one.
func (s *Store) nextID() []byte {
	s.count++
	return binary.BigEndian.AppendUint64(s.replica[:len(s.replica):len(s.replica)], s.count)
}

func (s *Store) own(id []byte) bool { return strings.HasPrefix(string(id), string(s.replica[:])) }

// now finds out where the store stands, after everything that was committed before the call.
func (s *Store) now(ctx context.Context) (point, error) {
	res, err := s.cluster.get(ctx, s.keys.guard)
	if err != nil {
		return point{}, err
	}
	if len(res.Kvs) == 0 {
		return point{}, fmt.Errorf("the guard %s is gone: somebody has removed the store", s.keys.guard)
	}
	return pointOf(res.Kvs[0], res.Header.Revision), nil
}

// View implements store.Store. It sees the store at one revision, which is found out by one read of the guard that goes
// through the cluster's majority; what is read at that revision may then come from any member.
func (s *Store) View(ctx context.Context, fn func(store.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		return store.ErrClosed
	}
	s.views.Add(1)
	s.mu.Unlock()
	defer s.views.Done()

	at, err := s.now(ctx)
	if err != nil {
		return err
	}
	return fn(&reader{store: s, ctx: ctx, at: at})
}

// Update implements store.Store. Updates that wait at the same time share one commit.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.warm(ctx, fn)
	return s.queue.Do(ctx, fn)
}

// warm runs an update for the sake of what it reads: then it is in the cache when the update's turn comes. The updates
// that wait do this side by side, while the committer has to run them one after the other, and each read is a call of
// the cluster. What comes of it is thrown away; it may have seen an old state.
func (s *Store) warm(ctx context.Context, fn func(store.Tx) error) {
	at, ok := s.cache.point()
	if !ok || s.closed.Load() {
		return
	}
	defer func() { _ = recover() }() // it panics again in its turn, if it is to panic
	_ = fn(store.NewOverlay(&reader{store: s, ctx: ctx, at: at}))
}

// Notify implements store.Notifier.
func (s *Store) Notify(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, fn)
}

// Close implements store.Store. It waits for what is under way as long as the cluster answers, and patience more.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed.Swap(true)
	s.mu.Unlock()
	s.queue.Close()
	<-s.stopped
	s.views.Wait()
	if !first {
		return nil
	}
	s.cancel()
	s.watcher.Wait()
	return s.cluster.close()
}

// idString names a commit in errors.
func idString(id []byte) string { return hex.EncodeToString(id) }
