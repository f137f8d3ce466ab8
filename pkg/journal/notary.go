package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// glance is how long a notary lets commits come before it looks how many there were: a journal that is written to without a
// pause is looked at ten times a second, and one that rests not at all.
const glance = 100 * time.Millisecond

// Notary makes checkpoints of a journal for as long as it is served.
type Notary struct {
	DB     *DB
	Signer *Signer
	// Every is how often it looks whether there is something new to sign.
	Every time.Duration
	// Revisions is how many revisions that are not signed have it sign without waiting for that; 0 has it go by time alone.
	Revisions int64
	// File gets every checkpoint too; nil keeps them in the store alone.
	File *CheckpointFile
	// Logger is told when a checkpoint cannot be made; the next one covers it.
	Logger *slog.Logger
}

// Begin holds the last checkpoint of the file against the journal, and adds to the file what was signed and did not get there. It
// comes before anything is served: a journal that is not what was signed must not go on.
func (n *Notary) Begin(ctx context.Context) error {
	if n.File == nil {
		return nil
	}
	if last := n.File.Last(); last != nil {
		if err := n.DB.holds(ctx, last); err != nil {
			return fmt.Errorf("%s is not what was signed: its end was cut off, or it was restored, or made anew. "+
				"If that was meant, put the file of its checkpoints away first: %w", n.DB.name(), err)
		}
	}
	return n.publish(ctx)
}

// Run signs the head, from time to time if it has moved and when it has moved far, until the context ends, and then a last time.
func (n *Notary) Run(ctx context.Context) error {
	tick := time.NewTicker(n.Every)
	defer tick.Stop()
	for {
		var changed <-chan struct{}
		var looked <-chan time.Time
		if n.Revisions > 0 {
			changed = n.DB.Changed() // before the look, which is at what came before
			n.log(n.signIfDue(ctx))
		}
		for again := false; !again; {
			select {
			case <-changed:
				changed, looked = nil, time.After(glance)
			case <-looked:
				again = true
			case <-tick.C:
				n.log(n.sign(ctx))
			case <-ctx.Done():
				return n.sign(context.WithoutCancel(ctx))
			}
		}
	}
}

// Close closes the file. There may be no notary.
func (n *Notary) Close() error {
	if n == nil || n.File == nil {
		return nil
	}
	return n.File.Close()
}

func (n *Notary) log(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.Logger.Error("no checkpoint was made", "error", err)
	}
}

// signIfDue signs the head if so many revisions are not signed.
func (n *Notary) signIfDue(ctx context.Context) error {
	var unsigned int64
	err := n.DB.View(ctx, func(r store.Reader) error {
		head, err := n.DB.readHead(r)
		if err != nil {
			return err
		}
		last, err := newestCheckpoint(r)
		unsigned = head.GetRevision() - last.GetRevision()
		return err
	})
	if err != nil || unsigned < n.Revisions {
		return err
	}
	return n.sign(ctx)
}

// sign signs the head, unless it is signed.
func (n *Notary) sign(ctx context.Context) error {
	if _, err := n.DB.Checkpoint(ctx, n.Signer); err != nil {
		return err
	}
	return n.publish(ctx)
}

// publishPage is how many checkpoints are added to a file at once.
const publishPage = 1000

// publish adds to the file what it does not have yet of the checkpoints in the store. Usually that is the one just signed; more, if
// the service was killed in between, or if a replica has signed.
func (n *Notary) publish(ctx context.Context) error {
	if n.File == nil {
		return nil
	}
	for {
		missing, err := n.DB.Checkpoints(ctx, n.File.Last().GetRevision(), publishPage)
		if err != nil {
			return err
		}
		if err := n.File.Append(missing...); err != nil || len(missing) < publishPage {
			return err
		}
	}
}

// holds holds a checkpoint against the journal.
func (db *DB) holds(ctx context.Context, c *journalv1.Checkpoint) error {
	if journalOf(c) != db.name() {
		return fmt.Errorf("%s is not of %s", c.GetName(), db.name())
	}
	return db.View(ctx, func(r store.Reader) error {
		head, err := db.readHead(r)
		if err != nil {
			return err
		}
		if head.GetRevision() < c.GetRevision() {
			return cutOff(head.GetRevision(), c.GetRevision())
		}
		hash, err := hashAt(r, c.GetRevision())
		if err == nil && !bytes.Equal(hash, c.GetHash()) {
			err = notSigned(c)
		}
		return err
	})
}

// hashAt returns the hash that the store has of a revision that was signed. Where the change was archived, its checkpoint is left.
func hashAt(r store.Reader, revision int64) ([]byte, error) {
	point, err := readPruned(r)
	switch {
	case err != nil:
		return nil, err
	case revision == point.GetRevision():
		return point.GetHash(), nil
	case revision > point.GetRevision():
		change, err := get(r, revision)
		return change.GetHash(), err
	}
	c, err := checkpointAt(r, revision)
	if errors.Is(err, store.ErrNotFound) {
		err = &CorruptError{Revision: revision, Problem: "has no checkpoint any more"}
	}
	return c.GetHash(), err
}
