package etcd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/yizhen/yizhen/pkg/store"
)

// Bounds of a page of a scan. It grows while its entries are small.
const (
	firstPage = 32
	maxPage   = 1024
	pageBytes = 256 << 10
)

// errMoved: the revision is compacted, and the store has moved on since.
var errMoved = fmt.Errorf("%w: what it looked like when this began is compacted", store.ErrUnavailable)

// reader reads the store as it was at a point. It is used by one goroutine at a time.
type reader struct {
	store *Store
	ctx   context.Context //nolint:containedctx // store.Reader has no context, and a reader lives for one call
	at    point
	// failed is the first error of a read that was not about what is in the store: whatever the reading function made of
	// it has no ground.
	failed error
}

// Get implements store.Reader.
func (r *reader) Get(key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, store.ErrNotFound
	}
	if value, found, known := r.store.cache.get(string(key), r.at); known {
		if !found {
			return nil, store.ErrNotFound
		}
		return value, nil
	}
	res, err := r.read(r.store.keys.data + string(key))
	if err != nil {
		return nil, err
	}
	if len(res.Kvs) == 0 {
		r.store.cache.add(string(key), nil, false, r.at)
		return nil, store.ErrNotFound
	}
	value := res.Kvs[0].Value
	r.store.cache.add(string(key), value, true, r.at)
	return value, nil
}

// Scan implements store.Reader. It reads in pages, all at the one revision.
func (r *reader) Scan(from, to []byte, order store.Order) iter.Seq2[store.Entry, error] {
	k := r.store.keys
	start, end := k.data+string(from), k.dataEnd
	if len(to) > 0 {
		end = k.data + string(to)
	}
	if order == store.Descending {
		return r.descend(start, end)
	}
	return func(yield func(store.Entry, error) bool) {
		for page := int64(firstPage); start < end; {
			res, err := r.read(start, clientv3.WithRange(end), clientv3.WithLimit(page))
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			size, more := r.pass(res.Kvs, yield)
			if !more || !res.More || len(res.Kvs) == 0 {
				return
			}
			start = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
			page = next(page, size)
		}
	}
}

// descend scans down. What etcd sorts it first reads as a whole, values included, page by page anew. Most who scan down
// want the last key of a range that grows at its end, a number or a time: so it is first looked from where the last key was
// when it was last looked for, going up, which reads no more than has been added.
func (r *reader) descend(start, end string) iter.Seq2[store.Entry, error] {
	bounds := start + "\x00" + end
	return func(yield func(store.Entry, error) bool) {
		first := true
		see := func(kvs []*pb.KeyValue) (size int, more bool) { // from the greatest down
			if first && len(kvs) > 0 {
				r.store.tops.set(bounds, string(kvs[0].Key))
			}
			first = false
			return r.pass(kvs, yield)
		}
		if top := r.store.tops.get(bounds); top != "" && start < end {
			res, err := r.read(top, clientv3.WithRange(end), clientv3.WithLimit(firstPage))
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			if !res.More && len(res.Kvs) > 0 {
				slices.Reverse(res.Kvs)
				end = top
				if _, more := see(res.Kvs); !more {
					return
				}
			}
		}
		for page := int64(firstPage); start < end; {
			res, err := r.read(start, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			size, more := see(res.Kvs)
			if !more || !res.More || len(res.Kvs) == 0 {
				return
			}
			end = string(res.Kvs[len(res.Kvs)-1].Key)
			page = next(page, size)
		}
	}
}

// pass yields what was read and tells how large it is, and whether more is wanted.
func (r *reader) pass(kvs []*pb.KeyValue, yield func(store.Entry, error) bool) (size int, more bool) {
	prefix := len(r.store.keys.data)
	for _, kv := range kvs {
		size += len(kv.Key) + len(kv.Value)
		if !yield(store.Entry{Key: kv.Key[prefix:], Value: kv.Value}, nil) {
			return size, false
		}
	}
	return size, true
}

// next is how many entries the next page has: more while they are small.
func next(page int64, size int) int64 {
	switch {
	case size < pageBytes:
		return min(2*page, maxPage)
	case size > 4*pageBytes:
		return max(page/2, 1)
	}
	return page
}

// maxTops bounds of how many ranges the end is kept.
const maxTops = 1000

// tops keeps where ranges ended when somebody last looked. It is a place to begin to look and nothing more: it may be out
// of date, or of another moment than the reader's.
type tops struct {
	mu   sync.Mutex
	keys map[string]string // by the bounds of the range
}

func (t *tops) get(bounds string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[bounds]
}

func (t *tops) set(bounds, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil || len(t.keys) >= maxTops {
		t.keys = map[string]string{}
	}
	t.keys[bounds] = key
}

// read reads at the reader's revision. What any member knows of a revision is final, so it is asked without asking the
// majority; one that has not come as far says so.
func (r *reader) read(key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if r.failed != nil {
		return nil, r.failed
	}
	serializable := true
	for {
		at := append(opts[:len(opts):len(opts)], clientv3.WithRev(r.at.revision))
		if serializable {
			at = append(at, clientv3.WithSerializable())
		}
		res, err := r.store.cluster.get(r.ctx, key, at...)
		switch {
		case err == nil:
			return res, nil
		case is(err, rpctypes.ErrGRPCFutureRev) && serializable:
			serializable = false
		case is(err, rpctypes.ErrGRPCCompacted):
			if err := r.advance(); err != nil {
				r.failed = err
				return nil, err
			}
		default:
			if cause := r.ctx.Err(); cause != nil && !errors.Is(err, cause) {
				err = errors.Join(cause, err)
			}
			r.failed = err
			return nil, err
		}
	}
}

// advance leaves a revision that was compacted for the newest one, if the store has not changed in between.
func (r *reader) advance() error {
	now, err := r.store.now(r.ctx)
	if err != nil {
		return err
	}
	if now.guard != r.at.guard {
		return errMoved
	}
	r.at = now
	return nil
}

// maxCached bounds what a cache holds, in bytes, and maxCachedValue one value in it.
const (
	maxCached      = 32 << 20
	maxCachedValue = 64 << 10
)

// cache keeps what keys held at the last commit that this process knows of, be it its own or another's that it has run
// into. Each entry says since which commit it has been so. A commit of our own moves the cache on, since the guard proves that
// nothing but that commit happened; a commit of others empties it. So an entry tells rightly what a key held at each point
// from its own to the cache's.
type cache struct {
	mu      sync.Mutex
	at      point
	valid   bool
	floor   int64 // entries of points before it are not taken in: a later write may have been forgotten
	entries map[string]cached
	size    int
}

type cached struct {
	value []byte
	found bool
	since int64
}

// point returns the point that the cache is at.
func (c *cache) point() (point, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.valid
}

func (c *cache) get(key string, at point) (value []byte, found, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.valid || at.guard > c.at.guard {
		return nil, false, false
	}
	e, ok := c.entries[key]
	if !ok || e.since > at.guard {
		return nil, false, false
	}
	return e.value, e.found, true
}

// add takes in what was read at a point.
func (c *cache) add(key string, value []byte, found bool, at point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.valid || at.guard < c.floor || at.guard > c.at.guard {
		return
	}
	if _, ok := c.entries[key]; !ok { // one that is there is as new or newer
		c.put(key, cached{value, found, at.guard})
	}
}

func (c *cache) put(key string, e cached) {
	if len(e.value) > maxCachedValue {
		c.drop(key)
		c.floor = max(c.floor, e.since)
		return
	}
	if c.size+len(key)+len(e.value) > maxCached {
		c.entries, c.size, c.floor = map[string]cached{}, 0, c.at.guard
	}
	c.drop(key)
	c.entries[key] = e
	c.size += len(key) + len(e.value)
}

func (c *cache) drop(key string) {
	if old, ok := c.entries[key]; ok {
		c.size -= len(key) + len(old.value)
		delete(c.entries, key)
	}
}

// follow moves the cache on by a commit of our own.
func (c *cache) follow(to point, writes *store.Overlay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = to
	for w := range writes.Writes() {
		c.put(string(w.Key), cached{w.Value, !w.Deleted, to.guard})
	}
}

// restart moves the cache to a point that was read. It keeps what it has if nothing was committed since.
func (c *cache) restart(at point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.valid || at.guard != c.at.guard {
		c.entries, c.size, c.floor = map[string]cached{}, 0, at.guard
	}
	c.at, c.valid = at, true
}
