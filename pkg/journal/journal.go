// Package journal records every change that a service commits: in order, numbered without gaps, each bound to
// the one before by its hash, and written in the transaction that makes the change.
//
// A DB is a store whose rows change in no other way: tables write through a Tx, and a Tx puts what they write in the
// journal.
package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Keys. A change is stored under journal/change/ and its revision in 8 bytes, big-endian, so that the order of
// keys is the order of revisions; under journal/latest/ and a resource's name is the revision of its last change.
const (
	changePrefix = "journal/change/"
	latestPrefix = "journal/latest/"
	headKey      = "journal/head"
)

// DB is a store with its journal. It is safe for concurrent use.
type DB struct {
	store   store.Store
	clock   clock.Clock
	service string

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, when changes are committed
}

// Open puts a journal on a store. The service is the one whose changes it records.
func Open(s store.Store, service string, c clock.Clock) *DB {
	return &DB{store: s, clock: c, service: service, changed: make(chan struct{})}
}

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

// Origin says where a change comes from.
type Origin struct {
	// Actor is the principal that makes the change.
	Actor string
	// Method is the full gRPC method that makes it.
	Method string
	// RequestID is what the caller named the request, if anything.
	RequestID string
}

// Update calls fn and commits what it changed together with the journal of it, or nothing. Like that of a
// store, fn may be called again and must have no other effects.
func (db *DB) Update(ctx context.Context, by Origin, fn func(*Tx) error) error {
	var wrote bool
	err := db.store.Update(ctx, func(stx store.Tx) error {
		head, err := readHead(stx)
		if err != nil {
			return err
		}
		now := db.clock.Now().UTC()
		if last := head.GetCommitTime(); last != nil && now.Before(last.AsTime()) {
			now = last.AsTime() // a machine's clock may step back; the journal's order of time does not
		}
		tx := &Tx{Tx: stx, now: now, at: map[string]int{}}
		if err := fn(tx); err != nil {
			return err
		}
		tx.changes = slices.DeleteFunc(tx.changes, func(c store.Change) bool { return c.Row == nil })
		wrote = len(tx.changes) > 0
		return db.append(tx, head, by)
	})
	if err == nil && wrote {
		db.announce()
	}
	return err
}

// append writes the changes of a transaction and the new head.
func (db *DB) append(tx *Tx, head *journalv1.Head, by Origin) error {
	if len(tx.changes) == 0 {
		return nil
	}
	revision, previous := head.GetRevision(), head.GetHash()
	commitRevision := revision + int64(len(tx.changes))
	commitTime := timestamppb.New(tx.now)
	for _, c := range tx.changes {
		revision++
		entry := &journalv1.Change{
			Name:           db.changeName(revision),
			Revision:       revision,
			CommitRevision: commitRevision,
			CommitTime:     commitTime,
			Service:        db.service,
			Actor:          by.Actor,
			Method:         by.Method,
			RequestId:      by.RequestID,
			Resource:       c.Name,
			Type:           typeOf(c),
			PreviousHash:   previous,
		}
		if c.Before != nil {
			sum := sha256.Sum256(c.Before)
			entry.BeforeDigest = sum[:]
		}
		if c.After != nil {
			entry.After = &anypb.Any{
				TypeUrl: "type.googleapis.com/" + string(kind(c)),
				Value:   c.After,
			}
		}
		entry.Hash = Hash(entry)
		previous = entry.GetHash()
		if err := putMessage(tx, changeKey(revision), entry); err != nil {
			return err
		}
		if err := tx.Put([]byte(latestPrefix+c.Name), revisionBytes(revision)); err != nil {
			return err
		}
	}
	return putMessage(tx, []byte(headKey), db.headAt(revision, previous, commitTime))
}

func kind(c store.Change) protoreflect.FullName { return c.Row.ProtoReflect().Descriptor().FullName() }

func typeOf(c store.Change) journalv1.Change_Type {
	switch {
	case c.Before == nil:
		return journalv1.Change_TYPE_CREATED
	case c.After == nil:
		return journalv1.Change_TYPE_DELETED
	default:
		return journalv1.Change_TYPE_UPDATED
	}
}

// Tx is a transaction whose changes of rows go into the journal.
type Tx struct {
	store.Tx
	now     time.Time
	changes []store.Change // a zero one was replaced by a later change of its row
	at      map[string]int // where in changes a row is, by its name
}

var _ store.Recorder = (*Tx)(nil)

// Now returns the time of the commit.
func (tx *Tx) Now() time.Time { return tx.now }

// Record implements store.Recorder. A change that changes nothing is left out. Of several changes of one row in a
// transaction only the sum is recorded: nobody outside has seen the others. A name is that of one resource, whatever
// table it is in.
func (tx *Tx) Record(c store.Change) error {
	if i, ok := tx.at[c.Name]; ok {
		earlier := tx.changes[i]
		if kind(earlier) != kind(c) {
			return fmt.Errorf("%s is the name of a %s and of a %s", c.Name, kind(earlier), kind(c))
		}
		c.Before = earlier.Before
		tx.changes[i] = store.Change{}
		delete(tx.at, c.Name)
	}
	if bytes.Equal(c.Before, c.After) && (c.Before == nil) == (c.After == nil) {
		return nil
	}
	tx.at[c.Name] = len(tx.changes)
	tx.changes = append(tx.changes, c)
	return nil
}

// Changed returns a channel that is closed when the next changes are committed.
func (db *DB) Changed() <-chan struct{} {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.changed
}

func (db *DB) announce() {
	db.mu.Lock()
	defer db.mu.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
}

// Head returns the newest point of the journal.
func (db *DB) Head(ctx context.Context) (head *journalv1.Head, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		head, err = readHead(r)
		return err
	})
	if err == nil {
		head.Name = "journals/" + db.service
	}
	return head, err
}

func readHead(r store.Reader) (*journalv1.Head, error) {
	raw, err := r.Get([]byte(headKey))
	if errors.Is(err, store.ErrNotFound) {
		return &journalv1.Head{Hash: zeroHash}, nil
	}
	if err != nil {
		return nil, err
	}
	head := &journalv1.Head{}
	if err := proto.Unmarshal(raw, head); err != nil {
		return nil, &CorruptError{Problem: "the head: " + err.Error()}
	}
	return head, nil
}

// Latest returns the last change of a resource, or store.ErrNotFound. It is what others keep as evidence, so it is held
// against its own hash.
func Latest(r store.Reader, resource string) (*journalv1.Change, error) {
	at, err := r.Get([]byte(latestPrefix + resource))
	if err != nil {
		return nil, err
	}
	revision := revisionOf(at)
	c, err := get(r, revision)
	switch {
	case err != nil:
		return nil, err
	case c.GetResource() != resource:
		return nil, &CorruptError{Revision: revision, Problem: "is not of the resource that it is found under"}
	case !bytes.Equal(c.GetHash(), Hash(c)):
		return nil, &CorruptError{Revision: revision, Problem: "does not have the hash of its content"}
	}
	return c, nil
}

// Read returns up to limit changes after a revision, and the head at the same moment.
func (db *DB) Read(ctx context.Context, after int64, limit int) (changes []*journalv1.Change, head *journalv1.Head, err error) {
	return db.read(ctx, after, limit, math.MaxInt)
}

// read is Read that ends early with the change that brings what was read to a number of bytes.
func (db *DB) read(ctx context.Context, after int64, limit, maxBytes int) (changes []*journalv1.Change, head *journalv1.Head, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		changes = nil
		if head, err = readHead(r); err != nil {
			return err
		}
		size := 0
		for e, err := range r.Scan(changeKey(after+1), store.PrefixEnd([]byte(changePrefix)), store.Ascending) {
			if err != nil {
				return err
			}
			if len(changes) == limit || size >= maxBytes {
				return nil
			}
			c, err := decode(e.Value, revisionOf(e.Key[len(changePrefix):]))
			if err != nil {
				return err
			}
			changes = append(changes, c)
			size += len(e.Value)
		}
		return nil
	})
	return changes, head, err
}

// CorruptError names the first revision at which a journal is not what was written.
type CorruptError struct {
	Revision int64
	Problem  string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal revision %d: %s", e.Revision, e.Problem)
}

// verifyChunk bounds how many changes are read in one snapshot, so that verifying a long journal does not hold an old
// snapshot of the store for long.
const verifyChunk = 1000

// Verify computes the hashes of the revisions from first to last anew, and returns the last one. A journal that is not
// whole gives a CorruptError. The first revision is also held against the hash of the one before it, and the head against
// the change that it names.
func (db *DB) Verify(ctx context.Context, first, last int64) ([]byte, error) {
	first = max(1, first)
	previous := zeroHash
	if first > 1 {
		before, _, err := db.Read(ctx, first-2, 1)
		if err != nil {
			return nil, err
		}
		if len(before) == 0 || before[0].GetRevision() != first-1 {
			return nil, &CorruptError{Revision: first - 1, Problem: "is missing"}
		}
		previous = before[0].GetHash()
	}
	for next := first; next <= last; {
		end := min(last, next+verifyChunk-1)
		err := db.View(ctx, func(r store.Reader) (err error) {
			previous, err = db.verify(r, next, end, previous)
			return err
		})
		if err != nil {
			return nil, err
		}
		next = end + 1
	}
	return previous, db.View(ctx, func(r store.Reader) error { return db.verifyHead(r, last) })
}

// verify follows the chain of the revisions from next to end, after a hash, and returns the hash that it ends in.
func (db *DB) verify(r store.Reader, next, end int64, previous []byte) ([]byte, error) {
	for e, err := range r.Scan(changeKey(next), changeKey(end+1), store.Ascending) {
		if err != nil {
			return nil, err
		}
		c, err := decode(e.Value, next)
		if err == nil {
			err = db.link(c, next, previous)
		}
		if err == nil {
			err = findable(r, c)
		}
		if err != nil {
			return nil, err
		}
		previous = c.GetHash()
		next++
	}
	if next <= end {
		return nil, &CorruptError{Revision: next, Problem: "is missing"}
	}
	return previous, nil
}

// link checks that a change is the one that belongs at a revision, after a hash.
func (db *DB) link(c *journalv1.Change, revision int64, previous []byte) error {
	switch {
	case c.GetRevision() != revision:
		return &CorruptError{Revision: revision, Problem: "is missing"}
	case c.GetName() != db.changeName(revision):
		return &CorruptError{Revision: revision, Problem: "does not have the name of its revision"}
	case !bytes.Equal(c.GetPreviousHash(), previous):
		return &CorruptError{Revision: revision, Problem: "does not follow the change before it"}
	case !bytes.Equal(c.GetHash(), Hash(c)):
		return &CorruptError{Revision: revision, Problem: "does not have the hash of its content"}
	}
	return nil
}

// findable checks that the last change that is kept of the resource is not one before this.
func findable(r store.Reader, c *journalv1.Change) error {
	at, err := r.Get([]byte(latestPrefix + c.GetResource()))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if revisionOf(at) < c.GetRevision() {
		return &CorruptError{Revision: c.GetRevision(), Problem: "is not found as the last change of its resource"}
	}
	return nil
}

// verifyHead holds the head against the change that it names, which must not be before the last one verified.
func (db *DB) verifyHead(r store.Reader, last int64) error {
	head, err := readHead(r)
	if err != nil {
		return err
	}
	at := head.GetRevision()
	if at < last {
		return &CorruptError{Revision: last, Problem: fmt.Sprintf("is beyond the head, which is at %d", at)}
	}
	if at == 0 {
		return nil
	}
	c, err := get(r, at)
	if err != nil {
		return err
	}
	if want := db.headAt(at, c.GetHash(), c.GetCommitTime()); !proto.Equal(head, want) {
		return &CorruptError{Revision: at, Problem: "is not what the head says"}
	}
	return nil
}

func (db *DB) headAt(revision int64, hash []byte, at *timestamppb.Timestamp) *journalv1.Head {
	return &journalv1.Head{Name: "journals/" + db.service, Revision: revision, Hash: hash, CommitTime: at}
}

// get reads a change that has to be there.
func get(r store.Reader, revision int64) (*journalv1.Change, error) {
	raw, err := r.Get(changeKey(revision))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &CorruptError{Revision: revision, Problem: "is missing"}
	}
	if err != nil {
		return nil, err
	}
	return decode(raw, revision)
}

func (db *DB) changeName(revision int64) string {
	return fmt.Sprintf("journals/%s/changes/%d", db.service, revision)
}

func decode(raw []byte, revision int64) (*journalv1.Change, error) {
	c := &journalv1.Change{}
	if err := proto.Unmarshal(raw, c); err != nil {
		return nil, &CorruptError{Revision: revision, Problem: err.Error()}
	}
	return c, nil
}

func changeKey(revision int64) []byte {
	return append([]byte(changePrefix), revisionBytes(revision)...)
}

func revisionBytes(revision int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(revision))
}

// revisionOf reads what revisionBytes wrote; what it did not write is no revision.
func revisionOf(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func putMessage(tx store.Tx, key []byte, m proto.Message) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	return tx.Put(key, raw)
}
