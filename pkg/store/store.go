// Package store is where a service keeps its records: an ordered key-value store with serialisable
// transactions, and on it typed tables whose indexes cannot drift from their rows.
//
// An engine (package bolt, for one) implements Store. The interface is the smallest that an embedded
// file and a cluster both serve well.
package store

import (
	"context"
	"errors"
	"iter"
)

// Errors of engines and tables. They are wrapped with what they concern.
var (
	// ErrNotFound: there is no such key or row.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is such a row already.
	ErrExists = errors.New("exists already")
	// ErrFull: the medium has no room left; nothing was written.
	ErrFull = errors.New("store is full")
	// ErrBusy: more updates wait than the engine lets wait; nothing was written, and the update may be tried again.
	ErrBusy = errors.New("store is busy")
	// ErrEmptyKey: a key has at least one byte.
	ErrEmptyKey = errors.New("the key is empty")
	// ErrTooLarge: a key or value, or all that a transaction writes, is larger than the engine takes. Nothing was written.
	ErrTooLarge = errors.New("too large for the store")
	// ErrUnavailable: the engine does not reach what it keeps the records in. Nothing was written, and it may be tried again.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrOutcomeUnknown: the engine cannot tell whether the commit was made. Whoever gets it has to look, or to send again
	// what does no harm if it is done already.
	ErrOutcomeUnknown = errors.New("it is not known whether the commit was made")
	// ErrCorrupt: what the engine reads is not what it once wrote.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
)

// The largest key and value of every engine. An engine may take less of them in one transaction.
const (
	MaxKeyBytes   = 4 << 10
	MaxValueBytes = 8 << 20
)

// Store is an ordered key-value store. It is safe for concurrent use.
type Store interface {
	// View calls fn with a consistent snapshot.
	View(ctx context.Context, fn func(Reader) error) error

	// Update calls fn and commits what it wrote: all of it, durably, before Update returns, or
	// nothing if fn or the commit fails. Transactions are serialisable. An engine may call fn on
	// another goroutine, and again when another commit came in between, so fn must have no effects
	// but those on its Tx, and must set the results it leaves in captured variables anew on each call.
	//
	// A context that ends before the commit begins ends the transaction without effect. One that
	// ends during the commit does not stop it, and Update says what came of it; an engine that cannot
	// find out answers ErrOutcomeUnknown. When more updates wait than the engine lets wait, ErrBusy is
	// the answer.
	Update(ctx context.Context, fn func(Tx) error) error

	// Close waits for transactions under way and closes the store.
	Close() error
}

// Notifier is a store that other processes write to as well, and that hears of it.
type Notifier interface {
	// Notify has fn called soon after each commit of others, and whenever one may have been missed. Calls do not overlap,
	// and fn must not take long. Notify is called before the store is used.
	Notify(fn func())
}

// Entry is a key with its value. Both are only valid within the transaction and must not be changed.
type Entry struct{ Key, Value []byte }

// Order is the direction of a scan.
type Order bool

// The two directions.
const (
	Ascending  Order = false
	Descending Order = true
)

// Reader reads a snapshot. What it returns is only valid within the transaction.
type Reader interface {
	// Get returns the value of a key, or ErrNotFound.
	Get(key []byte) ([]byte, error)

	// Scan yields the entries with from <= key < to in order. An empty to means no upper bound.
	// After an error it yields nothing more. In an update, it is unspecified whether a scan sees
	// writes made while it runs; it sees those made before, and misses no key that they left alone.
	Scan(from, to []byte, order Order) iter.Seq2[Entry, error]
}

// Tx reads and writes within one transaction, and sees its own writes.
type Tx interface {
	Reader
	// Put sets a key, which must not be empty. It keeps neither slice.
	Put(key, value []byte) error
	// Delete removes a key if it is there.
	Delete(key []byte) error
}

// PrefixEnd returns the first key after all that begin with prefix, for use as the end of a scan.
// It is nil, no bound, if there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
