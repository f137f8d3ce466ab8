// Package replay proves that the tables of a service are what its journal says. It makes them again from the changes alone,
// in an empty store, and compares: rows and index entries, byte for byte.
//
// The journal's own keys and the receipts of request ids, which no change tells of, are not compared. Nothing else may be in
// a store.
package replay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// chunk is how many changes are carried out in one transaction.
const chunk = 500

// DifferenceError names the first key, in the order of keys, in which the tables are not what the journal makes.
type DifferenceError struct {
	Key string
	// Stored and Replayed are what is there, and what should be; empty for nothing.
	Stored, Replayed string
}

func (e *DifferenceError) Error() string {
	say := func(what string) string {
		if what == "" {
			return "nothing"
		}
		return what
	}
	return fmt.Sprintf("%q has %s, and the journal makes it %s", e.Key, say(e.Stored), say(e.Replayed))
}

// MissingError says that a journal does not begin at its beginning, and that what was archived is not all there.
type MissingError struct {
	Journal string
	// First and Last are the revisions that are missing.
	First, Last int64
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: the revisions from %d to %d are missing: they were archived, and the tables cannot be made again "+
		"without the segment files to which `yizhen journal prune` moved them (--file)", e.Journal, e.First, e.Last)
}

// Archive yields the changes of a journal that were archived, from the first on; nil yields none. It may go on with what is
// also kept.
type Archive = iter.Seq2[*journalv1.Change, error]

// Check is CheckArchived of a journal of which nothing was archived.
func Check(ctx context.Context, db *journal.DB, schema *store.Schema, scratch store.Store, progress func(done, all int64)) (int64, error) {
	return CheckArchived(ctx, db, schema, nil, scratch, progress)
}

// CheckArchived carries the changes of a journal out on scratch, which has to be empty, and compares its tables with those of
// db. Those that were archived come from the archive, whose chain has to lead to where the journal goes on. It returns how many
// changes there were. Commits may go on meanwhile. Progress, if it is not nil, is told the revisions that are done and that
// there are.
func CheckArchived(ctx context.Context, db *journal.DB, schema *store.Schema, archive Archive, scratch store.Store, progress func(done, all int64)) (int64, error) {
	done, err := fromArchive(ctx, db, schema, archive, scratch, progress)
	if err != nil {
		return done, err
	}
	for {
		changes, head, err := db.Read(ctx, done, chunk)
		if err != nil {
			return done, err
		}
		if len(changes) > 0 {
			if err := carryOut(ctx, scratch, schema, changes, done+1); err != nil {
				return done, err
			}
			done = changes[len(changes)-1].GetRevision()
			if progress != nil {
				progress(done, head.GetRevision())
			}
			continue
		}
		if done < head.GetRevision() { // read at one moment, so nothing more will come
			return done, fmt.Errorf("the head is at revision %d, and revision %d is missing", head.GetRevision(), done+1)
		}
		compared, err := compare(ctx, db, schema, scratch, done)
		if compared || err != nil {
			return done, err
		}
	}
}

// fromArchive carries out the changes that a journal does not have any more, and returns the last of them.
func fromArchive(ctx context.Context, db *journal.DB, schema *store.Schema, archive Archive, scratch store.Store, progress func(done, all int64)) (int64, error) {
	head, err := db.Head(ctx)
	if err != nil {
		return 0, err
	}
	first, hash, err := db.First(ctx)
	if err != nil || first == 1 {
		return 0, err
	}
	journalName := "journals/" + db.Service()
	chain := journal.NewChain(journalName, head.GetHashAlgorithm(), 0, nil)
	var changes []*journalv1.Change
	flush := func() error {
		err := carryOut(ctx, scratch, schema, changes, chain.Revision()-int64(len(changes))+1)
		changes = changes[:0]
		if progress != nil && err == nil {
			progress(chain.Revision(), head.GetRevision())
		}
		return err
	}
	if archive != nil {
		for c, err := range archive {
			if err == nil && c.GetRevision() >= first {
				break
			}
			if err == nil {
				err = chain.Add(c)
			}
			if err != nil {
				return chain.Revision(), err
			}
			if changes = append(changes, c); len(changes) == chunk {
				if err := flush(); err != nil {
					return chain.Revision(), err
				}
			}
		}
	}
	if chain.Revision() < first-1 {
		return chain.Revision(), &MissingError{Journal: journalName, First: chain.Revision() + 1, Last: first - 1}
	}
	if !bytes.Equal(chain.Hash(), hash) {
		return chain.Revision(), &journal.CorruptError{Revision: first - 1, Problem: "is not what the journal goes on from: the archive is of another history"}
	}
	return chain.Revision(), flush()
}

// carryOut carries out changes whose first has to be of a revision.
func carryOut(ctx context.Context, scratch store.Store, schema *store.Schema, changes []*journalv1.Change, first int64) error {
	return scratch.Update(ctx, func(tx store.Tx) error {
		for i, c := range changes {
			if want := first + int64(i); c.GetRevision() != want {
				return fmt.Errorf("revision %d is missing", want)
			}
			if err := Apply(tx, schema, c); err != nil {
				return fmt.Errorf("revision %d: %w", c.GetRevision(), err)
			}
		}
		return nil
	})
}

// Apply carries one change out on the tables. It has to begin from the state that the changes before it have led to, so that
// a history which was rewritten in between does not pass because it ends well.
func Apply(tx store.Tx, schema *store.Schema, c *journalv1.Change) error {
	if c.GetType() == journalv1.Change_TYPE_DELETED {
		return schema.Remove(tx, c.GetResource(), c.GetBeforeDigest())
	}
	url := c.GetAfter().GetTypeUrl()
	kind := url[strings.LastIndexByte(url, '.')+1:]
	before, err := schema.Stored(tx, kind, c.GetResource())
	there := !errors.Is(err, store.ErrNotFound)
	if err != nil && there {
		return err
	}
	if created := c.GetType() == journalv1.Change_TYPE_CREATED; created == there {
		return fmt.Errorf("%s is said to be %s, and before it was there: %t", c.GetResource(), c.GetType(), there)
	}
	if sum := sha256.Sum256(before); there && !bytes.Equal(sum[:], c.GetBeforeDigest()) {
		return fmt.Errorf("%s is changed from a state that no change before led to", c.GetResource())
	}
	return schema.Restore(tx, kind, c.GetResource(), c.GetRevision(), c.GetAfter().GetValue())
}

// compare compares the tables, unless the journal has gone on since the revision.
func compare(ctx context.Context, db *journal.DB, schema *store.Schema, scratch store.Store, revision int64) (compared bool, err error) {
	err = db.View(ctx, func(stored store.Reader) error {
		head, err := journal.HeadOf(stored)
		if err != nil || head.GetRevision() != revision {
			return err
		}
		compared = true
		return scratch.View(ctx, func(replayed store.Reader) error {
			for _, prefix := range store.TablePrefixes() {
				if err := same(schema, scan(stored, prefix), scan(replayed, prefix)); err != nil {
					return err
				}
			}
			return strays(schema, stored)
		})
	})
	return compared, err
}

// beside are the beginnings of the keys that a store has besides its tables.
var beside = []string{"journal/", "receipt/", store.MigrationPrefix}

// strays fails at a key that nobody would miss, because no part of the program reads it.
func strays(schema *store.Schema, stored store.Reader) error {
	var from []byte
	for _, prefix := range append(slices.Sorted(slices.Values(slices.Concat(store.TablePrefixes(), beside))), "") {
		for e, err := range stored.Scan(from, []byte(prefix), store.Ascending) {
			if err != nil {
				return err
			}
			return &DifferenceError{Key: string(e.Key), Stored: schema.Tell(e.Key, e.Value)}
		}
		from = store.PrefixEnd([]byte(prefix))
	}
	return nil
}

func scan(r store.Reader, prefix string) iter.Seq2[store.Entry, error] {
	return r.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix)), store.Ascending)
}

// same compares two runs of entries and fails at the first difference.
func same(schema *store.Schema, stored, replayed iter.Seq2[store.Entry, error]) error {
	nextStored, stopStored := iter.Pull2(stored)
	defer stopStored()
	nextReplayed, stopReplayed := iter.Pull2(replayed)
	defer stopReplayed()
	for {
		a, errA, isA := nextStored()
		b, errB, isB := nextReplayed()
		switch {
		case errA != nil:
			return errA
		case errB != nil:
			return errB
		case !isA && !isB:
			return nil
		case !isB || isA && bytes.Compare(a.Key, b.Key) < 0:
			return &DifferenceError{Key: string(a.Key), Stored: schema.Tell(a.Key, a.Value)}
		case !isA || bytes.Compare(a.Key, b.Key) > 0:
			return &DifferenceError{Key: string(b.Key), Replayed: schema.Tell(b.Key, b.Value)}
		case !bytes.Equal(a.Value, b.Value):
			return &DifferenceError{Key: string(a.Key), Stored: schema.Tell(a.Key, a.Value), Replayed: schema.Tell(b.Key, b.Value)}
		}
	}
}
