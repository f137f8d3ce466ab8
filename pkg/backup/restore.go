package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
)

// markKey is in a store while it is being made of a backup. Its value names the restore, so that of two that go on at once the
// one that began later is the one that goes on. It stands where the journal tells of nothing, and a whole store does not have it.
const markKey = store.MigrationPrefix + "restoring"

// One transaction of a restore writes at most so much, and less where the store takes less.
const (
	chunkKeys  = 1000
	chunkBytes = 1 << 20
	// smallBytes is less than what any engine takes at once.
	smallBytes = 32 << 10
)

// Restore makes the store of a backup, some keys at a time. The store has to be empty, or what a restore left that did not
// end, or one that a service has opened and never used: that is removed first. Until the restore has ended the store is marked, and Unfinished tells so. It ends when everything
// is written and prove, which may be nil, has found it good.
//
// Whether the file is whole shows at its end: Check it first, so that nothing is begun for nothing.
func Restore(ctx context.Context, from io.Reader, into store.Store, prove func(Summary) error) (s Summary, err error) {
	f := &filler{into: into, mark: []byte(rand.Text()), most: chunkKeys}
	if err := f.begin(ctx); err != nil {
		return s, err
	}
	if s, err = f.fill(ctx, from); err != nil {
		return s, err
	}
	if prove != nil {
		if err := prove(s); err != nil {
			return s, err
		}
	}
	return s, f.update(ctx, func(tx store.Tx) error { return tx.Delete([]byte(markKey)) })
}

// Load writes what can be read of a backup into an empty store, for somebody who looks at it and throws it away. A backup that
// is damaged gives its error, and the store has what was read before the damage was found.
func Load(ctx context.Context, from io.Reader, into store.Store) (Summary, error) {
	f := &filler{into: into, most: chunkKeys}
	return f.fill(ctx, from)
}

// FirstBad follows the journal of what Load could read of a damaged backup, as far as the backup says that it goes. It fails with
// a journal.CorruptError that names the first revision which is missing or not what was written. If there is none the damage is
// elsewhere.
func FirstBad(ctx context.Context, s Summary, db *journal.DB) error {
	first, last := max(s.Head.GetFirstRevision(), 1), s.Head.GetRevision()
	var chain *journal.Chain
	for done := first - 1; done < last; done = chain.Revision() {
		changes, _, err := db.Read(ctx, done, chunkKeys)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return &journal.CorruptError{Revision: done + 1, Problem: "is missing"}
		}
		if chain == nil {
			var before []byte // that of the first of all is known
			if first > 1 {
				before = changes[0].GetPreviousHash()
			}
			chain = journal.NewChain(journals+s.Service, s.Head.GetHashAlgorithm(), first-1, before)
		}
		for _, c := range changes {
			if err := chain.Add(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// Unfinished fails with ErrUnfinished if a restore into a store was begun and has not ended.
func Unfinished(ctx context.Context, s store.Store) error { return s.View(ctx, unfinished) }

func unfinished(r store.Reader) error {
	switch _, err := r.Get([]byte(markKey)); {
	case err == nil:
		return ErrUnfinished
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return nil
}

// filler fills a store.
type filler struct {
	into store.Store
	mark []byte // nil for a store that needs none
	most int    // keys in one transaction
}

// update changes the store if it is still this restore's.
func (f *filler) update(ctx context.Context, fn func(store.Tx) error) error {
	return f.into.Update(ctx, func(tx store.Tx) error {
		if f.mark != nil {
			mark, err := tx.Get([]byte(markKey))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if !bytes.Equal(mark, f.mark) {
				return errors.New("another restore into this store was begun meanwhile")
			}
		}
		return fn(tx)
	})
}

// begin marks the store, and removes what a restore has left, or a service that has only opened it.
func (f *filler) begin(ctx context.Context) error {
	left := false
	err := f.into.Update(ctx, func(tx store.Tx) (err error) {
		if left, err = begun(tx); err != nil {
			return err
		}
		if err := unfinished(tx); errors.Is(err, ErrUnfinished) {
			left = true
		} else if err != nil {
			return err
		}
		if !left {
			if err := empty(tx); err != nil {
				return err
			}
		}
		return tx.Put([]byte(markKey), f.mark)
	})
	for err == nil && left {
		left, err = f.clear(ctx)
	}
	return err
}

func empty(r store.Reader) error {
	for e, err := range r.Scan(nil, nil, store.Ascending) {
		if err != nil {
			return err
		}
		return fmt.Errorf("a backup is restored into an empty store, and this one has %q", e.Key)
	}
	return nil
}

// begun tells whether a service has opened the store and done nothing else: all that the journal tells of is the store itself.
func begun(r store.Reader) (bool, error) {
	head, err := journal.HeadOf(r)
	if err != nil || head.GetRevision() != 1 {
		return false, err
	}
	own := "stores/" + strings.TrimPrefix(head.GetName(), journals)
	switch c, err := journal.Latest(r, own); {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	default:
		return c.GetRevision() == 1, err
	}
}

// clear removes some keys, and tells whether there may be more.
func (f *filler) clear(ctx context.Context) (more bool, err error) {
	var found []store.Entry
	err = f.into.View(ctx, func(r store.Reader) error {
		found = nil
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			if string(e.Key) != markKey {
				found = append(found, store.Entry{Key: bytes.Clone(e.Key)})
			}
			if len(found) == chunkKeys {
				break
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return len(found) > 0, f.each(ctx, found, func(tx store.Tx, e store.Entry) error { return tx.Delete(e.Key) })
}

// fill writes the entries of a backup.
func (f *filler) fill(ctx context.Context, from io.Reader) (Summary, error) {
	var chunk []store.Entry
	size := 0
	flush := func() error {
		err := f.each(ctx, chunk, func(tx store.Tx, e store.Entry) error { return tx.Put(e.Key, e.Value) })
		chunk, size = nil, 0
		return err
	}
	s, err := read(from, func(e store.Entry) error {
		next := len(e.Key) + len(e.Value)
		if len(chunk) == chunkKeys || len(chunk) > 0 && size+next > chunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		chunk = append(chunk, store.Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
		size += next
		return nil
	})
	if err == nil || errors.Is(err, ErrDamaged) {
		err = errors.Join(err, flush())
	}
	return s, err
}

// each does something to each entry, as many in one transaction as the store takes. An engine's limit of keys is learnt from
// what it refuses; what is refused for its bytes says nothing of that.
func (f *filler) each(ctx context.Context, all []store.Entry, do func(store.Tx, store.Entry) error) error {
	for n := f.most; len(all) > 0; {
		n = min(n, len(all))
		err := f.update(ctx, func(tx store.Tx) error {
			for _, e := range all[:n] {
				if err := do(tx, e); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case err == nil:
			all, n = all[n:], f.most
		case errors.Is(err, store.ErrTooLarge) && n > 1:
			n = (n + 1) / 2
			if bytesOf(all[:n]) < smallBytes {
				f.most = n
			}
		default:
			return err
		}
	}
	return nil
}

func bytesOf(entries []store.Entry) (size int) {
	for _, e := range entries {
		size += len(e.Key) + len(e.Value)
	}
	return size
}
