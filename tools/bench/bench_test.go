package main

import (
	"slices"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/uscc"
)

func TestCodesAreWellFormedAndInOrder(t *testing.T) {
	const rows = 1000
	var codes []string
	for i := range rows {
		codes = append(codes, code(resident(i, rows)))
	}
	if !slices.IsSorted(codes) || len(slices.Compact(slices.Clone(codes))) != rows {
		t.Error("the codes of resident rows are not distinct and in order")
	}
	for n := range uint64(rows) {
		codes = append(codes, code(fresh(n)))
	}
	slices.Sort(codes)
	if len(slices.Compact(slices.Clone(codes))) != 2*rows {
		t.Error("a new row has the code of another")
	}
	for _, c := range codes {
		if err := uscc.Check(c); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestShapeIsOfWhatACreateWrites(t *testing.T) {
	sh, err := takeShape(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for n := range uint64(2) {
		for i, key := range sh.keys(fresh(n), 100+n) {
			if len(key) != len(sh.writes[i].Key) {
				t.Errorf("key %q is not as long as %q", key, sh.writes[i].Key)
			}
			seen[string(key)]++
		}
	}
	if shared := 2*len(sh.writes) - len(seen); shared != 1 {
		t.Errorf("two creates share %d keys, want one: the head of the journal", shared)
	}
}

func TestQuantile(t *testing.T) {
	f := figures{took: time.Second}
	for i := range 100 {
		f.latencies = append(f.latencies, time.Duration(100-i))
	}
	if f.quantile(50) != 51 || f.quantile(99) != 100 || f.rate() != 100 {
		t.Errorf("of 1 to 100: half within %d, 99 %% within %d, %v in a second", f.quantile(50), f.quantile(99), f.rate())
	}
}
