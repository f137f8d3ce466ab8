package bolt

import (
	"bytes"

	"go.etcd.io/bbolt"

	"github.com/yizhen/yizhen/pkg/store"
)

// bucket has the keys that are in no part of their own.
var bucket = []byte("yizhen")

// parts are the beginnings of keys that are in a bucket of their own each, in order: those to which keys are added at the end.
// bbolt halves a full page. Where keys come in between, both halves fill up again; where they come at the end, the first half
// stays half empty for ever, and a store of which the journal is the most has twice the pages that it needs. In these buckets a
// page is left nearly full. The key space is one all the same: see spans.
var parts = [][]byte{[]byte("journal/change/"), []byte("journal/type/")}

// fullPages is how full the pages of parts are left.
const fullPages = 0.95

// rest is the number of the bucket that is no part.
const rest = -1

// partOf returns the number of the part that a key is in.
func partOf(key []byte) int {
	for i, prefix := range parts {
		if bytes.HasPrefix(key, prefix) {
			return i
		}
	}
	return rest
}

// movedAtOnce is how many keys one transaction moves into parts.
const movedAtOnce = 10_000

// arrange makes the buckets of a new store. In an older one all keys are in one bucket, and those of parts are moved into theirs.
// If it is interrupted, what is left to be moved is found the next time. A store that is as it should be is not written to.
func arrange(db *bbolt.DB) error {
	for {
		arranged := false
		err := db.View(func(tx *bbolt.Tx) error {
			arranged = isArranged(tx)
			return nil
		})
		if arranged || err != nil {
			return err
		}
		if err := db.Update(arrangeSome); err != nil {
			return err
		}
	}
}

func isArranged(tx *bbolt.Tx) bool {
	all := tx.Bucket(bucket)
	if all == nil {
		return false
	}
	for _, prefix := range parts {
		if k, _ := all.Cursor().Seek(prefix); tx.Bucket(prefix) == nil || bytes.HasPrefix(k, prefix) {
			return false
		}
	}
	return true
}

func arrangeSome(tx *bbolt.Tx) error {
	all, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	left := movedAtOnce
	for _, prefix := range parts {
		part, err := tx.CreateBucketIfNotExists(prefix)
		if err != nil {
			return err
		}
		part.FillPercent = fullPages
		c := all.Cursor()
		var moved [][]byte
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && left > 0; k, v = c.Next() {
			if err := part.Put(k, v); err != nil {
				return err
			}
			moved = append(moved, bytes.Clone(k))
			left--
		}
		for _, k := range moved {
			if err := all.Delete(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// buckets are those of one transaction, each opened when it is first wanted.
type buckets struct {
	tx    *bbolt.Tx
	rest  *bbolt.Bucket
	parts [2]*bbolt.Bucket
}

func (b *buckets) of(part int) *bbolt.Bucket {
	if part == rest {
		if b.rest == nil {
			b.rest = b.tx.Bucket(bucket)
		}
		return b.rest
	}
	if b.parts[part] == nil {
		b.parts[part] = b.tx.Bucket(parts[part])
		b.parts[part].FillPercent = fullPages
	}
	return b.parts[part]
}

// span is a range of keys that are all in one bucket.
type span struct {
	part     int
	from, to []byte
}

// spans cuts a range of keys where the parts begin and end. An empty to is no bound.
func spans(from, to []byte) (cut []span) {
	add := func(part int, from, to []byte) {
		if len(to) == 0 || bytes.Compare(from, to) < 0 {
			cut = append(cut, span{part, from, to})
		}
	}
	for i, prefix := range parts {
		end := store.PrefixEnd(prefix)
		add(rest, from, earlier(prefix, to))
		add(i, later(from, prefix), earlier(end, to))
		from = later(from, end)
	}
	add(rest, from, to)
	return cut
}

func later(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

// earlier returns the first of two ends; an empty b is none.
func earlier(a, b []byte) []byte {
	if len(b) > 0 && bytes.Compare(b, a) < 0 {
		return b
	}
	return a
}
