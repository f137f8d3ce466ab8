// Package journal records every change that a service commits: in order, numbered without gaps, each bound to
// the one before by its hash, and written in the transaction that makes the change.
//
// A DB is a store whose rows change in no other way: tables write through a Tx, and a Tx puts what they write in the
// journal.
package journal

import (
	"context"
	"sync"
	"time"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/store"
)

// DB is a store with its journal. It is safe for concurrent use.
type DB struct {
	store   store.Store
	clock   clock.Clock
	service string

	algorithm Algorithm    // of a journal that begins
	keys      []*PublicKey // of checkpoints

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, when changes are committed
	feed    *feed         // of those who watch; nil if nobody does
}

// Option changes how a journal is kept.
type Option func(*DB)

// WithHash makes a journal that begins use an algorithm; without it that is SHA-256. One that has begun keeps its own.
func WithHash(a Algorithm) Option {
	return func(db *DB) {
		if a == SM3 {
			db.algorithm = a
		}
	}
}

// WithKeys has Verify check the signatures that were made with these keys.
func WithKeys(keys ...*PublicKey) Option {
	return func(db *DB) { db.keys = append(db.keys, keys...) }
}

// Open puts a journal on a store. The service is the one whose changes it records.
func Open(s store.Store, service string, c clock.Clock, options ...Option) *DB {
	db := &DB{store: s, clock: c, service: service, algorithm: SHA256, changed: make(chan struct{})}
	for _, option := range options {
		option(db)
	}
	if n, ok := s.(store.Notifier); ok {
		n.Notify(db.Announce) // other replicas of the service commit too
	}
	return db
}

func (db *DB) name() string { return "journals/" + db.service }

// Service returns the name of the service whose journal this is.
func (db *DB) Service() string { return db.service }

// Now returns the time by the clock that the journal goes by.
func (db *DB) Now() time.Time { return db.clock.Now() }

// Close closes the store.
func (db *DB) Close() error { return db.store.Close() }

// View calls fn with a consistent snapshot.
func (db *DB) View(ctx context.Context, fn func(store.Reader) error) error {
	return db.store.View(ctx, fn)
}

// Changed returns a channel that is closed when the next changes are committed.
func (db *DB) Changed() <-chan struct{} {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.changed
}

func (db *DB) announce(wrote []entry) {
	db.mu.Lock()
	defer db.mu.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
	if db.feed != nil {
		db.feed.offer(wrote)
	}
}

// Announce says that somebody else has committed changes to the same store, as the replicas of a service on a cluster do.
func (db *DB) Announce() { db.announce(nil) }
