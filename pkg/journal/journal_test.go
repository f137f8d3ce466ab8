package journal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

var (
	towns       = store.NewTable[*townv1.Town]()
	enterprises = store.NewTable[*townv1.Enterprise]()
	march       = time.Date(2023, 3, 1, 1, 2, 3, 400, time.UTC)
	by          = journal.Origin{Actor: "zezhou/li", Method: "/yizhen.town.v1.TownRegistry/CreateTown", RequestID: "r-1"}
)

func openStore(t testing.TB) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "town.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t testing.TB) (*journal.DB, *clock.Manual) {
	c := clock.NewManual(march)
	return journal.Open(openStore(t), "town", c), c
}

func update(t testing.TB, db *journal.DB, fn func(*journal.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), by, fn); err != nil {
		t.Fatal(err)
	}
}

// putTowns commits towns of the names with a title.
func putTowns(t testing.TB, db *journal.DB, title string, names ...string) {
	t.Helper()
	update(t, db, func(tx *journal.Tx) error {
		for _, n := range names {
			if err := towns.Put(tx, &townv1.Town{Name: n, TitleZh: title}); err != nil {
				return err
			}
		}
		return nil
	})
}

func changes(t testing.TB, db *journal.DB) []*journalv1.Change {
	t.Helper()
	all, _, err := db.Read(context.Background(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func verify(t testing.TB, db *journal.DB) {
	t.Helper()
	head, err := db.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	hash, err := db.Verify(context.Background(), 1, head.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(hash, head.GetHash()) {
		t.Errorf("the chain ends in %x, the head says %x", hash, head.GetHash())
	}
}

// encode lays a change out as the proto says it is hashed, written down a second time, from the text of the proto and
// not from hash.go.
func encode(c *journalv1.Change) []byte {
	out := bytes.Clone(c.GetPreviousHash())
	for _, n := range []int64{
		c.GetRevision(), c.GetCommitRevision(), c.GetCommitTime().GetSeconds(), int64(c.GetCommitTime().GetNanos()), int64(c.GetType()),
	} {
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	for _, s := range []string{
		c.GetService(), c.GetActor(), c.GetMethod(), c.GetRequestId(), c.GetResource(), string(c.GetBeforeDigest()),
		c.GetAfter().GetTypeUrl(), string(c.GetAfter().GetValue()),
	} {
		out = binary.BigEndian.AppendUint64(out, uint64(len(s)))
		out = append(out, s...)
	}
	return out
}

func TestChain(t *testing.T) {
	db, c := open(t)
	putTowns(t, db, "铸造", "towns/1", "towns/2", "towns/3")
	c.Advance(time.Hour)
	putTowns(t, db, "陶瓷", "towns/2")
	c.Advance(time.Hour)
	update(t, db, func(tx *journal.Tx) error {
		return errors.Join(towns.Delete(tx, "towns/1"), towns.Put(tx, &townv1.Town{Name: "towns/4"}))
	})

	wantCommit := []int64{3, 3, 3, 4, 6, 6}
	wantResource := []string{"towns/1", "towns/2", "towns/3", "towns/2", "towns/1", "towns/4"}
	wantType := []journalv1.Change_Type{
		journalv1.Change_TYPE_CREATED, journalv1.Change_TYPE_CREATED, journalv1.Change_TYPE_CREATED,
		journalv1.Change_TYPE_UPDATED, journalv1.Change_TYPE_DELETED, journalv1.Change_TYPE_CREATED,
	}
	wantTime := []time.Duration{0, 0, 0, time.Hour, 2 * time.Hour, 2 * time.Hour}
	all := changes(t, db)
	if len(all) != len(wantCommit) {
		t.Fatalf("%d changes, want %d", len(all), len(wantCommit))
	}
	previous := make([]byte, 32)
	last := map[string][]byte{}
	for i, c := range all {
		if c.GetRevision() != int64(i+1) || c.GetCommitRevision() != wantCommit[i] {
			t.Errorf("change %d: revision %d of commit %d, want commit %d", i+1, c.GetRevision(), c.GetCommitRevision(), wantCommit[i])
		}
		if c.GetResource() != wantResource[i] || c.GetType() != wantType[i] {
			t.Errorf("change %d: %v of %s, want %v of %s", i+1, c.GetType(), c.GetResource(), wantType[i], wantResource[i])
		}
		if c.GetName() != fmt.Sprintf("journals/town/changes/%d", i+1) || c.GetService() != "town" {
			t.Errorf("change %d is called %s, of service %s", i+1, c.GetName(), c.GetService())
		}
		if c.GetActor() != by.Actor || c.GetMethod() != by.Method || c.GetRequestId() != by.RequestID {
			t.Errorf("change %d comes from %s, %s, %s", i+1, c.GetActor(), c.GetMethod(), c.GetRequestId())
		}
		if got, want := c.GetCommitTime().AsTime(), march.Add(wantTime[i]); !got.Equal(want) {
			t.Errorf("change %d: committed at %v, want %v", i+1, got, want)
		}
		if before := last[c.GetResource()]; before == nil && len(c.GetBeforeDigest()) != 0 {
			t.Errorf("change %d: a digest of what was not there", i+1)
		} else if sum := sha256.Sum256(before); before != nil && !bytes.Equal(c.GetBeforeDigest(), sum[:]) {
			t.Errorf("change %d: before_digest is not of what was there", i+1)
		}
		if last[c.GetResource()] = c.GetAfter().GetValue(); (c.GetAfter() == nil) != (c.GetType() == journalv1.Change_TYPE_DELETED) {
			t.Errorf("change %d: %v, after %v", i+1, c.GetType(), c.GetAfter())
		}
		if !bytes.Equal(c.GetPreviousHash(), previous) {
			t.Errorf("change %d follows %x, want %x", i+1, c.GetPreviousHash(), previous)
		}
		if sum := sha256.Sum256(encode(c)); !bytes.Equal(c.GetHash(), sum[:]) {
			t.Errorf("change %d has hash %x, want %x", i+1, c.GetHash(), sum)
		}
		previous = c.GetHash()
	}
	verify(t, db)
}

func TestEmptyJournal(t *testing.T) {
	db, _ := open(t)
	head, err := db.Head(context.Background())
	if err != nil || head.GetRevision() != 0 || !bytes.Equal(head.GetHash(), make([]byte, 32)) || head.GetCommitTime() != nil {
		t.Errorf("head %v, %v", head, err)
	}
	verify(t, db)
	changed := db.Changed()
	update(t, db, func(*journal.Tx) error { return nil })
	select {
	case <-changed:
		t.Error("a commit without changes was announced")
	default:
	}
	if got := changes(t, db); len(got) != 0 {
		t.Errorf("%d changes", len(got))
	}
}

func TestRecord(t *testing.T) {
	a1, a2, a3 := &townv1.Town{Name: "towns/a", TitleZh: "1"}, &townv1.Town{Name: "towns/a", TitleZh: "2"}, &townv1.Town{Name: "towns/a", TitleZh: "3"}
	for _, c := range []struct {
		name string
		do   func(tx *journal.Tx) error // on a store with a1
		want string                     // the change, empty for none
	}{
		{"two updates of a row are one change", func(tx *journal.Tx) error {
			return errors.Join(towns.Update(tx, a2), towns.Update(tx, a3))
		}, "UPDATED 3"},
		{"a row stored as it was is no change", func(tx *journal.Tx) error { return towns.Update(tx, a1) }, ""},
		{"a row changed and changed back is no change", func(tx *journal.Tx) error {
			return errors.Join(towns.Update(tx, a2), towns.Update(tx, a1))
		}, ""},
		{"a row removed and made anew is an update", func(tx *journal.Tx) error {
			return errors.Join(towns.Delete(tx, a1.Name), towns.Create(tx, a3))
		}, "UPDATED 3"},
		{"a row changed and removed is a removal", func(tx *journal.Tx) error {
			return errors.Join(towns.Update(tx, a2), towns.Delete(tx, a1.Name))
		}, "DELETED "},
		{"a row made and removed never was", func(tx *journal.Tx) error {
			return errors.Join(towns.Create(tx, &townv1.Town{Name: "towns/b"}), towns.Delete(tx, "towns/b"))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, _ := open(t)
			putTowns(t, db, "1", "towns/a")
			update(t, db, c.do)
			var got []string
			for _, ch := range changes(t, db)[1:] {
				row := &townv1.Town{}
				if ch.GetAfter() != nil {
					if err := ch.GetAfter().UnmarshalTo(row); err != nil {
						t.Fatal(err)
					}
				}
				got = append(got, strings.TrimPrefix(ch.GetType().String(), "TYPE_")+" "+row.GetTitleZh())
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("recorded %q, want %q", got, c.want)
			}
			verify(t, db)
		})
	}
	t.Run("one name in two tables is refused", func(t *testing.T) {
		db, _ := open(t)
		err := db.Update(context.Background(), by, func(tx *journal.Tx) error {
			return errors.Join(towns.Create(tx, a1), enterprises.Create(tx, &townv1.Enterprise{Name: a1.Name}))
		})
		if err == nil || len(changes(t, db)) != 0 {
			t.Errorf("Update: %v; one of the two would be missing from the journal", err)
		}
	})
	t.Run("what fails is not recorded", func(t *testing.T) {
		db, _ := open(t)
		err := db.Update(context.Background(), by, func(tx *journal.Tx) error {
			return errors.Join(towns.Create(tx, a1), errors.New("refused"))
		})
		if err == nil || len(changes(t, db)) != 0 {
			t.Errorf("Update: %v, with %d changes", err, len(changes(t, db)))
		}
		putTowns(t, db, "1", "towns/a")
		verify(t, db)
	})
}

func TestTimeNeverStepsBack(t *testing.T) {
	db, c := open(t)
	putTowns(t, db, "1", "towns/a")
	c.Set(march.Add(-time.Hour))
	var seen time.Time
	update(t, db, func(tx *journal.Tx) error {
		seen = tx.Now()
		return towns.Put(tx, &townv1.Town{Name: "towns/a", TitleZh: "2"})
	})
	if !seen.Equal(march) {
		t.Errorf("the transaction is told %v, want the time of the commit before, %v", seen, march)
	}
	c.Set(march.Add(time.Nanosecond))
	putTowns(t, db, "3", "towns/a")
	for i, want := range []time.Time{march, march, march.Add(time.Nanosecond)} {
		if got := changes(t, db)[i].GetCommitTime().AsTime(); !got.Equal(want) {
			t.Errorf("change %d is of %v, want %v", i+1, got, want)
		}
	}
	verify(t, db)
}

// rows returns all rows as they are stored, by key.
func rows(t testing.TB, db *journal.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := db.View(context.Background(), func(r store.Reader) error {
		clear(out)
		for e, err := range r.Scan([]byte("row/"), store.PrefixEnd([]byte("row/")), store.Ascending) {
			if err != nil {
				return err
			}
			out[string(e.Key)] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// replay makes the rows from nothing but the journal.
func replay(t testing.TB, db *journal.DB) map[string]string {
	t.Helper()
	out, keys := map[string]string{}, map[string]string{}
	for _, c := range changes(t, db) {
		if c.GetType() == journalv1.Change_TYPE_DELETED {
			delete(out, keys[c.GetResource()])
			continue
		}
		url := c.GetAfter().GetTypeUrl()
		keys[c.GetResource()] = "row/" + url[strings.LastIndexByte(url, '.')+1:] + "/" + c.GetResource()
		out[keys[c.GetResource()]] = string(store.JoinRow(c.GetRevision(), c.GetAfter().GetValue()))
	}
	return out
}

func TestReplayGivesTheTablesByteForByte(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := bolt.Open(filepath.Join(t.TempDir(), "town.db"))
		if err != nil {
			rt.Fatal(err)
		}
		db := journal.Open(s, "town", clock.NewManual(march))
		defer db.Close()
		for range rapid.IntRange(1, 4).Draw(rt, "commits") {
			steps := rapid.IntRange(1, 8).Draw(rt, "steps")
			err := db.Update(context.Background(), by, func(tx *journal.Tx) error {
				for range steps {
					if err := randomStep(rt, tx); err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
		if got, want := replay(t, db), rows(t, db); !maps.Equal(got, want) {
			rt.Errorf("the journal gives %q, the tables are %q", got, want)
		}
		verify(t, db)
	})
}

func randomStep(t *rapid.T, tx *journal.Tx) error {
	id := rapid.StringMatching(`[ab]`).Draw(t, "id")
	town, enterprise := "towns/"+id, "towns/"+id+"/enterprises/"+id
	switch rapid.SampledFrom([]string{"town", "enterprise", "remove town", "remove enterprise"}).Draw(t, "what") {
	case "town":
		return towns.Put(tx, &townv1.Town{
			Name:          town,
			TitleZh:       rapid.SampledFrom([]string{"", "铸造", "陶瓷"}).Draw(t, "title"),
			IndustryCodes: rapid.SliceOfN(rapid.StringMatching(`[0-9]{4}`), 0, 2).Draw(t, "codes"),
		})
	case "enterprise":
		return enterprises.Put(tx, &townv1.Enterprise{Name: enterprise, AboveScale: rapid.Bool().Draw(t, "above scale")})
	case "remove town":
		return towns.Delete(tx, town)
	default:
		return enterprises.Delete(tx, enterprise)
	}
}

// altered is a store in which one value reads other than it was written, or its key is not there.
type altered struct {
	store.Store
	key   string
	value []byte       // nil hides the key
	reads atomic.Int64 // entries read in scans
}

func (a *altered) View(ctx context.Context, fn func(store.Reader) error) error {
	return a.Store.View(ctx, func(r store.Reader) error { return fn(alteredReader{r, a}) })
}

type alteredReader struct {
	store.Reader
	by *altered
}

func (r alteredReader) Get(key []byte) ([]byte, error) {
	if string(key) != r.by.key {
		return r.Reader.Get(key)
	}
	if r.by.value == nil {
		return nil, store.ErrNotFound
	}
	return r.by.value, nil
}

func (r alteredReader) Scan(from, to []byte, order store.Order) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for e, err := range r.Reader.Scan(from, to, order) {
			r.by.reads.Add(1)
			if err == nil && string(e.Key) == r.by.key {
				if e.Value = r.by.value; e.Value == nil {
					continue
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestFlippedBits flips every bit of every record of a small journal, one at a time.
func TestFlippedBits(t *testing.T) {
	s := openStore(t)
	db := journal.Open(s, "town", clock.NewManual(march))
	putTowns(t, db, "铸造", "towns/a", "towns/b")
	putTowns(t, db, "陶瓷", "towns/a")
	update(t, db, func(tx *journal.Tx) error { return towns.Delete(tx, "towns/b") })
	const head = 4
	verify(t, db)

	records := map[string][]byte{}
	err := s.View(context.Background(), func(r store.Reader) error {
		for e, err := range r.Scan([]byte("journal/"), []byte("journal0"), store.Ascending) {
			if err != nil {
				return err
			}
			records[string(e.Key)] = bytes.Clone(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := 2*head + 1 + 1; len(records) != want { // changes, each under its type, one that was deleted, head
		t.Fatalf("%d records, want %d", len(records), want)
	}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		a := &altered{Store: s, key: key}
		db := journal.Open(a, "town", clock.NewManual(march))
		expectFound(t, db, key, "is hidden")
		for i := range records[key] {
			for bit := range 8 {
				a.value = bytes.Clone(records[key])
				a.value[i] ^= 1 << bit
				expectFound(t, db, key, fmt.Sprintf("has bit %d of byte %d flipped", bit, i))
			}
		}
	}
}

// expectFound checks that an altered record is found, and that of a change the revision is named.
func expectFound(t *testing.T, db *journal.DB, key, how string) {
	t.Helper()
	const head = 4
	_, err := db.Verify(context.Background(), 1, head)
	resource, isDeleted := strings.CutPrefix(key, "journal/deleted/")
	if isDeleted && err == nil {
		err = db.View(context.Background(), func(r store.Reader) error {
			_, err := journal.Latest(r, resource)
			return err
		})
	}
	var corrupt *journal.CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("%q %s: %v, want a CorruptError", key, how, err)
		return
	}
	if revision, ok := strings.CutPrefix(key, "journal/change/"); ok {
		if want := int64(binary.BigEndian.Uint64([]byte(revision))); corrupt.Revision != want {
			t.Errorf("%q %s: named as revision %d, want %d (%v)", key, how, corrupt.Revision, want, err)
		}
	}
}

func TestVerifyNamesTheFirstOfSeveral(t *testing.T) {
	s := openStore(t)
	db := journal.Open(s, "town", clock.NewManual(march))
	for i := range 6 {
		putTowns(t, db, fmt.Sprint(i), "towns/a")
	}
	key := func(n int64) []byte { return binary.BigEndian.AppendUint64([]byte("journal/change/"), uint64(n)) }
	// A change that cannot even be decoded comes after one that can and is not what it was.
	err := s.Update(context.Background(), func(tx store.Tx) error {
		v, err := tx.Get(key(3))
		if err != nil {
			return err
		}
		v = bytes.Replace(v, []byte("zezhou/li"), []byte("zezhou/xu"), 1)
		return errors.Join(tx.Put(key(3), v), tx.Put(key(5), []byte{0xff}))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ first, last, bad int64 }{{1, 6, 3}, {3, 3, 3}, {1, 2, 0}, {4, 4, 0}, {4, 6, 5}, {6, 6, 5}} {
		_, err := db.Verify(context.Background(), c.first, c.last)
		var corrupt *journal.CorruptError
		errors.As(err, &corrupt)
		if c.bad == 0 && err != nil || c.bad != 0 && (corrupt == nil || corrupt.Revision != c.bad) {
			t.Errorf("Verify(%d, %d): %v, want revision %d to be named", c.first, c.last, err, c.bad)
		}
	}
}

func TestVerifyOfManyChunks(t *testing.T) {
	db, _ := open(t)
	for commit := range 3 {
		update(t, db, func(tx *journal.Tx) error {
			for i := range 900 {
				if err := towns.Put(tx, &townv1.Town{Name: fmt.Sprintf("towns/%d-%d", commit, i)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	verify(t, db)
	for _, first := range []int64{2, 1000, 1001, 2700} {
		if _, err := db.Verify(context.Background(), first, 2700); err != nil {
			t.Errorf("from %d: %v", first, err)
		}
	}
	if _, err := db.Verify(context.Background(), 1, 2701); err == nil {
		t.Error("a revision beyond the head was verified")
	}
}

func TestVerifyThatIsStoppedBlamesNoRevision(t *testing.T) {
	db, _ := open(t)
	putTowns(t, db, "1", "towns/a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := db.Verify(ctx, 1, 1)
	var corrupt *journal.CorruptError
	if !errors.Is(err, context.Canceled) || errors.As(err, &corrupt) {
		t.Errorf("Verify: %v, want context.Canceled and no CorruptError", err)
	}
}

// ExampleDB_Verify shows a journal that is held against its own hashes.
func ExampleDB_Verify() {
	db, done := exampleDB()
	defer done()
	ctx := context.Background()
	err := db.Update(ctx, journal.Origin{Actor: "zezhou/li"}, func(tx *journal.Tx) error {
		return towns.Create(tx, &townv1.Town{Name: "towns/140525-casting"})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	head, err := db.Head(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	hash, err := db.Verify(ctx, 1, head.GetRevision())
	fmt.Println("revision", head.GetRevision(), "whole:", err == nil && bytes.Equal(hash, head.GetHash()))
	// Output: revision 1 whole: true
}

func TestARowMadeAgainAsItWasKeepsItsRevision(t *testing.T) {
	db, _ := open(t)
	putTowns(t, db, "铸造", "towns/a", "towns/b")
	update(t, db, func(tx *journal.Tx) error {
		row, err := towns.Get(tx, "towns/b")
		if err != nil {
			return err
		}
		return errors.Join(towns.Delete(tx, "towns/b"), towns.Create(tx, row))
	})
	err := db.View(t.Context(), func(r store.Reader) error {
		c, err := journal.Latest(r, "towns/b")
		if c.GetRevision() != 2 {
			t.Errorf("its last change is %v", c)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	verify(t, db)
}

// TestTheLastChangeWithinATransaction shows that a transaction is told of the last committed change, whatever it has written.
func TestTheLastChangeWithinATransaction(t *testing.T) {
	db, _ := open(t)
	putTowns(t, db, "铸造", "towns/a")
	update(t, db, func(tx *journal.Tx) error {
		if err := errors.Join(towns.Put(tx, &townv1.Town{Name: "towns/a"}), towns.Put(tx, &townv1.Town{Name: "towns/b"})); err != nil {
			return err
		}
		if c, err := journal.Latest(tx, "towns/a"); c.GetRevision() != 1 {
			t.Errorf("of a row that was there: %v, %v", c, err)
		}
		if c, err := journal.Latest(tx, "towns/b"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a new row: %v, %v", c, err)
		}
		return nil
	})
}
