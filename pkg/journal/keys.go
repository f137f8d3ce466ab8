package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Keys. A change is stored under journal/change/ and its revision in 8 bytes, big-endian, so that the order of
// keys is the order of revisions. The revision of a resource's last change stands in its row; of one that was deleted it is
// under journal/deleted/ and its name.
const (
	changePrefix  = "journal/change/"
	deletedPrefix = "journal/deleted/"
	headKey       = "journal/head"
)

// latest returns the revision of the last change of a resource of one of some kinds; store.ErrNotFound if there is none.
func latest(r store.Reader, kinds []string, resource string) (int64, error) {
	for _, kind := range kinds {
		stored, err := r.Get(store.RowKey(kind, resource))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		// A row that the transaction has just made has none yet.
		if revision, _ := store.SplitRow(stored); revision > 0 {
			return revision, nil
		}
	}
	at, err := r.Get([]byte(deletedPrefix + resource))
	return revisionOf(at), err
}

// get reads a change that has to be there.
func get(r store.Reader, revision int64) (*journalv1.Change, error) {
	raw, err := r.Get(changeKey(revision))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &CorruptError{Revision: revision, Problem: "is missing"}
	}
	if err != nil {
		return nil, err
	}
	return decode(raw, revision)
}

func (db *DB) changeName(revision int64) string {
	return fmt.Sprintf("journals/%s/changes/%d", db.service, revision)
}

// decode reads a change. What it does not know is nothing that a hash covers, and is left out.
func decode(raw []byte, revision int64) (*journalv1.Change, error) {
	c := &journalv1.Change{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, c); err != nil {
		return nil, &CorruptError{Revision: revision, Problem: err.Error()}
	}
	return c, nil
}

func changeKey(revision int64) []byte {
	return append([]byte(changePrefix), revisionBytes(revision)...)
}

func revisionBytes(revision int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(revision))
}

// revisionOf reads what revisionBytes wrote; what it did not write is no revision.
func revisionOf(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func putMessage(tx store.Tx, key []byte, m proto.Message) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	return tx.Put(key, raw)
}
