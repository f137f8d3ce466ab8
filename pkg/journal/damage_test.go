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

	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
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

// memory is a store that is an image after every commit, for one goroutine.
type memory struct{ image }

type memoryTx struct{ image }

func (m *memory) View(_ context.Context, fn func(store.Reader) error) error { return fn(m.image) }

func (m *memory) Update(_ context.Context, fn func(store.Tx) error) error {
	tx := &memoryTx{m.image}
	err := fn(tx)
	if err == nil {
		m.image = tx.image
	}
	return err
}

func (tx *memoryTx) Put(key, value []byte) error {
	tx.image = tx.with(string(key), bytes.Clone(value))
	return nil
}

func (tx *memoryTx) Delete(key []byte) error {
	if _, there := tx.at(key); there {
		tx.image = tx.without(string(key))
	}
	return nil
}

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
		for _, kind := range []string{"Town", "Enterprise"} {
			if _, err := m.Get(store.RowKey(kind, name)); err == nil {
				return "the resource was made again: which change deleted it is not read, and written anew if it is deleted again"
			}
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

// TestLiveServiceNamesDamage has a service verify what was damaged under it, one record of each sort.
func TestLiveServiceNamesDamage(t *testing.T) {
	r := ruins(t)["a part archived"]
	for prefix, want := range map[string]string{
		"journal/change/": "7", "journal/checkpoint/": "4", "journal/deleted/towns/b": "4", "journal/head": "9",
		"journal/kept/towns/a": "", "journal/pruned": "", "journal/type/Enterprise": "", "row/Town/towns/a": "1",
	} {
		i, _ := r.image.at([]byte(prefix))
		bad := bytes.Clone(r.image[i].Value)
		if strings.HasPrefix(prefix, "row/") {
			bad[7] ^= 4
		}
		bad[len(bad)-1] ^= 4
		client, _ := serve(t, journal.Open(r.image.with(string(r.image[i].Key), bad), "town", clock.NewManual(march), journal.WithKeys(r.key)), never)
		_, err := client.VerifyRange(t.Context(), &journalv1.VerifyRangeRequest{Name: "journals/town"})
		expectFault(t, err, codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT)
		if err != nil && !strings.Contains(err.Error(), "revision "+want) {
			t.Errorf("%s: %v, want revision %s to be named", prefix, err, want)
		}
	}
}

// TestAnyDamageToAnyHistory makes a journal at random, archives a part of it or none, and then damages a record at random. Nothing
// is found before, and something after.
func TestAnyDamageToAnyHistory(t *testing.T) {
	signer, key := newSigner(t, 1)
	rapid.Check(t, func(rt *rapid.T) {
		s := &memory{}
		db := journal.Open(s, "town", clock.NewManual(march))
		for range rapid.IntRange(1, 6).Draw(rt, "commits") {
			err := db.Update(context.Background(), by, func(tx *journal.Tx) error {
				for range rapid.IntRange(1, 4).Draw(rt, "steps") {
					if err := randomStep(rt, tx); err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				return nil
			})
			if err == nil && rapid.Bool().Draw(rt, "signed") {
				_, err = db.Checkpoint(context.Background(), signer)
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		signed, err := db.Checkpoints(context.Background(), 0, 100)
		if err != nil {
			rt.Fatal(err)
		}
		if len(signed) > 0 {
			all := changes(t, db)
			for range rapid.IntRange(0, 2).Draw(rt, "prunes") {
				to := rapid.Int64Range(1, signed[len(signed)-1].GetRevision()).Draw(rt, "archived")
				if err := db.Prune(context.Background(), to, all[to-1].GetHash()); err != nil {
					rt.Fatal(err)
				}
			}
		}
		head, err := db.Head(context.Background())
		if err != nil {
			rt.Fatal(err)
		}
		r := ruin{image: s.image, key: key, head: head.GetRevision()}
		if err := r.verify(r.image); err != nil {
			rt.Fatalf("before: %v", err)
		}
		if bad, how := damage(rt, r.image); bad != nil && r.verify(bad) == nil {
			rt.Errorf("%s, and nothing is found", how)
		}
	})
}

// damage damages one record of the journal, or none if what was drawn changes nothing that is read.
func damage(t *rapid.T, m image) (bad image, how string) {
	records := slices.DeleteFunc(slices.Clone(m), func(e store.Entry) bool {
		return !bytes.HasPrefix(e.Key, []byte("journal/")) || harmless(m, string(e.Key)) != ""
	})
	if len(records) == 0 {
		return nil, ""
	}
	e := rapid.SampledFrom(records).Draw(t, "record")
	value := bytes.Clone(e.Value)
	switch how = rapid.SampledFrom([]string{"taken away", "cut off", "longer", "another's", "overwritten"}).Draw(t, "how"); how {
	case "taken away":
		if bytes.HasPrefix(e.Key, []byte("journal/checkpoint/")) {
			return nil, ""
		}
		return m.without(string(e.Key)), fmt.Sprintf("%q is taken away", e.Key)
	case "cut off":
		value = value[:rapid.IntRange(0, len(value)-1).Draw(t, "bytes")]
	case "longer":
		value = append(value, rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "bytes")...)
	case "another's":
		value = rapid.SampledFrom(records).Draw(t, "other").Value
	case "overwritten":
		at := rapid.IntRange(0, len(value)-1).Draw(t, "at")
		copy(value[at:], rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "bytes"))
	}
	if bytes.Equal(value, e.Value) {
		return nil, ""
	}
	return m.with(string(e.Key), value), fmt.Sprintf("%q is %s: %q, and was %q", e.Key, how, value, e.Value)
}

// TestPruneWhileVerifying archives between two looks at a journal: nothing is said to be damaged.
func TestPruneWhileVerifying(t *testing.T) {
	s := openStore(t)
	db := journal.Open(s, "town", clock.NewManual(march))
	update(t, db, func(tx *journal.Tx) error {
		for i := range 2500 {
			if err := towns.Put(tx, &townv1.Town{Name: fmt.Sprintf("towns/%d", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	signer, _ := newSigner(t, 1)
	if _, err := db.Checkpoint(t.Context(), signer); err != nil {
		t.Fatal(err)
	}
	all := changes(t, db)
	between := &interrupted{Store: s, at: 3, do: func() {
		if err := db.Prune(t.Context(), 2000, all[1999].GetHash()); err != nil {
			t.Error(err)
		}
	}}
	_, err := journal.Open(between, "town", clock.NewManual(march)).Verify(t.Context(), 0, 2500)
	var gone *journal.PrunedError
	if !errors.As(err, &gone) || gone.First != 2001 {
		t.Errorf("answered with %v, want that the journal is kept from 2001 on", err)
	}
	verify0(t, db)
}

// interrupted is a store to which something is done before one of its views.
type interrupted struct {
	store.Store
	at int
	do func()
}

func (s *interrupted) View(ctx context.Context, fn func(store.Reader) error) error {
	if s.at--; s.at == 0 {
		s.do()
	}
	return s.Store.View(ctx, fn)
}
