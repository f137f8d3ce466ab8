package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/yizhen/yizhen/pkg/store"
)

// TestAStoreInOneBucketIsArranged opens a store of the layout that once was, after a process has died that had begun to move its
// keys.
func TestAStoreInOneBucketIsArranged(t *testing.T) {
	const changes = 3*movedAtOnce/2 + 1
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		all, err := tx.CreateBucket(bucket)
		if err != nil {
			return err
		}
		err = errors.Join(all.Put([]byte("journal/head"), []byte("h")), all.Put([]byte("row/a"), []byte("r")))
		for i := range changes {
			key := fmt.Sprintf("%08d", i)
			err = errors.Join(err, all.Put([]byte("journal/change/"+key), []byte(key)), all.Put([]byte("journal/type/"+key), []byte(key)))
		}
		return err
	})
	if err := errors.Join(err, db.Update(arrangeSome), db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and once more, as it then is
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		err = s.View(t.Context(), func(r store.Reader) error {
			for _, prefix := range []string{"journal/change/", "journal/type/"} {
				i := 0
				for e, err := range r.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix)), store.Ascending) {
					if want := fmt.Sprintf("%08d", i); err != nil || string(e.Key) != prefix+want || string(e.Value) != want {
						return fmt.Errorf("%q has %q (%w)", e.Key, e.Value, err)
					}
					i++
				}
				count += i
			}
			for _, key := range []string{"journal/head", "row/a"} {
				if _, err := r.Get([]byte(key)); err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
			}
			return nil
		})
		if err != nil || count != 2*changes {
			t.Errorf("%d changes and types are there, want %d (%v)", count, 2*changes, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
