package bolt

import (
	"bytes"
	"errors"

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

// errLayout: the keys of parts are in the one bucket that there once was, where nobody would find them.
var errLayout = errors.New("it is of an earlier layout, which this program does not read")

// createBuckets makes the buckets of a new store.
func createBuckets(tx *bbolt.Tx) error {
	if tx.Bucket(bucket) != nil && tx.Bucket(parts[0]) == nil {
		return errLayout
	}
	for _, name := range append([][]byte{bucket}, parts...) {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
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
