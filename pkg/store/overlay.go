package store

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/tidwall/btree"
)

// Overlay is a transaction on top of a snapshot. It keeps what is written aside, so that an engine can throw it away, or
// carry it out once the whole of it is known to be good. Engines that run several transactions in one commit are built on
// it.
type Overlay struct {
	base   Reader
	writes *btree.BTreeG[Write]
	size   int
}

var _ Tx = (*Overlay)(nil)

// Write is one write of a transaction: the key's new value, or that it is gone.
type Write struct {
	Key, Value []byte
	Deleted    bool
}

// NewOverlay returns an overlay without writes. The base must not change under it.
func NewOverlay(base Reader) *Overlay {
	byKey := func(a, b Write) bool { return bytes.Compare(a.Key, b.Key) < 0 }
	return &Overlay{base: base, writes: btree.NewBTreeGOptions(byKey, btree.Options{NoLocks: true})}
}

// Get implements Reader.
func (o *Overlay) Get(key []byte) ([]byte, error) {
	if w, ok := o.writes.Get(Write{Key: key}); ok {
		if w.Deleted {
			return nil, ErrNotFound
		}
		return w.Value, nil
	}
	return o.base.Get(key)
}

// Put implements Tx.
func (o *Overlay) Put(key, value []byte) error {
	switch {
	case len(key) == 0:
		return ErrEmptyKey
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("%w: a key of %d bytes, %d are the most", ErrTooLarge, len(key), MaxKeyBytes)
	case len(value) > MaxValueBytes:
		return fmt.Errorf("%w: a value of %d bytes, %d are the most", ErrTooLarge, len(value), MaxValueBytes)
	}
	o.set(Write{Key: bytes.Clone(key), Value: append([]byte{}, value...)})
	return nil
}

// Delete implements Tx.
func (o *Overlay) Delete(key []byte) error {
	o.set(Write{Key: bytes.Clone(key), Deleted: true})
	return nil
}

func (o *Overlay) set(w Write) {
	o.size += len(w.Key) + len(w.Value)
	if old, ok := o.writes.Set(w); ok {
		o.size -= len(old.Key) + len(old.Value)
	}
}

// Writes returns what was written, in the order of keys.
func (o *Overlay) Writes() iter.Seq[Write] { return o.writes.Scan }

// Len returns how many keys were written.
func (o *Overlay) Len() int { return o.writes.Len() }

// Size returns how many bytes of keys and values were written.
func (o *Overlay) Size() int { return o.size }

// Scan implements Reader. It yields what is below as it was when the scan began, with the writes made since over it: so it
// also sees a write that is made ahead of where it stands.
func (o *Overlay) Scan(from, to []byte, order Order) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		next, stop := iter.Pull2(o.base.Scan(from, to, order))
		defer stop()
		below, err, more := next()
		// at is the last key yielded; the writes from there on are looked up anew each time.
		var at []byte
		for {
			above, ok := o.after(at, from, to, order)
			switch {
			case err != nil:
				yield(Entry{}, err)
				return
			case !more && !ok:
				return
			case !more || ok && !first(below.Key, above.Key, order):
				if more && bytes.Equal(below.Key, above.Key) {
					below, err, more = next()
				}
				at = above.Key
				if !above.Deleted && !yield(Entry{Key: above.Key, Value: above.Value}, nil) {
					return
				}
			default:
				at = below.Key
				if !yield(below, nil) {
					return
				}
				below, err, more = next()
			}
		}
	}
}

// first tells whether key a comes before key b in an order.
func first(a, b []byte, order Order) bool {
	if order == Descending {
		a, b = b, a
	}
	return bytes.Compare(a, b) < 0
}

// after returns the write next to the key at, or the first of all if that is nil, within bounds.
func (o *Overlay) after(at, from, to []byte, order Order) (next Write, ok bool) {
	take := func(w Write) bool {
		if at != nil && bytes.Equal(w.Key, at) || order == Descending && len(to) > 0 && bytes.Compare(w.Key, to) >= 0 {
			return true // not this one: go on
		}
		next, ok = w, true
		return false
	}
	switch {
	case order == Ascending && at == nil:
		o.writes.Ascend(Write{Key: from}, take)
	case order == Ascending:
		o.writes.Ascend(Write{Key: at}, take)
	case at != nil:
		o.writes.Descend(Write{Key: at}, take)
	case len(to) > 0:
		o.writes.Descend(Write{Key: to}, take)
	default:
		o.writes.Reverse(take)
	}
	if ok && (bytes.Compare(next.Key, from) < 0 || len(to) > 0 && bytes.Compare(next.Key, to) >= 0) {
		return Write{}, false
	}
	return next, ok
}
