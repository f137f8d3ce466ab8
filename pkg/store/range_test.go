package store_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/typepb"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

// unrecorded is a transaction whose changes nobody notes.
type unrecorded struct{ store.Tx }

func (unrecorded) Record(store.Change) error { return nil }

func TestScanIndexRange(t *testing.T) {
	table := store.NewTable(store.Index[*typepb.Type]{
		Name: "edition", Keys: func(row *typepb.Type) []string { return strings.Fields(row.GetEdition()) },
	})
	s, err := bolt.Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		for name, values := range map[string]string{"a": "03", "b": "01 02", "c": "02", "d": "021", "e": ""} {
			if err := table.Create(unrecorded{tx}, &typepb.Type{Name: name, Edition: values}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shows, from, to string
		order           store.Order
		want            string
	}{
		{"all in the order of values, then names", "", "", store.Ascending, "b b c d a"},
		{"all against the order", "", "", store.Descending, "a d c b b"},
		{"the first value belongs to the range", "02", "", store.Ascending, "b c d a"},
		{"the last value does not", "01", "02", store.Ascending, "b"},
		{"a value that begins like the last one does not either", "02", "021", store.Ascending, "b c"},
		{"nothing between", "022", "03", store.Ascending, ""},
	} {
		var got []string
		if err := s.View(t.Context(), func(r store.Reader) error {
			for row, err := range table.ScanIndexRange(r, "edition", c.from, c.to, c.order) {
				if err != nil {
					return err
				}
				got = append(got, row.GetName())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: got %v, want %s", c.shows, got, c.want)
		}
	}
}
