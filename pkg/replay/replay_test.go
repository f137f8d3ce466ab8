package replay_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

var now = time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC)

// registry is a store of two tables, one with an index, and the journal on it.
type registry struct {
	raw          store.Store
	db           *journal.DB
	schema       *store.Schema
	towns        *store.Table[*townv1.Town]
	designations *store.Table[*townv1.Designation]
}

func open(t testing.TB, folder string) *registry {
	t.Helper()
	raw := openBolt(t, filepath.Join(folder, "town.db"))
	schema := store.NewSchema("town")
	return &registry{
		raw: raw, db: journal.Open(raw, "town", clock.NewManual(now)), schema: schema,
		towns: store.Declare[*townv1.Town](schema),
		designations: store.Declare(schema, store.Index[*townv1.Designation]{
			Name: "batch", Keys: func(d *townv1.Designation) []string { return strings.Fields(d.GetBatch()) },
		}),
	}
}

func openBolt(t testing.TB, path string) store.Store {
	t.Helper()
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check replays into a store of its own.
func (r *registry) check(t testing.TB) (int64, error) {
	scratch := openBolt(t, filepath.Join(t.TempDir(), "scratch.db"))
	defer scratch.Close()
	return replay.Check(t.Context(), r.db, r.schema, scratch, nil)
}

func (r *registry) update(t testing.TB, fn func(*journal.Tx) error) {
	t.Helper()
	if err := r.db.Update(t.Context(), journal.Origin{Actor: "test"}, fn); err != nil {
		t.Fatal(err)
	}
}

// TestAnyHistoryReplays makes random changes, also several of one row in a commit, and rows that go and come back.
func TestAnyHistoryReplays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := open(t, t.TempDir())
		defer r.db.Close()
		names := rapid.SampledFrom([]string{"towns/140525-casting", "towns/140581-pigs", "towns/140522-silk"})
		for range rapid.IntRange(0, 12).Draw(rt, "commits") {
			steps := rapid.IntRange(1, 4).Draw(rt, "changes")
			r.update(t, func(tx *journal.Tx) error {
				for range steps {
					town := names.Draw(rt, "town")
					var err error
					switch rapid.IntRange(0, 3).Draw(rt, "what") {
					case 0:
						err = r.towns.Put(tx, &townv1.Town{Name: town, TitleEn: rapid.StringN(0, 5, 20).Draw(rt, "title")})
					case 1:
						err = r.designations.Put(tx, &townv1.Designation{
							Name: town + "/designations/municipal", Batch: rapid.SampledFrom([]string{"", "a", "b", "a b"}).Draw(rt, "batch"),
						})
					case 2:
						err = r.towns.Delete(tx, town)
					case 3:
						err = r.designations.Delete(tx, town+"/designations/municipal")
					}
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				return nil
			})
		}
		if _, err := r.check(t); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestEveryDifferenceIsNamed(t *testing.T) {
	const name = "towns/140525-casting/designations/municipal"
	const row, index = "row/Designation/" + name, "index/Designation/batch/a\x00" + name
	for shows, c := range map[string]struct {
		tamper func(store.Tx) error
		key    string
	}{
		"a row that was changed behind the journal's back": {func(tx store.Tx) error { return tx.Put([]byte(row), []byte("x")) }, row},
		"a row that was taken away":                        {func(tx store.Tx) error { return tx.Delete([]byte(row)) }, row},
		"a row that no change tells of":                    {func(tx store.Tx) error { return tx.Put([]byte("row/Town/towns/1"), nil) }, "row/Town/towns/1"},
		"an index entry that is gone":                      {func(tx store.Tx) error { return tx.Delete([]byte(index)) }, index},
		"a key that belongs to nothing":                    {func(tx store.Tx) error { return tx.Put([]byte("stray"), nil) }, "stray"},
		"a key after all others":                           {func(tx store.Tx) error { return tx.Put([]byte("zz"), nil) }, "zz"},
		"an index entry too many":                          {func(tx store.Tx) error { return tx.Put([]byte(index+"x"), nil) }, index + "x"},
	} {
		t.Run(shows, func(t *testing.T) {
			r := open(t, t.TempDir())
			defer r.db.Close()
			r.update(t, func(tx *journal.Tx) error {
				return r.designations.Create(tx, &townv1.Designation{Name: name, Batch: "a"})
			})
			if n, err := r.check(t); err != nil || n != 1 {
				t.Fatalf("before: %d changes, %v", n, err)
			}
			if err := r.raw.Update(t.Context(), c.tamper); err != nil {
				t.Fatal(err)
			}
			_, err := r.check(t)
			var different *replay.DifferenceError
			if !errors.As(err, &different) || different.Key != c.key {
				t.Errorf("answered with %v, want a difference at %q", err, c.key)
			}
		})
	}
}

// TestARewrittenHistoryDoesNotPass replaces what a change in the middle led to. The tables agree with the end all the same.
func TestARewrittenHistoryDoesNotPass(t *testing.T) {
	r := open(t, t.TempDir())
	defer r.db.Close()
	for _, title := range []string{"first", "second", "third"} {
		r.update(t, func(tx *journal.Tx) error {
			return r.towns.Put(tx, &townv1.Town{Name: "towns/140525-casting", TitleEn: title})
		})
	}
	var second []byte
	err := r.raw.Update(t.Context(), func(tx store.Tx) error {
		for e, err := range tx.Scan([]byte("journal/change/"), store.PrefixEnd([]byte("journal/change/")), store.Ascending) {
			if err != nil {
				return err
			}
			if strings.Contains(string(e.Value), "second") {
				second = []byte(strings.Replace(string(e.Value), "second", "zecond", 1))
				return tx.Put(e.Key, second)
			}
		}
		return nil
	})
	if err != nil || second == nil {
		t.Fatal("there is no second change", err)
	}
	if _, err := r.check(t); err == nil || !strings.Contains(err.Error(), "revision 3") {
		t.Errorf("the rewritten history is answered with %v", err)
	}
}

// TestAJournalThatIsCutOffDoesNotPass takes away the last change. The head still tells of it.
func TestAJournalThatIsCutOffDoesNotPass(t *testing.T) {
	r := open(t, t.TempDir())
	defer r.db.Close()
	for _, title := range []string{"first", "second"} {
		r.update(t, func(tx *journal.Tx) error {
			return r.towns.Put(tx, &townv1.Town{Name: "towns/140525-casting", TitleEn: title})
		})
	}
	err := r.raw.Update(t.Context(), func(tx store.Tx) error {
		for e, err := range tx.Scan([]byte("journal/change/"), store.PrefixEnd([]byte("journal/change/")), store.Descending) {
			if err != nil {
				return err
			}
			return tx.Delete(e.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.check(t); err == nil || !strings.Contains(err.Error(), "revision 2 is missing") {
		t.Errorf("a journal without its end is answered with %v", err)
	}
}

func TestManyChangesAreReplayedInChunks(t *testing.T) {
	r := open(t, t.TempDir())
	defer r.db.Close()
	const rows = 1200
	r.update(t, func(tx *journal.Tx) error {
		for i := range rows {
			if err := r.towns.Create(tx, &townv1.Town{Name: fmt.Sprintf("towns/140525-%d", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	scratch := openBolt(t, filepath.Join(t.TempDir(), "scratch.db"))
	defer scratch.Close()
	var told []int64
	n, err := replay.Check(t.Context(), r.db, r.schema, scratch, func(done, all int64) {
		told = append(told, done)
		if all != rows {
			t.Errorf("there are said to be %d changes", all)
		}
	})
	if err != nil || n != rows || len(told) < 2 || told[len(told)-1] != rows {
		t.Errorf("%d changes, progress %v, %v", n, told, err)
	}
}
