package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

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
	kind, err := kindOf(r, c)
	if err != nil {
		return err
	}
	at, err := latest(r, []string{kind}, c.GetResource())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if at < c.GetRevision() {
		return &CorruptError{Revision: c.GetRevision(), Problem: "is not found as the last change of its resource"}
	}
	return nil
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
