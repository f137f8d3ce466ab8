package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/migrate"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

var now = time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC)

// registry is a service with two tables, and what it knows about its store.
type registry struct {
	towns        *store.Table[*townv1.Town]
	designations *store.Table[*townv1.Designation]
	plan         *migrate.Plan
}

func newRegistry(steps ...migrate.Step) *registry {
	schema := store.NewSchema("town")
	return &registry{
		towns: store.Declare(schema, store.Index[*townv1.Town]{
			Name: "division", Keys: func(town *townv1.Town) []string { return strings.Fields(town.GetDivision()) },
		}),
		designations: store.Declare[*townv1.Designation](schema),
		plan:         &migrate.Plan{Schema: schema, Steps: steps},
	}
}

// layout are the steps that every service has.
func layout() []migrate.Step {
	return []migrate.Step{
		{Name: "IndexChangesByType", Batch: journal.IndexByType},
		{Name: "PutRevisionsInRows", Batch: journal.RevisionsInRows},
	}
}

// figures are two steps over rows. The first moves a title from one field to another, the second derives a division from the name.
func (g *registry) figures() []migrate.Step {
	return []migrate.Step{
		{Name: "RenameTitle", Batch: migrate.Rows(g.towns, func(tx *journal.Tx, town *townv1.Town) error {
			if town.GetTitleEn() == "" {
				return nil
			}
			town.TitleZh, town.TitleEn = town.GetTitleEn(), ""
			return g.towns.Update(tx, town)
		})},
		{Name: "DeriveDivision", Batch: migrate.Rows(g.towns, func(tx *journal.Tx, town *townv1.Town) error {
			town.Division = divisionOf(town)
			return g.towns.Update(tx, town)
		})},
	}
}

func divisionOf(town *townv1.Town) string { return strings.TrimPrefix(town.GetName(), "towns/")[:1] }

// small makes the batches of steps small, so that there are many.
func small(most int, steps []migrate.Step) []migrate.Step {
	steps = slices.Clone(steps)
	for i, s := range steps {
		steps[i].Batch = func(tx *journal.Tx, cursor []byte, limit int) ([]byte, error) {
			return s.Batch(tx, cursor, min(limit, most))
		}
	}
	return steps
}

func openBolt(t testing.TB, path string) store.Store {
	t.Helper()
	s, err := bolt.Open(path)
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

func open(t testing.TB) (store.Store, *journal.DB) {
	t.Helper()
	s := openBolt(t, filepath.Join(t.TempDir(), "town.db"))
	return s, onto(s)
}

func onto(s store.Store) *journal.DB { return journal.Open(s, "town", clock.NewManual(now)) }

func update(t testing.TB, db *journal.DB, fn func(*journal.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), journal.Origin{Actor: "test"}, fn); err != nil {
		t.Fatal(err)
	}
}

// age makes a store what it would have been before changes were indexed by type, and before rows had revisions.
func age(t testing.TB, s store.Store) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for e, err := range tx.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			key := string(e.Key)
			if strings.HasPrefix(key, "journal/type/") {
				err = tx.Delete(e.Key)
			}
			if resource, ok := strings.CutPrefix(key, "journal/deleted/"); ok {
				err = errors.Join(tx.Delete(e.Key), tx.Put([]byte("journal/latest/"+resource), e.Value))
			}
			if row, ok := strings.CutPrefix(key, "row/"); ok {
				_, resource, _ := strings.Cut(row, "/")
				_, message := store.SplitRow(e.Value)
				err = errors.Join(tx.Put([]byte("journal/latest/"+resource), e.Value[:8]), tx.Put(e.Key, message))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump returns all of a store.
func dump(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.View(t.Context(), func(r store.Reader) error {
		clear(all)
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			all[string(e.Key)] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// difference names the keys in which two stores differ.
func difference(a, b map[string]string) (keys []string) {
	for k := range maps.Keys(a) {
		if v, ok := b[k]; !ok || v != a[k] {
			keys = append(keys, k)
		}
	}
	for k := range maps.Keys(b) {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// prove verifies the journal, and that the tables are what it makes, and that nothing else is left.
func (g *registry) prove(t testing.TB, db *journal.DB) error {
	t.Helper()
	head, err := db.Head(t.Context())
	if err != nil {
		return err
	}
	if _, err := db.Verify(t.Context(), 0, head.GetRevision()); err != nil {
		return err
	}
	scratch, err := bolt.Open(filepath.Join(t.TempDir(), "scratch.db"))
	if err != nil {
		return err
	}
	if _, err := replay.Check(t.Context(), db, g.plan.Schema, scratch, nil); err != nil {
		return errors.Join(err, scratch.Close())
	}
	err = db.View(t.Context(), func(r store.Reader) error {
		for e, err := range r.Scan([]byte("migration/"), []byte("migration0"), store.Ascending) {
			return errors.Join(err, fmt.Errorf("the migration has left %q", e.Key))
		}
		return nil
	})
	return errors.Join(err, scratch.Close())
}

// history makes commits of random changes, deletions and names that come again among them.
func (g *registry) history(rt *rapid.T, t testing.TB, db *journal.DB) {
	for range rapid.IntRange(1, 6).Draw(rt, "commits") {
		steps := rapid.IntRange(1, 5).Draw(rt, "steps")
		update(t, db, func(tx *journal.Tx) (err error) {
			for range steps {
				name := "towns/" + rapid.StringMatching(`[ab]{1,2}`).Draw(rt, "name")
				switch rapid.SampledFrom([]string{"put", "put", "designate", "delete"}).Draw(rt, "what") {
				case "put":
					err = g.towns.Put(tx, &townv1.Town{Name: name, TitleEn: rapid.SampledFrom([]string{"", "silk", "iron"}).Draw(rt, "title")})
				case "designate":
					err = g.designations.Put(tx, &townv1.Designation{Name: name + "/designations/municipal"})
				default:
					err = errors.Join(ignoreMissing(g.towns.Delete(tx, name)), ignoreMissing(g.designations.Delete(tx, name+"/designations/municipal")))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// TestOldStoresGetTodaysLayout: what the migration makes of a store of the old layout is, but for the version that it records, what
// today's program would have written.
func TestOldStoresGetTodaysLayout(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newRegistry(small(rapid.IntRange(1, 5).Draw(rt, "batch"), layout())...)
		s, db := open(t)
		g.history(rt, t, db)
		want := dump(t, s)
		if rapid.Bool().Draw(rt, "old") {
			age(t, s)
		}
		if err := g.plan.Open(t.Context(), db); err != nil {
			rt.Fatal(err)
		}
		if err := g.prove(t, db); err != nil {
			rt.Fatal(err)
		}
		all := dump(t, s)
		for _, key := range difference(want, all) {
			resource, deleted := strings.CutPrefix(key, "journal/deleted/")
			_, town := all["row/Town/"+resource]
			if _, designation := all["row/Designation/"+resource]; deleted && (town || designation) {
				continue // it is not looked at when there is a row
			}
			if key != "journal/head" && !strings.HasPrefix(key, "journal/change/") && !strings.HasPrefix(key, "journal/type/Store\x00") && key != "row/Store/stores/town" {
				rt.Errorf("%q is not what it was", key)
			}
		}
		for key, value := range want {
			if strings.HasPrefix(key, "journal/change/") && all[key] != value {
				rt.Errorf("change %x has been altered", key[len("journal/change/"):])
			}
		}
	})
}

// TestRowsGetTheirNewForm migrates rows in two steps, and does so again from a revision that the store once was at.
func TestRowsGetTheirNewForm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newRegistry()
		_, db := open(t)
		begun := rapid.Bool().Draw(rt, "with a version")
		if begun {
			if err := g.plan.Open(t.Context(), db); err != nil {
				rt.Fatal(err)
			}
		}
		update(t, db, func(tx *journal.Tx) error { return g.towns.Create(tx, &townv1.Town{Name: "towns/b", TitleEn: "silk"}) })
		g.history(rt, t, db)
		before := g.rows(t, db)
		g.plan.Steps = small(rapid.IntRange(1, 3).Draw(rt, "batch"), g.figures())
		if err := g.plan.Check(t.Context(), db); !errors.Is(err, migrate.ErrOlder) {
			rt.Fatalf("before the migration: %v", err)
		}
		if err := g.plan.Open(t.Context(), db); err != nil {
			rt.Fatal(err)
		}
		if err := g.hold(t, db, before); err != nil {
			rt.Fatal(err)
		}
		revision := rapid.Int64Range(1, head(t, db)).Draw(rt, "revision")
		_, earlier := open(t)
		err := backup.Rewind(t.Context(), db, earlier, g.plan.Schema, revision)
		if between := (*backup.BetweenError)(nil); errors.As(err, &between) {
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		then := g.rows(t, earlier)
		if err := g.plan.Open(t.Context(), earlier); err != nil {
			rt.Fatalf("from revision %d: %v", revision, err)
		}
		if err := g.hold(t, earlier, then); err != nil {
			rt.Fatalf("from revision %d: %v", revision, err)
		}
	})
}

// rows returns titles and divisions by name.
func (g *registry) rows(t testing.TB, db *journal.DB) map[string]*townv1.Town {
	t.Helper()
	all := map[string]*townv1.Town{}
	err := db.View(t.Context(), func(r store.Reader) error {
		for town, err := range g.towns.Scan(r, "", "") {
			if err != nil {
				return err
			}
			all[town.GetName()] = town
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// hold holds the rows, and the whole store, against what they were before the figures' steps.
func (g *registry) hold(t testing.TB, db *journal.DB, before map[string]*townv1.Town) error {
	t.Helper()
	after := g.rows(t, db)
	if len(after) != len(before) {
		return fmt.Errorf("%d rows have become %d", len(before), len(after))
	}
	for name, was := range before {
		title := was.GetTitleZh()
		if was.GetTitleEn() != "" {
			title = was.GetTitleEn()
		}
		if is := after[name]; is.GetTitleZh() != title || is.GetTitleEn() != "" || is.GetDivision() != divisionOf(was) {
			return fmt.Errorf("%v has become %v", was, is)
		}
	}
	last, err := db.At(t.Context(), "stores/town", head(t, db))
	if err != nil {
		return fmt.Errorf("the last change is not of the store: %w", err)
	}
	if last.GetActor() != "service/town" || last.GetMethod() != "/yizhen.maintenance.v1.Migration/DeriveDivision" {
		return fmt.Errorf("the migration ends with %v", last)
	}
	return errors.Join(g.plan.Check(t.Context(), db), g.prove(t, db))
}

func head(t testing.TB, db *journal.DB) int64 {
	t.Helper()
	h, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.GetRevision()
}

func TestAnEmptyStoreBeginsWithItsVersion(t *testing.T) {
	g := newRegistry(layout()...)
	g.plan.Release = "v1.2.0"
	s, db := open(t)
	if err := g.plan.Check(t.Context(), db); err != nil {
		t.Errorf("empty: %v", err)
	}
	if left := dump(t, s); len(left) > 0 {
		t.Errorf("a check has written %v", left)
	}
	var first map[string]string
	for i := range 2 {
		if err := g.plan.Open(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = dump(t, s)
		}
	}
	if keys := difference(first, dump(t, s)); len(keys) > 0 {
		t.Errorf("opened again, %q are other than before", keys)
	}
	err := db.View(t.Context(), func(r store.Reader) error {
		row, err := g.plan.Schema.Stores().Get(r, "stores/town")
		if row.GetVersion() != 3 || row.GetPreviousVersion() != 0 || row.GetRelease() != "v1.2.0" || !row.GetUpdateTime().AsTime().Equal(now) {
			t.Errorf("the store says %v", row)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := g.prove(t, db); err != nil {
		t.Error(err)
	}
}

func TestStoresThatDoNotFit(t *testing.T) {
	newer := newRegistry(layout()...)
	newer.plan.Release = "v2.0.0"
	s, db := open(t)
	if err := newer.plan.Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	fund := &migrate.Plan{Schema: store.NewSchema("fund"), Steps: layout()}
	for _, c := range []struct {
		name string
		plan *migrate.Plan
		db   *journal.DB
		is   error
		want string
	}{
		{"an older program", newRegistry(layout()[:1]...).plan, db, migrate.ErrNewer,
			"it is of version 3, and this program knows versions up to 2: run release v2.0.0 or a later one"},
		{"another service", fund, journal.Open(s, "fund", clock.NewManual(now)), migrate.ErrForeign,
			"it is that of town, and was opened as that of fund"},
	} {
		before := dump(t, s)
		for how, fit := range map[string]func(context.Context, *journal.DB) error{"Open": c.plan.Open, "Check": c.plan.Check} {
			if err := fit(t.Context(), c.db); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: %v, want %q", c.name, how, err, c.want)
			}
		}
		if keys := difference(before, dump(t, s)); len(keys) > 0 {
			t.Errorf("%s has written %q", c.name, keys)
		}
	}

	// One that has no version yet is known by its journal.
	old, olddb := open(t)
	update(t, olddb, func(tx *journal.Tx) error { return newer.towns.Create(tx, &townv1.Town{Name: "towns/a"}) })
	age(t, old)
	if err := fund.Open(t.Context(), journal.Open(old, "fund", clock.NewManual(now))); !errors.Is(err, migrate.ErrForeign) {
		t.Errorf("an old store of another service: %v", err)
	}
	before := dump(t, old)
	if err := newer.plan.Check(t.Context(), olddb); !errors.Is(err, migrate.ErrOlder) || !strings.Contains(err.Error(), "version 1, this program's is 3") {
		t.Errorf("an old store is checked: %v", err)
	}
	if keys := difference(before, dump(t, old)); len(keys) > 0 {
		t.Errorf("a check has written %q", keys)
	}
}

func TestAStoppedMigrationGoesOn(t *testing.T) {
	g := newRegistry()
	_, db := open(t)
	update(t, db, func(tx *journal.Tx) (err error) {
		for i := range 20 {
			err = errors.Join(err, g.towns.Create(tx, &townv1.Town{Name: fmt.Sprintf("towns/%02d", i), TitleEn: "silk"}))
		}
		return err
	})
	before := g.rows(t, db)
	steps := small(2, g.figures())
	for stops := 0; ; stops++ {
		ctx, stop := context.WithCancel(t.Context())
		batches := 0
		g.plan.Steps = slices.Clone(steps)
		for i, s := range steps {
			g.plan.Steps[i].Batch = func(tx *journal.Tx, cursor []byte, limit int) ([]byte, error) {
				if batches++; batches == 4 {
					stop()
				}
				return s.Batch(tx, cursor, limit)
			}
		}
		err := g.plan.Open(ctx, db)
		stop()
		if err == nil {
			if stops < 5 {
				t.Errorf("it was stopped %d times, which proves little", stops)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || stops > 30 {
			t.Fatalf("stopped for the %d. time: %v", stops+1, err)
		}
	}
	if err := g.hold(t, db, before); err != nil {
		t.Error(err)
	}
}

// TestReplicasMigrateTogether has two replicas open an old store on a cluster at once. A cluster takes little in one transaction.
func TestReplicasMigrateTogether(t *testing.T) {
	c := etcdtest.Start(t, 1)
	g := newRegistry(layout()...)
	reach := func() store.Store {
		o, err := etcd.Parse(c.URL("migrate"), etcd.Files{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := etcd.Open(t.Context(), o)
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
	first, second := reach(), reach()
	whole, db := open(t)
	update(t, db, func(tx *journal.Tx) (err error) {
		for i := range 500 {
			err = errors.Join(err, g.towns.Create(tx, &townv1.Town{Name: fmt.Sprintf("towns/%03d", i)}))
		}
		return err
	})
	age(t, whole)
	copyTo(t, whole, first)
	var wait sync.WaitGroup
	for _, s := range []store.Store{first, second} {
		wait.Go(func() {
			if err := g.plan.Open(t.Context(), onto(s)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if err := g.plan.Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := g.prove(t, onto(second)); err != nil {
		t.Error(err)
	}
	if keys := difference(dump(t, whole), dump(t, second)); len(keys) > 0 {
		t.Errorf("together they have made something else of %q", keys)
	}
}

func copyTo(t testing.TB, from, to store.Store) {
	t.Helper()
	all := dump(t, from)
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(all)), 60) {
		err := to.Update(t.Context(), func(tx store.Tx) (err error) {
			for _, k := range keys {
				err = errors.Join(err, tx.Put([]byte(k), []byte(all[k])))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
