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

// Keys of a journal whose beginning was archived. Under journal/pruned is the point that the journal now begins after, and under
// journal/kept/ and a resource's name its last change, if that was in what was removed: it is what others hold as evidence.
const (
	prunedKey  = "journal/pruned"
	keptPrefix = "journal/kept/"
)

// pruneChunk bounds how many changes are removed in one commit.
const pruneChunk = 500

// ErrNoCheckpoint says that changes would be removed that no checkpoint covers.
var ErrNoCheckpoint = errors.New("there is no checkpoint at or after that revision")

// readPruned returns the last revision that was removed, with its hash; 0 and zero bytes if none was.
func readPruned(r store.Reader) (*journalv1.Head, error) {
	raw, err := r.Get([]byte(prunedKey))
	if errors.Is(err, store.ErrNotFound) {
		return &journalv1.Head{Hash: zeroHash}, nil
	}
	if err != nil {
		return nil, err
	}
	point := &journalv1.Head{}
	if err := proto.Unmarshal(raw, point); err != nil {
		return nil, &CorruptError{Problem: "where the journal begins: " + err.Error()}
	}
	want := &journalv1.Head{Name: point.GetName(), Revision: point.GetRevision(), Hash: point.GetHash()}
	if point.GetRevision() < 1 || !proto.Equal(point, want) {
		return nil, &CorruptError{Revision: point.GetRevision(), Problem: "is not where the journal can begin"}
	}
	return point, nil
}

// First returns the first revision that is kept, and the hash of the one before it.
func (db *DB) First(ctx context.Context) (first int64, before []byte, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		point, err := readPruned(r)
		first, before = point.GetRevision()+1, bytes.Clone(point.GetHash())
		return err
	})
	return first, before, err
}

// Prune removes the changes up to a revision, whose hash the caller has to know: nobody does who has not read them. It goes no
// further than the newest checkpoint. The last change of each resource is kept. A prune that is interrupted leaves a whole
// journal, and can be repeated.
func (db *DB) Prune(ctx context.Context, revision int64, hash []byte) error {
	err := db.View(ctx, func(r store.Reader) error {
		point, err := readPruned(r)
		if err != nil || revision <= point.GetRevision() {
			return err
		}
		last, err := newestCheckpoint(r)
		if err != nil {
			return err
		}
		if last.GetRevision() < revision {
			return fmt.Errorf("%w: the newest is at %d", ErrNoCheckpoint, last.GetRevision())
		}
		c, err := get(r, revision)
		if err != nil {
			return err
		}
		if !bytes.Equal(c.GetHash(), hash) {
			return &CorruptError{Revision: revision, Problem: "does not have the hash that was archived"}
		}
		return nil
	})
	for done := false; err == nil && !done; {
		err = db.store.Update(ctx, func(tx store.Tx) (err error) {
			done, err = db.pruneSome(tx, revision)
			return err
		})
	}
	return err
}

// pruneSome removes the next changes up to a revision, and tells whether that was all.
func (db *DB) pruneSome(tx store.Tx, revision int64) (done bool, err error) {
	point, err := readPruned(tx)
	if err != nil {
		return false, err
	}
	next := point.GetRevision()
	last := min(revision, next+pruneChunk)
	for next < last {
		next++
		c, err := get(tx, next)
		if err != nil {
			return false, err
		}
		if err := db.remove(tx, c); err != nil {
			return false, err
		}
		point = &journalv1.Head{Name: db.name(), Revision: next, Hash: c.GetHash()}
	}
	if point.GetRevision() == 0 {
		return true, nil
	}
	return next >= revision, putMessage(tx, []byte(prunedKey), point)
}

// remove removes one change. If it is the last of its resource it is put aside; else what was put aside of the resource before
// is not wanted any more.
func (db *DB) remove(tx store.Tx, c *journalv1.Change) error {
	kind, err := kindOf(tx, c)
	if err != nil {
		return err
	}
	at, err := latest(tx, []string{kind}, c.GetResource())
	if err != nil {
		return err
	}
	kept := []byte(keptPrefix + c.GetResource())
	if at == c.GetRevision() {
		err = putMessage(tx, kept, c)
	} else {
		err = tx.Delete(kept)
	}
	return errors.Join(err, tx.Delete(changeKey(c.GetRevision())), tx.Delete(typeKey(kind, c.GetRevision())))
}

// find reads a change of a resource that has to be there, in the journal or put aside.
func find(r store.Reader, resource string, revision int64) (*journalv1.Change, error) {
	point, err := readPruned(r)
	if err != nil {
		return nil, err
	}
	if revision > point.GetRevision() {
		return get(r, revision)
	}
	raw, err := r.Get([]byte(keptPrefix + resource))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &PrunedError{First: point.GetRevision() + 1}
	}
	if err != nil {
		return nil, err
	}
	c, err := decode(raw, revision)
	if err == nil && c.GetRevision() != revision {
		err = &PrunedError{First: point.GetRevision() + 1}
	}
	return c, err
}

// At returns the change that a resource had at a revision, which is how evidence is looked up again. A change that was archived
// and is not the last of its resource gives a PrunedError.
func (db *DB) At(ctx context.Context, resource string, revision int64) (c *journalv1.Change, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		head, err := db.readHead(r)
		if err != nil {
			return err
		}
		if c, err = find(r, resource, revision); err != nil {
			return err
		}
		return provable(head, c, resource, revision)
	})
	return c, err
}

func provable(head *journalv1.Head, c *journalv1.Change, resource string, revision int64) error {
	switch {
	case c.GetResource() != resource:
		return &CorruptError{Revision: revision, Problem: "is not of the resource that it is found under"}
	case c.GetRevision() != revision || !bytes.Equal(c.GetHash(), Hash(head.GetHashAlgorithm(), c)):
		return &CorruptError{Revision: revision, Problem: "does not have the hash of its content"}
	}
	return nil
}
