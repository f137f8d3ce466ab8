package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

// Schema is all that a service keeps in its store. The service makes its tables with it, so it leaves none out; and
// whoever has the schema can rebuild and check the tables without the service.
type Schema struct {
	service string
	tables  []keeper
	stores  *Table[*maintenancev1.Store]
}

// keeper is a table whose type of row is not known.
type keeper interface {
	Kind() string
	restore(tx Tx, name string, revision int64, message []byte) error
	remove(tx Tx, name string) error
	stored(r Reader, name string) ([]byte, error)
	tell(stored []byte) string
}

// NewSchema begins the schema of a service, with the table that every store has: of what it says about itself.
func NewSchema(service string) *Schema {
	s := &Schema{service: service}
	s.stores = Declare[*maintenancev1.Store](s)
	return s
}

// Declare adds a table to a schema. It panics if there is one of the same kind already, which would share its keys.
func Declare[T Row](s *Schema, indexes ...Index[T]) *Table[T] {
	t := NewTable(indexes...)
	if s.Keeps(t.Kind()) {
		panic(fmt.Sprintf("the schema of %s has two tables of %s", s.service, t.Kind()))
	}
	s.tables = append(s.tables, t)
	return t
}

// Service returns the service whose schema this is.
func (s *Schema) Service() string { return s.service }

// Stores returns the table with the one row that says whose the store is, and of which version: see package migrate.
func (s *Schema) Stores() *Table[*maintenancev1.Store] { return s.stores }

// Keeps tells whether there is a table of that kind.
func (s *Schema) Keeps(kind string) bool { return s.table(kind) != nil }

func (s *Schema) table(kind string) keeper {
	for _, t := range s.tables {
		if t.Kind() == kind {
			return t
		}
	}
	return nil
}

// Restore writes a row as a revision made it, byte for byte, with the index entries that it has by today's indexes.
func (s *Schema) Restore(tx Tx, kind, name string, revision int64, message []byte) error {
	t := s.table(kind)
	if t == nil {
		return fmt.Errorf("%s %q: the schema of %s has no table of that kind", kind, name, s.service)
	}
	return t.restore(tx, name, revision, message)
}

// Remove takes away the row of a name whose stored bytes have a SHA-256, with its index entries. It answers ErrNotFound if
// no table has such a row.
func (s *Schema) Remove(tx Tx, name string, digest []byte) error {
	for _, t := range s.tables {
		stored, err := t.stored(tx, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(stored); bytes.Equal(sum[:], digest) {
			return t.remove(tx, name)
		}
	}
	return fmt.Errorf("%q: %w", name, ErrNotFound)
}

// Stored returns the stored bytes of a row's message, or ErrNotFound.
func (s *Schema) Stored(r Reader, kind, name string) ([]byte, error) {
	t := s.table(kind)
	if t == nil {
		return nil, fmt.Errorf("%s %q: %w", kind, name, ErrNotFound)
	}
	return t.stored(r, name)
}

// The beginnings of the keys of rows and index entries: row/<kind>/<name>, index/<kind>/<index>/<value> 0 <name>.
const (
	rowPrefix   = "row/"
	indexPrefix = "index/"
)

// What a migration that is under way keeps is below MigrationPrefix: how far it is, and below ScratchPrefix whatever a step of
// it notes down for itself. No journal tells of it, and nothing of it is left once the migration has ended.
const (
	MigrationPrefix = "migration/"
	ScratchPrefix   = MigrationPrefix + "scratch/"
)

// TablePrefixes are the beginnings of all keys that tables write, in order.
func TablePrefixes() []string { return []string{indexPrefix, rowPrefix} }

// Tell returns the value of a key as a person reads it.
func (s *Schema) Tell(key, value []byte) string {
	rest, isRow := strings.CutPrefix(string(key), rowPrefix)
	kind, _, _ := strings.Cut(rest, "/")
	if t := s.table(kind); isRow && t != nil {
		return t.tell(value)
	}
	if slices.ContainsFunc(value, func(b byte) bool { return b < ' ' || b > '~' }) {
		return fmt.Sprintf("%d bytes, %.32x…", len(value), value)
	}
	return fmt.Sprintf("%q", value)
}

func (t *Table[T]) restore(tx Tx, name string, revision int64, message []byte) error {
	row, err := t.decode(message)
	if err != nil {
		return err
	}
	if row.GetName() != name {
		return fmt.Errorf("%s %q: the row says that its name is %q", t.kind, name, row.GetName())
	}
	if err := t.remove(tx, name); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	for _, e := range t.entries(row) {
		if err := tx.Put(e, []byte{}); err != nil {
			return err
		}
	}
	return tx.Put(t.key(name), JoinRow(revision, message))
}

func (t *Table[T]) remove(tx Tx, name string) error {
	old, _, err := t.get(tx, name)
	if err != nil {
		return err
	}
	for _, e := range t.entries(old) {
		if err := tx.Delete(e); err != nil {
			return err
		}
	}
	return tx.Delete(t.key(name))
}

func (t *Table[T]) stored(r Reader, name string) ([]byte, error) {
	value, err := r.Get(t.key(name))
	if err != nil {
		return nil, err
	}
	_, message := SplitRow(value)
	return message, nil
}

func (t *Table[T]) tell(stored []byte) string {
	revision, message := SplitRow(stored)
	row, err := t.decode(message)
	if err != nil {
		return fmt.Sprintf("%d bytes that are no %s", len(stored), t.kind)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(row)
	if err != nil || !bytes.Equal(again, message) {
		return fmt.Sprintf("%x", stored) // what is odd about it may not show in the fields
	}
	return fmt.Sprintf("{%s} of revision %d", prototext.MarshalOptions{}.Format(row), revision)
}
