package journal

import (
	"bytes"
	"context"
	"fmt"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// A copy takes so many changes, or the one that brings them to so many bytes, in one transaction.
const (
	copyChanges = 500
	copyBytes   = 4 << 20
)

// Copy begins a journal in an empty store with the changes that another of the service has up to a revision, hashes and
// checkpoints included. With each change it calls with, in the transaction that writes the change. After an error there may be a
// part of it.
func (db *DB) Copy(ctx context.Context, from *DB, revision int64, with func(store.Tx, *journalv1.Change) error) error {
	begun, err := db.Head(ctx)
	if err != nil {
		return err
	}
	head, err := from.Head(ctx)
	switch {
	case err != nil:
		return err
	case begun.GetRevision() > 0:
		return fmt.Errorf("%s has begun already", db.name())
	case db.name() != from.name():
		return fmt.Errorf("%s cannot go on from %s", db.name(), from.name())
	case head.GetFirstRevision() > 1:
		return &PrunedError{First: head.GetFirstRevision()}
	case revision > head.GetRevision():
		return fmt.Errorf("%s ends at revision %d", from.name(), head.GetRevision())
	}
	chain := NewChain(db.name(), head.GetHashAlgorithm(), 0, nil)
	for chain.Revision() < revision {
		part, err := from.part(ctx, chain.Revision(), min(copyChanges, int(revision-chain.Revision())))
		if err != nil {
			return err
		}
		for _, e := range part.entries {
			if err := chain.Add(e.change); err != nil {
				return err
			}
		}
		if err := db.take(ctx, head.GetHashAlgorithm(), part, with); err != nil {
			return err
		}
	}
	return nil
}

// part is a run of changes, and the checkpoints at their revisions as they are stored.
type part struct {
	entries     []entry
	checkpoints []store.Entry
}

// part reads the changes after a revision, of which there has to be one.
func (db *DB) part(ctx context.Context, after int64, limit int) (p part, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		p = part{}
		page := Page{Through: after}
		if err := page.fill(r, limit, copyBytes); err != nil {
			return err
		}
		if len(page.Changes) == 0 {
			return &CorruptError{Revision: after + 1, Problem: "is missing"}
		}
		for _, c := range page.Changes {
			kind, err := kindOf(r, c)
			if err != nil {
				return err
			}
			p.entries = append(p.entries, entry{change: c, kind: kind})
		}
		for e, err := range r.Scan(checkpointKey(after+1), checkpointKey(page.Through+1), store.Ascending) {
			if err != nil {
				return err
			}
			p.checkpoints = append(p.checkpoints, store.Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
		}
		return nil
	})
	return p, err
}

// take writes a part, and a head at its end.
func (db *DB) take(ctx context.Context, a Algorithm, p part, with func(store.Tx, *journalv1.Change) error) error {
	return db.store.Update(ctx, func(tx store.Tx) error {
		for _, e := range p.entries {
			if err := putChange(tx, e); err != nil {
				return err
			}
			if err := with(tx, e.change); err != nil {
				return fmt.Errorf("revision %d: %w", e.change.GetRevision(), err)
			}
		}
		for _, c := range p.checkpoints {
			if err := tx.Put(c.Key, c.Value); err != nil {
				return err
			}
		}
		last := p.entries[len(p.entries)-1].change
		return putMessage(tx, []byte(headKey), db.headAt(a, last.GetRevision(), last.GetHash(), last.GetCommitTime()))
	})
}
