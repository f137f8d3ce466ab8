package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

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
// the change that it names. The earliest that can be verified is the first that is kept; 0 means that one. From there on all is
// verified that stands beside the changes as well: what they are found by, what was put aside when the beginning was archived, and
// checkpoints, whose signatures are checked with the keys that the journal was opened with.
func (db *DB) Verify(ctx context.Context, first, last int64, checkpoints ...*journalv1.Checkpoint) ([]byte, error) {
	v := &verification{db: db, last: last, deleted: map[int64]string{}}
	err := db.View(ctx, func(r store.Reader) (err error) {
		if v.chain, err = db.chain(r, first, checkpoints); err != nil {
			return err
		}
		point, err := readPruned(r)
		v.first, v.begins = v.chain.Revision()+1, v.chain.Revision() == point.GetRevision()
		return err
	})
	if err != nil {
		return nil, err
	}
	for v.chain.Revision() < last {
		end := min(last, v.chain.Revision()+verifyChunk)
		if err := db.View(ctx, func(r store.Reader) error { return v.follow(r, end) }); err != nil {
			return nil, err
		}
	}
	if err := v.beside(ctx); err != nil {
		return nil, err
	}
	return v.chain.Hash(), db.View(ctx, v.head)
}

// verification is one run of Verify.
type verification struct {
	db          *DB
	chain       *Chain
	first, last int64
	deleted     map[int64]string  // the resources that were deleted, by the revision of that
	begins      bool              // first is where the journal begins here
	aside       *journalv1.Change // of what was put aside, the newest
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

// follow follows the chain up to a revision, and beside it the entries by which changes are found by their type.
func (v *verification) follow(r store.Reader, end int64) error {
	if err := v.kept(r); err != nil {
		return err
	}
	kinds, err := kindsOf(r)
	if err != nil {
		return err
	}
	after := v.chain.Revision()
	if v.begins && after == v.first-1 {
		after = 0 // of what was before, nothing may be left
	}
	nextEntry, stop := iter.Pull2(merged(r, kinds, after))
	defer stop()
	for e, err := range r.Scan(changeKey(after+1), changeKey(end+1), store.Ascending) {
		if err != nil {
			return err
		}
		next := v.chain.Revision() + 1
		switch at := revisionOf(e.Key[len(changePrefix):]); {
		case at < next:
			return &CorruptError{Revision: at, Problem: "was archived, and there is a change under its number"}
		case at > next:
			return &CorruptError{Revision: next, Problem: "is missing"}
		}
		c, err := decode(e.Value, next)
		if err == nil {
			err = v.chain.Add(c)
		}
		if err == nil && !written(c, e.Value) {
			err = &CorruptError{Revision: next, Problem: "is not written as it was"}
		}
		if err == nil {
			err = findable(r, c)
		}
		if err != nil {
			return err
		}
		found, err, ok := nextEntry()
		if err != nil {
			return err
		}
		if !ok || found.revision != c.GetRevision() || found.resource != c.GetResource() {
			return &CorruptError{Revision: c.GetRevision(), Problem: "is not what is found under the types of resources there"}
		}
		if c.GetType() == journalv1.Change_TYPE_DELETED {
			v.deleted[c.GetRevision()] = c.GetResource()
		}
	}
	if v.chain.Revision() < end {
		return &CorruptError{Revision: v.chain.Revision() + 1, Problem: "is missing"}
	}
	return nil
}

// kept sees to it that what is to be read was not archived since the beginning: then nothing is wrong, and it has to be begun anew.
func (v *verification) kept(r store.Reader) error {
	point, err := readPruned(r)
	if err == nil && point.GetRevision() > v.chain.Revision() {
		err = &PrunedError{First: point.GetRevision() + 1}
	}
	return err
}

// findable checks that the last change of the resource is found, which is this or one after it, and that those who read by type
// find this.
func findable(r store.Reader, c *journalv1.Change) error {
	kind, err := kindOf(r, c)
	if err != nil {
		return err
	}
	at, err := latest(r, []string{kind}, c.GetResource())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if at > c.GetRevision() {
		return isOf(r, []string{kind}, at, c)
	}
	if at < c.GetRevision() {
		return &CorruptError{Revision: c.GetRevision(), Problem: "is not found as the last change of its resource"}
	}
	return nil
}

// isOf checks that a later change, which is said to be the last of the resource of one, is of that resource.
func isOf(r store.Reader, kinds []string, at int64, c *journalv1.Change) error {
	for _, kind := range kinds {
		resource, err := r.Get(typeKey(kind, at))
		if err == nil && string(resource) == c.GetResource() {
			return nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return &CorruptError{Revision: c.GetRevision(), Problem: fmt.Sprintf(
		"is of a resource whose last change is said to be at %d, and is not there", at)}
}

// head holds the head against the change that it names, which must not be before the last one verified.
func (v *verification) head(r store.Reader) error {
	db, last := v.db, v.last
	head, err := db.readHead(r)
	if err != nil {
		return err
	}
	at := head.GetRevision()
	if at < last {
		return &CorruptError{Revision: last, Problem: fmt.Sprintf("is beyond the head, which is at %d", at)}
	}
	if at == 0 {
		return nothingAfter(r, 0)
	}
	point, err := readPruned(r)
	if err == nil {
		err = nothingAfter(r, at)
	}
	if err != nil {
		return err
	}
	if point.GetRevision() > at {
		return &CorruptError{Revision: at, Problem: "is the head, and is said to be archived with what follows"}
	}
	var c *journalv1.Change
	switch {
	case point.GetRevision() < at:
		c, err = get(r, at)
	case !v.begins || at != last:
		return nil // all was archived meanwhile
	case v.aside.GetRevision() != at:
		err = &CorruptError{Revision: at, Problem: "is missing among the last changes that are kept"}
	default:
		c = v.aside
	}
	if err != nil {
		return err
	}
	if point.GetRevision() == at && !bytes.Equal(point.GetHash(), c.GetHash()) {
		return &CorruptError{Revision: at, Problem: "is not what was archived"}
	}
	return v.recorded(r, db.headAt(head.GetHashAlgorithm(), at, c.GetHash(), c.GetCommitTime()), point)
}

// recorded checks that the head, and the record of what was archived, are the bytes that they would be written as.
func (v *verification) recorded(r store.Reader, head, pruned *journalv1.Head) error {
	raw, err := r.Get([]byte(headKey))
	if err != nil {
		return err
	}
	if !written(head, raw) {
		return &CorruptError{Revision: head.GetRevision(), Problem: "is not what the head says"}
	}
	raw, err = r.Get([]byte(prunedKey))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil && !written(pruned, raw) {
		err = &CorruptError{Revision: pruned.GetRevision(), Problem: "is not written as it was where the journal begins"}
	}
	return err
}

// nothingAfter checks that no change and no entry of one is after the head.
func nothingAfter(r store.Reader, head int64) error {
	for _, err := range r.Scan(changeKey(head+1), store.PrefixEnd([]byte(changePrefix)), store.Ascending) {
		if err != nil {
			return err
		}
		return &CorruptError{Revision: head + 1, Problem: "and what follows is after the head"}
	}
	kinds, err := kindsOf(r)
	if err != nil {
		return err
	}
	for _, err := range merged(r, kinds, head) {
		if err != nil {
			return err
		}
		return &CorruptError{Revision: head + 1, Problem: "is found under a type, and is after the head"}
	}
	return nil
}
