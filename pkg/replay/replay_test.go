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
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
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

// archive makes a journal of five commits, keeps its changes, and archives the first of them up to a revision.
func archive(t *testing.T, until int64) (r *registry, kept []*journalv1.Change) {
	t.Helper()
	r = open(t, t.TempDir())
	t.Cleanup(func() { r.db.Close() })
	for i := range 5 {
		r.update(t, func(tx *journal.Tx) error {
			return errors.Join(
				r.towns.Put(tx, &townv1.Town{Name: "towns/140525-casting", TitleEn: fmt.Sprint(i)}),
				r.designations.Put(tx, &townv1.Designation{Name: fmt.Sprintf("towns/140525-%d/designations/municipal", i), Batch: "a"}))
		})
	}
	r.update(t, func(tx *journal.Tx) error { return r.designations.Delete(tx, "towns/140525-0/designations/municipal") })
	kept, _, err := r.db.Read(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	private, _, err := journal.NewKey(journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_ED25519)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := journal.ReadSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.Checkpoint(t.Context(), signer); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Prune(t.Context(), until, kept[until-1].GetHash()); err != nil {
		t.Fatal(err)
	}
	return r, kept
}

// each yields changes.
func each(all []*journalv1.Change) replay.Archive {
	return func(yield func(*journalv1.Change, error) bool) {
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func TestArchivedJournalReplays(t *testing.T) {
	for _, until := range []int64{1, 6, 11} { // 11 is all
		r, kept := archive(t, until)
		_, foreign := archive(t, 1)
		foreign[0].Actor = "another"
		for shows, c := range map[string]struct {
			from replay.Archive
			want any // nil, or where to find the error that is wanted
		}{
			"nothing":            {nil, new(*replay.MissingError)},
			"all but the last":   {each(kept[:until-1]), new(*replay.MissingError)},
			"what was archived":  {each(kept[:until]), nil},
			"what is kept too":   {each(kept), nil},
			"without the first":  {each(kept[1:until]), new(error)},
			"a change rewritten": {each(foreign[:until]), new(*journal.CorruptError)},
		} {
			t.Run(fmt.Sprint(until, " ", shows), func(t *testing.T) {
				scratch := openBolt(t, filepath.Join(t.TempDir(), "scratch.db"))
				defer scratch.Close()
				n, err := replay.CheckArchived(t.Context(), r.db, r.schema, c.from, scratch, nil)
				if c.want == nil && (err != nil || n != 11) {
					t.Errorf("%d changes, %v", n, err)
				}
				if c.want != nil && !errors.As(err, c.want) {
					t.Errorf("answered with %v, want a %T", err, c.want)
				}
				var missing *replay.MissingError
				if errors.As(err, &missing) && (missing.First != n+1 || missing.Last != until) {
					t.Errorf("%v is said to be missing, after %d", missing, n)
				}
			})
		}
	}
}

// TestArchiveOfAnotherHistory is as long and whole in itself, and does not lead to what is kept.
func TestArchiveOfAnotherHistory(t *testing.T) {
	r, _ := archive(t, 2)
	foreign := open(t, t.TempDir())
	defer foreign.db.Close()
	for i := range 2 {
		foreign.update(t, func(tx *journal.Tx) error {
			return foreign.towns.Create(tx, &townv1.Town{Name: fmt.Sprintf("towns/140525-%d", i)})
		})
	}
	all, _, err := foreign.db.Read(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	scratch := openBolt(t, filepath.Join(t.TempDir(), "scratch.db"))
	defer scratch.Close()
	var corrupt *journal.CorruptError
	if _, err := replay.CheckArchived(t.Context(), r.db, r.schema, each(all), scratch, nil); !errors.As(err, &corrupt) || corrupt.Revision != 2 {
		t.Errorf("answered with %v, want revision 2 to be named", err)
	}
}
