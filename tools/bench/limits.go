package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/services/town"
)

// appendAndSync returns a load of one who appends to a file and waits until the disk has it.
func (b *bench) appendAndSync(size int) (*load, error) {
	f, err := os.Create(filepath.Join(b.folder, "append"))
	if err != nil {
		return nil, err
	}
	b.later(f.Close)
	block := make([]byte, size)
	return &load{callers: 1, call: func(context.Context, int) error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	}}, nil
}

// shape is what one create writes, with the places where creates differ.
type shape struct {
	writes        []store.Write
	code, request string
	revision      []byte
}

// tape notes what is written to a store.
type tape struct {
	store.Store
	writes []store.Write
}

// Update implements store.Store.
func (t *tape) Update(ctx context.Context, fn func(store.Tx) error) error {
	return t.Store.Update(ctx, func(tx store.Tx) error {
		overlay := store.NewOverlay(tx)
		if err := fn(overlay); err != nil {
			return err
		}
		t.writes = slices.Collect(overlay.Writes())
		for _, w := range t.writes {
			if err := tx.Put(w.Key, w.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeShape looks what the service writes for one create.
func takeShape(ctx context.Context, folder string) (sh *shape, err error) {
	s, err := bolt.Open(filepath.Join(folder, "shape.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(filepath.Join(folder, "shape.db"))) }()
	t := &tape{Store: s}
	db := journal.Open(t, "town", clock.System{})
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := fillDB(ctx, db, 0); err != nil {
		return nil, err
	}
	req := createRequest(fresh(0))
	if _, err := town.New(db).CreateEnterprise(authn.NewContext(ctx, &authn.Principal{Name: callerName}), req); err != nil {
		return nil, err
	}
	head, err := db.Head(ctx)
	if err != nil {
		return nil, err
	}
	return &shape{
		writes: t.writes, code: req.GetEnterpriseId(), request: req.GetRequestId(),
		revision: binary.BigEndian.AppendUint64(nil, uint64(head.GetRevision())),
	}, nil
}

func (sh *shape) size() (bytes int) {
	for _, w := range sh.writes {
		bytes += len(w.Key) + len(w.Value)
	}
	return bytes
}

// keys returns the keys that the create of another row writes.
func (sh *shape) keys(number, revision uint64) [][]byte {
	other, request := []byte(code(number)), []byte(uuid.NewString())
	at := binary.BigEndian.AppendUint64(nil, revision)
	keys := make([][]byte, len(sh.writes))
	for i, w := range sh.writes {
		key := bytes.ReplaceAll(w.Key, []byte(sh.code), other)
		key = bytes.ReplaceAll(key, []byte(sh.request), request)
		if prefix, ok := bytes.CutSuffix(key, sh.revision); ok {
			key = slices.Concat(prefix, at)
		}
		keys[i] = key
	}
	return keys
}

// rawStore is a file of bbolt that gets the writes of creates and nothing else: no transactions of ours, no journal to
// compute, no messages.
type rawStore struct {
	db    *bbolt.DB
	shape *shape
	next  atomic.Uint64
	queue chan rawWrite
	ended chan struct{}
}

type rawWrite struct {
	keys [][]byte
	done chan error
}

var rawBucket = []byte("raw")

// openRaw makes a raw store with the writes of as many creates in it as the store has rows that it is held against.
func (b *bench) openRaw(sh *shape, rows int) (*rawStore, error) {
	path := filepath.Join(b.folder, fmt.Sprintf("raw-%d.db", rows))
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	r := &rawStore{db: db, shape: sh, queue: make(chan rawWrite, fillers), ended: make(chan struct{})}
	const atOnce = 10_000
	for i := 0; i < rows; i += atOnce {
		var filling [][][]byte
		for n := i; n < min(rows, i+atOnce); n++ {
			filling = append(filling, sh.keys(resident(n, rows), uint64(n)))
		}
		if err := r.commit(filling...); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	r.next.Store(uint64(rows))
	go r.run()
	b.later(func() error { return errors.Join(r.close(), os.Remove(path)) })
	return r, nil
}

func (r *rawStore) commit(creates ...[][]byte) error {
	return r.db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(rawBucket)
		if err != nil {
			return err
		}
		for _, keys := range creates {
			for i, key := range keys {
				if err := bucket.Put(key, r.shape.writes[i].Value); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// run commits whatever waits, together.
func (r *rawStore) run() {
	for first := range r.queue {
		waiting, creates := []rawWrite{first}, [][][]byte{first.keys}
		for more := true; more; {
			select {
			case w, ok := <-r.queue:
				if more = ok; ok {
					waiting, creates = append(waiting, w), append(creates, w.keys)
				}
			default:
				more = false
			}
		}
		err := r.commit(creates...)
		for _, w := range waiting {
			w.done <- err
		}
	}
	close(r.ended)
}

func (r *rawStore) close() error {
	close(r.queue)
	<-r.ended
	return r.db.Close()
}

// load returns the load of callers who each wait for the commit of one create's writes. One alone needs no group.
func (r *rawStore) load(callers int) *load {
	done := make([]chan error, callers)
	for i := range done {
		done[i] = make(chan error, 1)
	}
	return &load{callers: callers, call: func(_ context.Context, caller int) error {
		n := r.next.Add(1)
		keys := r.shape.keys(fresh(n), n)
		if callers == 1 {
			return r.commit(keys)
		}
		r.queue <- rawWrite{keys: keys, done: done[caller]}
		return <-done[caller]
	}}
}
