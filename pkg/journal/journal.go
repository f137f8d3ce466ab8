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

	algorithm Algorithm // of a journal that begins

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
	var wrote []entry
	err := db.store.Update(ctx, func(stx store.Tx) error {
		head, err := db.readHead(stx)
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
		wrote, err = db.append(tx, head, by)
		return err
	})
	if err == nil && len(wrote) > 0 {
		db.announce(wrote)
	}
	return err
}

// append writes the changes of a transaction and the new head.
func (db *DB) append(tx *Tx, head *journalv1.Head, by Origin) (wrote []entry, err error) {
	if len(tx.changes) == 0 {
		return nil, nil
	}
	revision, previous := head.GetRevision(), head.GetHash()
	commitRevision := revision + int64(len(tx.changes))
	commitTime := timestamppb.New(tx.now)
	for _, c := range tx.changes {
		revision++
		change := &journalv1.Change{
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
			change.BeforeDigest = sum[:]
		}
		if c.After != nil {
			change.After = &anypb.Any{
				TypeUrl: "type.googleapis.com/" + string(kind(c)),
				Value:   c.After,
			}
		}
		change.Hash = Hash(head.GetHashAlgorithm(), change)
		previous = change.GetHash()
		e := entry{change: change, kind: string(kind(c).Name())}
		if err := putChange(tx, e); err != nil {
			return nil, err
		}
		wrote = append(wrote, e)
	}
	return wrote, putMessage(tx, []byte(headKey), db.headAt(head.GetHashAlgorithm(), revision, previous, commitTime))
}

// putChange writes a change, and what it is found by.
func putChange(tx store.Tx, e entry) error {
	revision, resource := e.change.GetRevision(), e.change.GetResource()
	if err := putMessage(tx, changeKey(revision), e.change); err != nil {
		return err
	}
	if err := tx.Put([]byte(latestPrefix+resource), revisionBytes(revision)); err != nil {
		return err
	}
	return tx.Put(typeKey(e.kind, revision), []byte(resource))
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

// Head returns the newest point of the journal.
func (db *DB) Head(ctx context.Context) (head *journalv1.Head, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		if head, err = db.readHead(r); err != nil {
			return err
		}
		point, err := readPruned(r)
		head.FirstRevision = point.GetRevision() + 1
		return err
	})
	if err == nil {
		head.Name = db.name()
	}
	return head, err
}

// readHead reads the head. A journal that has not begun gets the algorithm that it will begin with.
func (db *DB) readHead(r store.Reader) (*journalv1.Head, error) {
	head, err := readHead(r)
	if err == nil && head.GetRevision() == 0 {
		head.HashAlgorithm = db.algorithm
	}
	return head, err
}

// HeadOf returns the newest point of the journal within a transaction that reads other things as well.
func HeadOf(r store.Reader) (*journalv1.Head, error) {
	head, err := readHead(r)
	if err != nil {
		return nil, err
	}
	point, err := readPruned(r)
	head.FirstRevision = point.GetRevision() + 1
	return head, err
}

// readHead reads the head as it is stored: without the algorithm if that is SHA-256, so that no bit of it can be other than it
// was written without the chain saying so.
func readHead(r store.Reader) (*journalv1.Head, error) {
	raw, err := r.Get([]byte(headKey))
	if errors.Is(err, store.ErrNotFound) {
		return &journalv1.Head{Hash: zeroHash, HashAlgorithm: SHA256}, nil
	}
	if err != nil {
		return nil, err
	}
	head := &journalv1.Head{}
	if err := proto.Unmarshal(raw, head); err != nil {
		return nil, &CorruptError{Problem: "the head: " + err.Error()}
	}
	switch head.GetHashAlgorithm() {
	case journalv1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED:
		head.HashAlgorithm = SHA256
	case SM3:
	default:
		return nil, &CorruptError{Revision: head.GetRevision(), Problem: "is under a head of an unknown hash algorithm"}
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
	head, err := readHead(r)
	if err != nil {
		return nil, err
	}
	revision := revisionOf(at)
	c, err := find(r, resource, revision)
	var gone *PrunedError
	if errors.As(err, &gone) {
		err = &CorruptError{Revision: revision, Problem: "is missing among the last changes that are kept"}
	}
	if err != nil {
		return nil, err
	}
	return c, provable(head, c, resource, revision)
}

// Read returns up to limit changes after a revision, and the head at the same moment.
func (db *DB) Read(ctx context.Context, after int64, limit int) (changes []*journalv1.Change, head *journalv1.Head, err error) {
	page, err := db.ReadPage(ctx, Filter{}, after, limit, math.MaxInt)
	return page.Changes, page.Head, err
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
// the change that it names. The earliest that can be verified is the first that is kept; 0 means that one.
func (db *DB) Verify(ctx context.Context, first, last int64, checkpoints ...*journalv1.Checkpoint) ([]byte, error) {
	var chain *Chain
	err := db.View(ctx, func(r store.Reader) (err error) {
		chain, err = db.chain(r, first, checkpoints)
		return err
	})
	if err != nil {
		return nil, err
	}
	for chain.Revision() < last {
		end := min(last, chain.Revision()+verifyChunk)
		if err := db.View(ctx, func(r store.Reader) error { return verify(r, chain, end) }); err != nil {
			return nil, err
		}
	}
	return chain.Hash(), db.View(ctx, func(r store.Reader) error { return db.verifyHead(r, last) })
}

// chain returns the chain that begins before a revision.
func (db *DB) chain(r store.Reader, first int64, checkpoints []*journalv1.Checkpoint) (*Chain, error) {
	head, err := db.readHead(r)
	if err != nil {
		return nil, err
	}
	point, err := readPruned(r)
	if err != nil {
		return nil, err
	}
	if point.GetRevision() > 0 && point.GetName() != db.name() {
		return nil, &CorruptError{Revision: point.GetRevision(), Problem: "is where the journal of another service begins"}
	}
	begin := point.GetRevision() + 1
	if first == 0 || first == begin {
		return NewChain(db.name(), head.GetHashAlgorithm(), point.GetRevision(), point.GetHash(), checkpoints...), nil
	}
	if first < begin {
		return nil, &PrunedError{First: begin}
	}
	before, err := get(r, first-1)
	if err != nil {
		return nil, err
	}
	return NewChain(db.name(), head.GetHashAlgorithm(), first-1, before.GetHash(), checkpoints...), nil
}

// verify follows the chain up to a revision.
func verify(r store.Reader, chain *Chain, end int64) error {
	for e, err := range r.Scan(changeKey(chain.Revision()+1), changeKey(end+1), store.Ascending) {
		if err != nil {
			return err
		}
		c, err := decode(e.Value, chain.Revision()+1)
		if err == nil {
			err = chain.Add(c)
		}
		if err == nil {
			err = findable(r, c)
		}
		if err != nil {
			return err
		}
	}
	if chain.Revision() < end {
		return &CorruptError{Revision: chain.Revision() + 1, Problem: "is missing"}
	}
	return nil
}

// findable checks that the last change that is kept of the resource is not one before this, and that those who read by type
// find it.
func findable(r store.Reader, c *journalv1.Change) error {
	at, err := r.Get([]byte(latestPrefix + c.GetResource()))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if revisionOf(at) < c.GetRevision() {
		return &CorruptError{Revision: c.GetRevision(), Problem: "is not found as the last change of its resource"}
	}
	_, err = kindOf(r, c)
	return err
}

// verifyHead holds the head against the change that it names, which must not be before the last one verified.
func (db *DB) verifyHead(r store.Reader, last int64) error {
	head, err := db.readHead(r)
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
	c, err := find(r, "", at)
	var gone *PrunedError
	if errors.As(err, &gone) { // everything was archived
		return db.verifyBegin(r, head)
	}
	if err != nil {
		return err
	}
	head.HashAlgorithm = storedAs(head.GetHashAlgorithm())
	if want := db.headAt(head.GetHashAlgorithm(), at, c.GetHash(), c.GetCommitTime()); !proto.Equal(head, want) {
		return &CorruptError{Revision: at, Problem: "is not what the head says"}
	}
	return nil
}

// verifyBegin holds the head of a journal of which every change was archived against where it goes on.
func (db *DB) verifyBegin(r store.Reader, head *journalv1.Head) error {
	point, err := readPruned(r)
	if err != nil {
		return err
	}
	if head.GetName() != db.name() || point.GetRevision() != head.GetRevision() || !bytes.Equal(point.GetHash(), head.GetHash()) {
		return &CorruptError{Revision: head.GetRevision(), Problem: "is not what the head says"}
	}
	return nil
}

func (db *DB) headAt(a Algorithm, revision int64, hash []byte, at *timestamppb.Timestamp) *journalv1.Head {
	return &journalv1.Head{Name: db.name(), Revision: revision, Hash: hash, CommitTime: at, HashAlgorithm: storedAs(a)}
}

// storedAs is how a head keeps the algorithm: see readHead.
func storedAs(a Algorithm) Algorithm {
	if a == SHA256 {
		return journalv1.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED
	}
	return a
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
