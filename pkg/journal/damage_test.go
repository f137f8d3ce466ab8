package journal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// image is what a store holds, to be read only, in the order of keys.
type image []store.Entry

var _ store.Store = image{}

// imageOf copies what a store holds.
func imageOf(t testing.TB, s store.Store) (m image) {
	t.Helper()
	err := s.View(context.Background(), func(r store.Reader) error {
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			m = append(m, store.Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m image) View(_ context.Context, fn func(store.Reader) error) error { return fn(m) }

func (m image) Update(context.Context, func(store.Tx) error) error {
	return errors.New("an image is not written to")
}

func (m image) Close() error { return nil }

// at returns where a key is, or would be.
func (m image) at(key []byte) (int, bool) {
	return slices.BinarySearchFunc(m, key, func(e store.Entry, key []byte) int { return bytes.Compare(e.Key, key) })
}

func (m image) Get(key []byte) ([]byte, error) {
	if i, ok := m.at(key); ok {
		return m[i].Value, nil
	}
	return nil, store.ErrNotFound
}

func (m image) Scan(from, to []byte, order store.Order) iter.Seq2[store.Entry, error] {
	first, _ := m.at(from)
	end := len(m)
	if len(to) > 0 {
		end, _ = m.at(to)
	}
	part := m[first:max(first, end)]
	return func(yield func(store.Entry, error) bool) {
		for i := range part {
			if order == store.Descending {
				i = len(part) - 1 - i
			}
			if !yield(part[i], nil) {
				return
			}
		}
	}
}

// with returns an image that differs in one entry.
func (m image) with(key string, value []byte) image {
	i, there := m.at([]byte(key))
	n := slices.Clone(m)
	if !there {
		n = slices.Insert(n, i, store.Entry{})
	}
	n[i] = store.Entry{Key: []byte(key), Value: value}
	return n
}

// without returns an image that lacks an entry.
func (m image) without(key string) image {
	i, _ := m.at([]byte(key))
	return slices.Delete(slices.Clone(m), i, i+1)
}

// ruin is a journal to be damaged.
type ruin struct {
	image image
	key   *journal.PublicKey
	head  int64
}

// verify does what `journal verify` does with a stopped store and the public key.
func (r ruin) verify(m image) error {
	ctx := context.Background()
	db := journal.Open(m, "town", clock.NewManual(march), journal.WithKeys(r.key))
	if _, err := db.Verify(ctx, 0, r.head); err != nil {
		return err
	}
	signed, err := db.Checkpoints(ctx, 0, 100)
	for _, c := range signed {
		if journal.CheckSignature(c, r.key) != nil {
			return &journal.CorruptError{Revision: c.GetRevision(), Problem: "was signed by nobody"}
		}
	}
	return err
}

// ruins makes a small journal in which there is everything that there can be: rows that stay, that go, and that come back; and of
// that one that is whole, one of which a part is archived, and one of which all is.
func ruins(t testing.TB) map[string]ruin {
	t.Helper()
	all := map[string]ruin{}
	for shows, archived := range map[string]int64{"whole": 0, "a part archived": 6, "all archived": 9} {
		s := openStore(t)
		db := journal.Open(s, "town", clock.NewManual(march))
		signer, key := newSigner(t, 1)
		sign := func() {
			if _, err := db.Checkpoint(context.Background(), signer); err != nil {
				t.Fatal(err)
			}
		}
		putTowns(t, db, "铸造", "towns/a", "towns/b", "towns/c") // 1 to 3
		update(t, db, func(tx *journal.Tx) error { return towns.Delete(tx, "towns/b") })
		sign()
		update(t, db, func(tx *journal.Tx) error { // 5 and 6
			return errors.Join(towns.Delete(tx, "towns/c"), enterprises.Put(tx, &townv1.Enterprise{Name: "towns/a/enterprises/x"}))
		})
		sign()
		putTowns(t, db, "陶瓷", "towns/c", "towns/d") // 7 and 8
		update(t, db, func(tx *journal.Tx) error { return towns.Delete(tx, "towns/d") })
		sign()
		if archived > 0 {
			if err := db.Prune(context.Background(), archived, changes(t, db)[archived-1].GetHash()); err != nil {
				t.Fatal(err)
			}
		}
		r := ruin{image: imageOf(t, s), key: key, head: 9}
		if err := r.verify(r.image); err != nil {
			t.Fatal(err)
		}
		all[shows] = r
	}
	return all
}

// harmless tells why a record may be other than it was without anybody reading something else.
func harmless(m image, key string) string {
	if name, ok := strings.CutPrefix(key, "journal/deleted/"); ok {
		if _, err := m.Get([]byte("row/Town/" + name)); err == nil {
			return "the resource was made again: which change deleted it is not read, and written anew if it is deleted again"
		}
	}
	return ""
}

// blamed checks that damage is found, and at the first revision at which it can be seen.
func blamed(t testing.TB, e store.Entry, key, how string, err error) {
	t.Helper()
	var corrupt *journal.CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("%q %s: %v, want a CorruptError", e.Key, how, err)
		return
	}
	number := func(key string) int64 { return int64(binary.BigEndian.Uint64([]byte(key[len(key)-8:]))) }
	var want int64
	switch was := string(e.Key); {
	case strings.HasPrefix(was, "journal/change/"):
		if want = number(was); strings.HasPrefix(key, "journal/change/") {
			want = min(want, possible(number(key)))
		}
		if corrupt.Revision != want {
			t.Errorf("%q %s: %v, want revision %d to be named", was, how, err, want)
		}
	case strings.HasPrefix(was, "journal/type/"), strings.HasPrefix(was, "journal/checkpoint/"):
		want = number(was)
	case strings.HasPrefix(was, "journal/deleted/"):
		want = number(string(e.Value))
	case strings.HasPrefix(was, "row/"):
		want, _ = store.SplitRow(e.Value)
	default:
		return
	}
	if corrupt.Revision > want {
		t.Errorf("%q %s: %v, want a revision not after %d to be named", e.Key, how, err, want)
	}
}

// possible keeps what cannot be the number of a revision from being the least.
func possible(n int64) int64 {
	if n < 1 {
		return 1<<63 - 1
	}
	return n
}

// TestNoDamageGoesUnseen takes every record away, and flips every bit of its value, and one of each byte of its key.
func TestNoDamageGoesUnseen(t *testing.T) {
	for shows, r := range ruins(t) {
		t.Run(shows, func(t *testing.T) {
			t.Parallel()
			for _, e := range r.image {
				key, size := string(e.Key), len(e.Value)
				isRow, isSigned := strings.HasPrefix(key, "row/"), strings.HasPrefix(key, "journal/checkpoint/")
				if !isRow && !strings.HasPrefix(key, "journal/") || harmless(r.image, key) != "" {
					continue
				}
				if isRow {
					size = 8 // the rest, and what is missing, is for the replay
				}
				if !isSigned && !isRow { // that a checkpoint was taken away is only seen in the file outside of the store
					blamed(t, e, "", "is taken away", r.verify(r.image.without(key)))
				}
				for i := range size * 8 {
					bad := bytes.Clone(e.Value)
					bad[i/8] ^= 1 << (i % 8)
					blamed(t, e, "", fmt.Sprintf("has bit %d of byte %d flipped", i%8, i/8), r.verify(r.image.with(key, bad)))
				}
				for i := len("journal/"); i < len(key) && !isRow; i++ {
					bad := []byte(key)
					bad[i] ^= 1 << (i % 8)
					err := r.verify(r.image.without(key).with(string(bad), e.Value))
					blamed(t, e, string(bad), fmt.Sprintf("is at %q", bad), err)
				}
			}
		})
	}
}
