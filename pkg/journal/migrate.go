package journal

import (
	"bytes"
	"errors"
	"strings"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// latestPrefix began the keys, each with the name of a resource, that once had the revision of its last change.
const latestPrefix = "journal/latest/"

// IndexByType is a batch of the migration of stores that were written before changes could be read by the type of their
// resource: it makes the index, and leaves alone what has one already. The cursor is the last revision that is done.
//
// A deletion does not say of which type the resource was. So the type is noted down in the scratch space of the migration when
// the resource is met first.
func IndexByType(tx *Tx, cursor []byte, limit int) (next []byte, err error) {
	read := 0
	for e, err := range tx.Scan(changeKey(revisionOf(cursor)+1), store.PrefixEnd([]byte(changePrefix)), store.Ascending) {
		if err != nil {
			return nil, err
		}
		if read == limit {
			return next, nil
		}
		read++
		next = revisionBytes(revisionOf(e.Key[len(changePrefix):]))
		c, err := decode(e.Value, revisionOf(next))
		if err == nil {
			err = indexByType(tx, c)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func indexByType(tx *Tx, c *journalv1.Change) error {
	_, err := kindOf(tx, c)
	if missing := (*CorruptError)(nil); !errors.As(err, &missing) {
		return err
	}
	kind := kindAfter(c)
	noted := []byte(store.ScratchPrefix + c.GetResource())
	if c.GetType() != journalv1.Change_TYPE_DELETED {
		if err := tx.Put(noted, []byte(kind)); err != nil {
			return err
		}
		return tx.Put(typeKey(kind, c.GetRevision()), []byte(c.GetResource()))
	}
	known, err := tx.Get(noted)
	if errors.Is(err, store.ErrNotFound) {
		return &CorruptError{Revision: c.GetRevision(), Problem: "deletes what no change before it has made"}
	}
	if err != nil {
		return err
	}
	return errors.Join(tx.Put(typeKey(string(known), c.GetRevision()), []byte(c.GetResource())), tx.Delete(noted))
}

// RevisionsInRows is a batch of the migration of stores that were written when the revision of a resource's last change had a key
// of its own: it puts the revision into the row, which it holds against the change, or under journal/deleted/ if there is no
// row any more. What has been done has no such key left, so there is no cursor but that it goes on.
func RevisionsInRows(tx *Tx, _ []byte, limit int) (next []byte, err error) {
	var found []store.Entry
	for e, err := range tx.Scan([]byte(latestPrefix), store.PrefixEnd([]byte(latestPrefix)), store.Ascending) {
		if err != nil {
			return nil, err
		}
		if len(found) == limit {
			next = []byte{}
			break
		}
		found = append(found, store.Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
	}
	for _, e := range found {
		if err := revisionInRow(tx, string(e.Key[len(latestPrefix):]), revisionOf(e.Value)); err != nil {
			return nil, err
		}
		if err := tx.Delete(e.Key); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func revisionInRow(tx *Tx, resource string, revision int64) error {
	c, err := find(tx, resource, revision)
	if err != nil {
		return err
	}
	if c.GetResource() != resource {
		return &CorruptError{Revision: revision, Problem: "is not of the resource that it is found under"}
	}
	if c.GetType() == journalv1.Change_TYPE_DELETED {
		return tx.Put([]byte(deletedPrefix+resource), revisionBytes(revision))
	}
	key := store.RowKey(kindAfter(c), resource)
	message := c.GetAfter().GetValue()
	stored, err := tx.Get(key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !bytes.Equal(stored, message) {
		return &CorruptError{Revision: revision, Problem: "has left another row of " + resource + " than is stored"}
	}
	return tx.Put(key, store.JoinRow(revision, message))
}

func kindAfter(c *journalv1.Change) string {
	url := c.GetAfter().GetTypeUrl()
	return url[strings.LastIndexByte(url, '.')+1:]
}
