package journal

import (
	"errors"
	"strings"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

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
	kind := c.GetAfter().GetTypeUrl()[strings.LastIndexByte(c.GetAfter().GetTypeUrl(), '.')+1:]
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
