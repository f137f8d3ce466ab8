package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// BetweenError says that a store never was at a revision, since the commit that made it went on.
type BetweenError struct {
	Revision int64
	// Before and After are the nearest at which it was; Before may be 0.
	Before, After int64
}

func (e *BetweenError) Error() string {
	if e.Before == 0 {
		return fmt.Sprintf("revision %d is in the middle of a commit: the first that the store was at is %d", e.Revision, e.After)
	}
	return fmt.Sprintf("revision %d is in the middle of a commit: the nearest that the store was at are %d and %d", e.Revision, e.Before, e.After)
}

// Rewind makes the store of a service, in an empty one, as it was at a revision: the journal up to there, and the tables that it
// makes. Receipts are kept of the requests that the journal tells of up to there, so that one that comes again is still carried
// out only once; those of later requests, and of requests that changed nothing, are not.
func Rewind(ctx context.Context, from, into *journal.DB, schema *store.Schema, revision int64) error {
	if err := stood(ctx, from, revision); err != nil {
		return err
	}
	return into.Copy(ctx, from, revision, func(tx store.Tx, c *journalv1.Change) error {
		return errors.Join(replay.Apply(tx, schema, c), keepReceipt(ctx, from, tx, c))
	})
}

func keepReceipt(ctx context.Context, from *journal.DB, tx store.Tx, c *journalv1.Change) error {
	if c.GetRequestId() == "" {
		return nil
	}
	key := record.ReceiptKey(journal.Origin{Actor: c.GetActor(), RequestID: c.GetRequestId()})
	err := from.View(ctx, func(r store.Reader) error {
		receipt, err := r.Get(key)
		if err != nil {
			return err
		}
		return tx.Put(key, receipt)
	})
	if errors.Is(err, store.ErrNotFound) { // not every change is made by a request that leaves one
		return nil
	}
	return err
}

// stood fails unless the store was at a revision once, which it was after every commit.
func stood(ctx context.Context, db *journal.DB, revision int64) error {
	head, err := db.Head(ctx)
	switch {
	case err != nil:
		return err
	case head.GetFirstRevision() > 1:
		return fmt.Errorf("an earlier revision cannot be made again: %w", &journal.PrunedError{First: head.GetFirstRevision()})
	case revision < 1 || revision > head.GetRevision():
		return fmt.Errorf("there is no revision %d: the backup has 1 to %d", revision, head.GetRevision())
	}
	end, err := commitOf(ctx, db, revision)
	if err != nil || end == revision {
		return err
	}
	before := revision - 1
	for ; before > 0; before-- {
		of, err := commitOf(ctx, db, before)
		if err != nil {
			return err
		}
		if of != end {
			break
		}
	}
	return &BetweenError{Revision: revision, Before: before, After: end}
}

// commitOf returns the last revision of the commit that made a revision.
func commitOf(ctx context.Context, db *journal.DB, revision int64) (int64, error) {
	changes, _, err := db.Read(ctx, revision-1, 1)
	if err != nil {
		return 0, err
	}
	if len(changes) == 0 {
		return 0, &journal.CorruptError{Revision: revision, Problem: "is missing"}
	}
	return changes[0].GetCommitRevision(), nil
}
