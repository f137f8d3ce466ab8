// Package bolt keeps a store in one bbolt file: the default engine, for a service on one machine.
package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/yizhen/yizhen/pkg/store"
)

// lockTimeout bounds the wait for another process that has the file open.
const lockTimeout = time.Second

// mapped is how much address space a file gets from the start; it costs none of memory or disk. A commit that outgrows
// it waits for every reader under way, and new readers wait for the commit: with room ahead that is as good as never.
const mapped = 1 << 30

// Store is a store in a bbolt file.
type Store struct {
	db      *bbolt.DB
	commits *committer
}

var _ store.Store = (*Store)(nil)

// View implements store.Store.
func (s *Store) View(ctx context.Context, fn func(store.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer faultsPanic()()
	return translate(s.db.View(func(btx *bbolt.Tx) error {
		return fn(reader{&buckets{tx: btx}})
	}))
}

// Update implements store.Store. Updates that wait at the same time share one commit.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return translate(s.commits.queue.Do(ctx, fn))
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.commits.stop()
	if s.commits.stuck {
		return s.commits.broken // it will not let go of the file before the process ends
	}
	return s.db.Close()
}

func translate(err error) error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case is(err, syscall.ENOSPC), is(err, syscall.EDQUOT), is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// is tells what an error of the system is, also where bbolt has only put its words into one of its own, as it does when the file
// cannot grow.
func is(err error, number syscall.Errno) bool {
	return errors.Is(err, number) || err != nil && strings.HasPrefix(err.Error(), "file ") && strings.HasSuffix(err.Error(), number.Error())
}

// reader reads one transaction of bbolt.
type reader struct{ in *buckets }

// Get implements store.Reader.
func (r reader) Get(key []byte) (v []byte, err error) {
	defer r.in.caught(&err)
	v = r.in.of(partOf(key)).Get(key)
	if v == nil {
		return nil, store.ErrNotFound
	}
	return v, nil
}

// Scan implements store.Reader.
func (r reader) Scan(from, to []byte, order store.Order) iter.Seq2[store.Entry, error] {
	if order == store.Descending {
		return r.descend(from, to)
	}
	return r.ascend(from, to)
}

func (r reader) ascend(from, to []byte) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		y := &yielding{to: yield}
		defer y.caught(r.in)
		defer faultsPanic()()
		for _, s := range spans(from, to) {
			c := r.in.of(s.part).Cursor()
			for k, v := c.Seek(s.from); k != nil && before(k, s.to); k, v = c.Next() {
				if !y.yield(k, v) {
					return
				}
			}
		}
	}
}

func (r reader) descend(from, to []byte) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		y := &yielding{to: yield}
		defer y.caught(r.in)
		defer faultsPanic()()
		for _, s := range slices.Backward(spans(from, to)) {
			c := r.in.of(s.part).Cursor()
			k, v := seekBefore(c, s.to)
			for ; k != nil && bytes.Compare(k, s.from) >= 0; k, v = c.Prev() {
				if !y.yield(k, v) {
					return
				}
			}
		}
	}
}

// seekBefore moves to the last key before to; an empty to is after every key.
func seekBefore(c *bbolt.Cursor, to []byte) (k, v []byte) {
	if len(to) == 0 {
		return c.Last()
	}
	if k, _ := c.Seek(to); k == nil {
		return c.Last()
	}
	return c.Prev()
}

func before(k, to []byte) bool { return len(to) == 0 || bytes.Compare(k, to) < 0 }
