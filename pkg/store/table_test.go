package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// noting is a transaction that keeps what it is told of changes.
type noting struct {
	store.Tx
	changes []store.Change
}

func (n *noting) Record(c store.Change) error {
	n.changes = append(n.changes, c)
	return nil
}

func newTowns() *store.Table[*townv1.Town] {
	return store.NewTable(
		store.Index[*townv1.Town]{Name: "industry", Keys: func(t *townv1.Town) []string { return t.GetIndustryCodes() }},
		store.Index[*townv1.Town]{Name: "division", Keys: func(t *townv1.Town) []string {
			if t.GetDivision() == "" {
				return nil
			}
			return []string{t.GetDivision()}
		}},
	)
}

func openStore(t testing.TB) store.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t testing.TB, s store.Store, fn func(*noting) error) (changes []store.Change) {
	t.Helper()
	err := s.Update(context.Background(), func(tx store.Tx) error {
		n := &noting{Tx: tx}
		err := fn(n)
		changes = n.changes
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func TestTable(t *testing.T) {
	s := openStore(t)
	defer s.Close()
	towns := newTowns()
	if towns.Kind() != "Town" {
		t.Errorf("the kind is %q", towns.Kind())
	}
	casting := &townv1.Town{Name: "towns/a", TitleZh: "铸造"}
	ceramics := &townv1.Town{Name: "towns/a", TitleZh: "陶瓷"}
	update(t, s, func(tx *noting) error {
		if _, err := towns.Get(tx, "towns/a"); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "towns/a") {
			t.Errorf("Get of what is not there: %v", err)
		}
		for what, err := range map[string]error{
			"Update": towns.Update(tx, casting), "Delete": towns.Delete(tx, "towns/a"),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s of what is not there: %v", what, err)
			}
		}
		if err := towns.Create(tx, casting); err != nil {
			return err
		}
		if err := towns.Create(tx, ceramics); !errors.Is(err, store.ErrExists) {
			t.Errorf("Create of what is there: %v", err)
		}
		if err := towns.Create(tx, &townv1.Town{}); err == nil {
			t.Error("a row without a name was stored")
		}
		if len(tx.changes) != 1 {
			t.Errorf("%d changes were recorded, want 1", len(tx.changes))
		}
		return towns.Put(tx, ceramics)
	})
	changes := update(t, s, func(tx *noting) error {
		row, err := towns.Get(tx, "towns/a")
		if err != nil || row.GetTitleZh() != "陶瓷" {
			t.Errorf("Get: %v, %v", row, err)
		}
		if has, err := towns.Has(tx, "towns/a"); !has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
		value, err := tx.Get(store.RowKey("Town", "towns/a"))
		if err != nil {
			return err
		}
		_, stored := store.SplitRow(slices.Clone(value))
		if err := errors.Join(towns.Put(tx, casting), towns.Delete(tx, "towns/a")); err != nil {
			return err
		}
		if first := tx.changes[0]; string(first.Before) != string(stored) || first.After == nil {
			t.Errorf("recorded is %q to %q", first.Before, first.After)
		}
		return nil
	})
	if len(changes) != 2 || changes[1].Name != "towns/a" || changes[1].After != nil || string(changes[1].Before) != string(changes[0].After) {
		t.Errorf("recorded are %v", changes)
	}
}

func TestIndexValueWithAZeroByteIsRefused(t *testing.T) {
	s := openStore(t)
	defer s.Close()
	towns := newTowns()
	err := s.Update(context.Background(), func(tx store.Tx) error {
		return towns.Create(&noting{Tx: tx}, &townv1.Town{Name: "towns/a", IndustryCodes: []string{"33\x00towns/b"}})
	})
	if err == nil {
		t.Error("it was stored, and would be found as another row under another value")
	}
}

// names collects the names of rows.
func names(rows iter.Seq2[*townv1.Town, error]) (out []string, err error) {
	for row, err := range rows {
		if err != nil {
			return out, err
		}
		out = append(out, row.GetName())
	}
	return out, nil
}

func TestScan(t *testing.T) {
	s := openStore(t)
	defer s.Close()
	towns := newTowns()
	update(t, s, func(tx *noting) error {
		for _, n := range []string{"towns/b", "towns/a", "towns/c", "towns/ab", "other/a"} {
			if err := towns.Create(tx, &townv1.Town{Name: n, Division: "140525"}); err != nil {
				return err
			}
		}
		return towns.Create(tx, &townv1.Town{Name: "towns/d", Division: "1405251"}) // a value that begins with another
	})
	for _, c := range []struct {
		prefix, start string
		want          []string
	}{
		{"towns/", "", []string{"towns/a", "towns/ab", "towns/b", "towns/c", "towns/d"}},
		{"towns/", "towns/ab", []string{"towns/ab", "towns/b", "towns/c", "towns/d"}},
		{"towns/", "towns/aa", []string{"towns/ab", "towns/b", "towns/c", "towns/d"}},
		{"towns/a", "", []string{"towns/a", "towns/ab"}},
		{"towns/a", "towns/b", nil},
		{"towns/b", "towns/a", []string{"towns/b"}},
		{"", "", []string{"other/a", "towns/a", "towns/ab", "towns/b", "towns/c", "towns/d"}},
		{"-", "", nil},
	} {
		err := s.View(context.Background(), func(r store.Reader) error {
			got, err := names(towns.Scan(r, c.prefix, c.start))
			if !slices.Equal(got, c.want) {
				t.Errorf("Scan(%q, %q) = %q, want %q", c.prefix, c.start, got, c.want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := s.View(context.Background(), func(r store.Reader) error {
		got, err := names(towns.ScanIndex(r, "division", "140525", "towns/ab"))
		if want := []string{"towns/ab", "towns/b", "towns/c"}; !slices.Equal(got, want) {
			t.Errorf("ScanIndex from towns/ab = %q, want %q", got, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestScanIndexWhileItChanges is what a handler does that lapses what has run out.
func TestScanIndexWhileItChanges(t *testing.T) {
	s := openStore(t)
	defer s.Close()
	towns := newTowns()
	const n = 200
	update(t, s, func(tx *noting) error {
		for i := range n {
			if err := towns.Create(tx, &townv1.Town{Name: fmt.Sprintf("towns/%03d", i), Division: "140525"}); err != nil {
				return err
			}
		}
		return nil
	})
	changes := update(t, s, func(tx *noting) error {
		for row, err := range towns.ScanIndex(tx, "division", "140525", "") {
			if err != nil {
				return err
			}
			row.Division = "140581"
			if err := towns.Update(tx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if len(changes) != n {
		t.Errorf("%d rows were found and changed, want %d", len(changes), n)
	}
}

// TestIndexesDoNotDrift changes rows at random, and computes after each commit anew what is to be found under each value.
func TestIndexesDoNotDrift(t *testing.T) {
	codes := []string{"3391", "3392", "33"}
	divisions := []string{"", "140525", "140581"}
	rapid.Check(t, func(rt *rapid.T) {
		s := openStore(t)
		defer s.Close()
		towns := newTowns()
		model := map[string]*townv1.Town{}
		for range rapid.IntRange(1, 4).Draw(rt, "commits") {
			steps := rapid.IntRange(1, 8).Draw(rt, "steps")
			update(t, s, func(tx *noting) error {
				for range steps {
					row := &townv1.Town{
						Name:          "towns/" + rapid.StringMatching(`[ab]{1,2}`).Draw(rt, "name"),
						Division:      rapid.SampledFrom(divisions).Draw(rt, "division"),
						IndustryCodes: rapid.SliceOfN(rapid.SampledFrom(codes), 0, 3).Draw(rt, "codes"), // also twice the same
					}
					_, has := model[row.Name]
					switch rapid.SampledFrom([]string{"create", "update", "put", "delete"}).Draw(rt, "what") {
					case "create":
						if err := towns.Create(tx, row); has != errors.Is(err, store.ErrExists) || !has && err != nil {
							rt.Fatalf("Create: %v, with a row there: %v", err, has)
						}
						if has {
							continue
						}
						model[row.Name] = row
					case "update":
						if err := towns.Update(tx, row); has == errors.Is(err, store.ErrNotFound) || has && err != nil {
							rt.Fatalf("Update: %v, with a row there: %v", err, has)
						}
						if !has {
							continue
						}
						model[row.Name] = row
					case "put":
						if err := towns.Put(tx, row); err != nil {
							rt.Fatal(err)
						}
						model[row.Name] = row
					default:
						if err := towns.Delete(tx, row.Name); has == errors.Is(err, store.ErrNotFound) || has && err != nil {
							rt.Fatalf("Delete: %v, with a row there: %v", err, has)
						}
						delete(model, row.Name)
					}
				}
				return nil
			})
			checkIndexes(rt, s, towns, model, codes, divisions)
		}
	})
}

func checkIndexes(t *rapid.T, s store.Store, towns *store.Table[*townv1.Town], model map[string]*townv1.Town, codes, divisions []string) {
	sorted := slices.Sorted(maps.Keys(model))
	entries := 0
	err := s.View(context.Background(), func(r store.Reader) error {
		found, err := names(towns.Scan(r, "", ""))
		if err != nil || !slices.Equal(found, sorted) {
			t.Fatalf("the rows are %q, %v; want %q", found, err, sorted)
		}
		find := func(index, value string, has func(*townv1.Town) bool) {
			var want []string
			for _, name := range sorted {
				if has(model[name]) {
					want = append(want, name)
				}
			}
			found, err := names(towns.ScanIndex(r, index, value, ""))
			if err != nil || !slices.Equal(found, want) {
				t.Fatalf("under %s %s are %q, %v; want %q", index, value, found, err, want)
			}
			entries += len(want)
		}
		for _, code := range codes {
			find("industry", code, func(town *townv1.Town) bool { return slices.Contains(town.GetIndustryCodes(), code) })
		}
		for _, division := range divisions {
			find("division", division, func(town *townv1.Town) bool { return division != "" && town.GetDivision() == division })
		}
		left := 0
		for _, err := range r.Scan([]byte("index/"), []byte("index0"), store.Ascending) {
			if err != nil {
				return err
			}
			left++
		}
		if left != entries {
			t.Fatalf("%d index entries are stored, %d of them are found", left, entries)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrefixEnd(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a/": "a0", "a\xff": "b", "a\xff\xff": "b", "\xff": "", "": "", "\x00": "\x01"} {
		if got := store.PrefixEnd([]byte(prefix)); string(got) != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
	prefix := []byte("a")
	store.PrefixEnd(prefix)
	if string(prefix) != "a" {
		t.Errorf("the prefix is now %q", prefix)
	}
}

// printing records changes by printing them; in a service the journal is the recorder.
type printing struct{ store.Tx }

func (printing) Record(c store.Change) error {
	fmt.Println("changed", c.Name)
	return nil
}

// ExampleTable stores two towns and finds them by industry.
func ExampleTable() {
	dir, err := os.MkdirTemp("", "table")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := bolt.Open(filepath.Join(dir, "town.db"))
	if err != nil {
		panic(err)
	}
	defer s.Close()

	towns := store.NewTable(store.Index[*townv1.Town]{
		Name: "industry",
		Keys: func(t *townv1.Town) []string { return t.GetIndustryCodes() },
	})
	ctx := context.Background()
	err = s.Update(ctx, func(tx store.Tx) error {
		rec := printing{tx}
		return errors.Join(
			towns.Create(rec, &townv1.Town{Name: "towns/140525-casting", IndustryCodes: []string{"3391"}}),
			towns.Create(rec, &townv1.Town{Name: "towns/140581-silk", IndustryCodes: []string{"1742", "1743"}}),
		)
	})
	if err != nil {
		panic(err)
	}
	err = s.View(ctx, func(r store.Reader) error {
		for town, err := range towns.ScanIndex(r, "industry", "1743", "") {
			if err != nil {
				return err
			}
			fmt.Println("1743:", town.GetName())
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// changed towns/140525-casting
	// changed towns/140581-silk
	// 1743: towns/140581-silk
}
