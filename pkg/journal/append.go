package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

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
		if c.After != nil {
			if err := tx.Put(store.RowKey(e.kind, c.Name), store.JoinRow(revision, c.After)); err != nil {
				return nil, err
			}
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
	if e.change.GetType() == journalv1.Change_TYPE_DELETED {
		if err := tx.Put([]byte(deletedPrefix+resource), revisionBytes(revision)); err != nil {
			return err
		}
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
		c.Before, c.Revision = earlier.Before, earlier.Revision
		tx.changes[i] = store.Change{}
		delete(tx.at, c.Name)
	}
	if bytes.Equal(c.Before, c.After) && (c.Before == nil) == (c.After == nil) {
		if c.After == nil {
			return nil
		}
		return tx.Put(store.RowKey(string(kind(c).Name()), c.Name), store.JoinRow(c.Revision, c.After))
	}
	tx.at[c.Name] = len(tx.changes)
	tx.changes = append(tx.changes, c)
	return nil
}
