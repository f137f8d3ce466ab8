package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"
)

// Row is what a table holds: a message with a name that is its key.
type Row interface {
	proto.Message
	GetName() string
}

// Change is one change of one row, as a table reports it.
type Change struct {
	// Name is the row's name.
	Name string
	// Before and After are the row's stored bytes; nil where it was or is not there.
	Before, After []byte
	// Row is the row after the change, or for a removal the row that was there.
	Row proto.Message
	// Revision is what the row was stored with before.
	Revision int64
}

// Recorder is a transaction in which changes of rows are recorded. Tables write through nothing else,
// so no row changes unrecorded.
type Recorder interface {
	Tx
	// Record takes note of a change that the table has just made.
	Record(Change) error
}

// Index is a declared way to find rows by something other than their name.
type Index[T Row] struct {
	// Name is the index's name, unique in its table and never changed once there are rows.
	Name string
	// Keys returns the values under which a row is found. They must depend on the row alone and be
	// free of zero bytes.
	Keys func(T) []string
}

// Table is a set of rows of one type, ordered by name.
type Table[T Row] struct {
	kind    string
	prefix  []byte
	indexes []Index[T]
}

// NewTable declares a table. The kind is the row's message name and part of every key: it must be
// unique in a store.
func NewTable[T Row](indexes ...Index[T]) *Table[T] {
	var zero T
	kind := string(zero.ProtoReflect().Descriptor().Name())
	return &Table[T]{kind: kind, prefix: RowKey(kind, ""), indexes: indexes}
}

// Kind returns the name of the rows' message type.
func (t *Table[T]) Kind() string { return t.kind }

func (t *Table[T]) key(name string) []byte { return append(bytes.Clone(t.prefix), name...) }

// Get returns the row of that name, or ErrNotFound.
func (t *Table[T]) Get(r Reader, name string) (T, error) {
	row, _, err := t.get(r, name)
	return row, err
}

// was is how a row was stored.
type was struct {
	revision int64
	message  []byte
}

func (t *Table[T]) get(r Reader, name string) (row T, w was, err error) {
	value, err := r.Get(t.key(name))
	if err != nil {
		return row, was{}, fmt.Errorf("%s %q: %w", t.kind, name, err)
	}
	w.revision, w.message = SplitRow(value)
	row, err = t.decode(w.message)
	return row, w, err
}

// Has tells whether there is a row of that name.
func (t *Table[T]) Has(r Reader, name string) (bool, error) {
	_, err := r.Get(t.key(name))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Create stores a new row, or fails with ErrExists.
func (t *Table[T]) Create(rec Recorder, row T) error {
	has, err := t.Has(rec, row.GetName())
	if err != nil {
		return err
	}
	if has {
		return fmt.Errorf("%s %q: %w", t.kind, row.GetName(), ErrExists)
	}
	return t.write(rec, row, nil, was{})
}

// Update replaces a row that is there, or fails with ErrNotFound.
func (t *Table[T]) Update(rec Recorder, row T) error {
	old, before, err := t.get(rec, row.GetName())
	if err != nil {
		return err
	}
	before.message = bytes.Clone(before.message)
	return t.write(rec, row, t.entries(old), before)
}

// Put stores a row whether or not it is there.
func (t *Table[T]) Put(rec Recorder, row T) error {
	err := t.Update(rec, row)
	if errors.Is(err, ErrNotFound) {
		return t.write(rec, row, nil, was{})
	}
	return err
}

// Delete removes a row, or fails with ErrNotFound.
func (t *Table[T]) Delete(rec Recorder, name string) error {
	old, before, err := t.get(rec, name)
	if err != nil {
		return err
	}
	before.message = bytes.Clone(before.message)
	for _, e := range t.entries(old) {
		if err := rec.Delete(e); err != nil {
			return err
		}
	}
	if err := rec.Delete(t.key(name)); err != nil {
		return err
	}
	return rec.Record(Change{Name: name, Before: before.message, Row: old, Revision: before.revision})
}

// write stores the row and its index entries, takes away the entries it had before and does not have
// now, and records the change. Whoever records changes stores the row again, with the revision that this change gets.
func (t *Table[T]) write(rec Recorder, row T, oldEntries [][]byte, before was) error {
	if row.GetName() == "" {
		return fmt.Errorf("%s without a name", t.kind)
	}
	after, err := proto.MarshalOptions{Deterministic: true}.Marshal(row)
	if err != nil {
		return fmt.Errorf("%s %q: %w", t.kind, row.GetName(), err)
	}
	entries := t.entries(row)
	for _, e := range entries {
		if bytes.IndexByte(e, 0) != len(e)-len(row.GetName())-1 {
			return fmt.Errorf("%s %q: the value of an index has a zero byte", t.kind, row.GetName())
		}
	}
	if err := rec.Put(t.key(row.GetName()), JoinRow(before.revision, after)); err != nil {
		return err
	}
	for _, e := range oldEntries {
		if !contains(entries, e) {
			if err := rec.Delete(e); err != nil {
				return err
			}
		}
	}
	for _, e := range entries {
		if contains(oldEntries, e) {
			continue
		}
		if err := rec.Put(e, []byte{}); err != nil {
			return err
		}
	}
	return rec.Record(Change{Name: row.GetName(), Before: before.message, After: after, Row: row, Revision: before.revision})
}

func contains(set [][]byte, e []byte) bool {
	for _, s := range set {
		if bytes.Equal(s, e) {
			return true
		}
	}
	return false
}

// entries are the index keys of a row: index/<kind>/<index>/<value> 0 <name>.
func (t *Table[T]) entries(row T) [][]byte {
	var out [][]byte
	for _, ix := range t.indexes {
		for _, v := range ix.Keys(row) {
			out = append(out, append(t.indexPrefix(ix.Name, v), row.GetName()...))
		}
	}
	return out
}

func (t *Table[T]) indexPrefix(index, value string) []byte {
	return []byte(indexPrefix + t.kind + "/" + index + "/" + value + "\x00")
}

// Scan yields the rows whose names begin with prefix, in order, from the name start on.
func (t *Table[T]) Scan(r Reader, prefix, start string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		from := t.key(max(prefix, start))
		for e, err := range r.Scan(from, PrefixEnd(t.key(prefix)), Ascending) {
			var row T
			if err == nil {
				_, message := SplitRow(e.Value)
				row, err = t.decode(message)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// ScanIndex yields the rows found under a value of an index, in the order of their names, from the name
// start on.
func (t *Table[T]) ScanIndex(r Reader, index, value, start string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		prefix := t.indexPrefix(index, value)
		from := append(bytes.Clone(prefix), start...)
		for e, err := range r.Scan(from, PrefixEnd(prefix), Ascending) {
			var row T
			if err == nil {
				row, err = t.Get(r, string(e.Key[len(prefix):]))
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// ScanIndexRange yields the rows found under the values of an index with from <= value < to, in the order of the values,
// or against it. An empty to means no upper bound. It is how rows are listed by day, or by a number written with leading
// zeros.
func (t *Table[T]) ScanIndexRange(r Reader, index, from, to string, order Order) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		prefix := []byte(indexPrefix + t.kind + "/" + index + "/")
		end := PrefixEnd(prefix)
		if to != "" {
			end = append(bytes.Clone(prefix), to...)
		}
		for e, err := range r.Scan(append(bytes.Clone(prefix), from...), end, order) {
			var row T
			if err == nil {
				_, name, _ := bytes.Cut(e.Key[len(prefix):], []byte{0})
				row, err = t.Get(r, string(name))
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func (t *Table[T]) decode(stored []byte) (T, error) {
	var zero T
	row := zero.ProtoReflect().New().Interface().(T)
	if err := proto.Unmarshal(stored, row); err != nil {
		return zero, fmt.Errorf("stored %s: %w", t.kind, err)
	}
	return row, nil
}
