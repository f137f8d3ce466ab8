package totals

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

func TestEveryFigureIsSummed(t *testing.T) {
	fields := (&townv1.Figures{}).ProtoReflect().Descriptor().Fields()
	figures := list(nil)
	if len(figures) != fields.Len() {
		t.Fatalf("%d figures are summed, the contract has %d", len(figures), fields.Len())
	}
	for i, f := range figures {
		if want := string(fields.Get(i).Name()); f.name != want {
			t.Errorf("figure %d is %s, in the contract %s", i, f.name, want)
		}
		one := &townv1.Figures{}
		*list(one)[i].value = 1
		if !one.ProtoReflect().Has(fields.Get(i)) {
			t.Errorf("%s is not the field of that name", f.name)
		}
	}
}

// amount draws small and ordinary amounts, and now and then one so large that two of them do not fit.
func amount(t *rapid.T, label string) int64 {
	return rapid.OneOf(
		rapid.Int64Range(0, 3),
		rapid.Int64Range(0, 1_000_000_000_000),
		rapid.Int64Range(math.MaxInt64/2, math.MaxInt64),
	).Draw(t, label)
}

func someFigures(t *rapid.T) *townv1.Figures {
	f := &townv1.Figures{}
	for _, x := range list(f) {
		*x.value = amount(t, x.name)
	}
	return f
}

// The model of a total is the list of what was counted in, added up without bounds.
func addedUp(towns []*townv1.Figures) [7]*big.Int {
	var sums [7]*big.Int
	for i := range sums {
		sums[i] = new(big.Int)
	}
	for _, f := range towns {
		for i, x := range list(f) {
			sums[i].Add(sums[i], big.NewInt(*x.value))
		}
	}
	return sums
}

func fits(sums [7]*big.Int) bool {
	for _, s := range sums {
		if !s.IsInt64() {
			return false
		}
	}
	return true
}

func TestTotalIsWhatAddingUpGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := &townv1.Total{}
		var towns []*townv1.Figures
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				f := someFigures(t)
				before := proto.Clone(total)
				err := Enter(total, f)
				var overflow *OverflowError
				switch {
				case fits(addedUp(append(towns[:len(towns):len(towns)], f))):
					if err != nil {
						t.Fatalf("refused though it fits: %v", err)
					}
					towns = append(towns, f)
				case !errors.As(err, &overflow):
					t.Fatalf("does not fit, but: %v", err)
				case !proto.Equal(total, before):
					t.Fatalf("was refused and changed the total")
				}
			},
			"leave": func(t *rapid.T) {
				if len(towns) == 0 {
					t.Skip("nobody to leave")
				}
				i := rapid.IntRange(0, len(towns)-1).Draw(t, "who")
				if err := Leave(total, towns[i]); err != nil {
					t.Fatal(err)
				}
				towns = append(towns[:i:i], towns[i+1:]...)
			},
			"": func(t *rapid.T) {
				if int(total.GetTownCount()) != len(towns) {
					t.Fatalf("counts %d towns of %d", total.GetTownCount(), len(towns))
				}
				for i, want := range addedUp(towns) {
					if got := list(total.GetFigures())[i]; *got.value != want.Int64() {
						t.Fatalf("%s is %d, adding up gives %v", got.name, *got.value, want)
					}
				}
			},
		})
	})
}

func TestSumAddsTotalsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var totals []*townv1.Total
		var figures []*townv1.Figures
		for range rapid.IntRange(0, 5).Draw(t, "totals") {
			f := someFigures(t)
			figures = append(figures, f)
			totals = append(totals, &townv1.Total{Figures: f, TownCount: 2})
		}
		sum, towns, err := Sum(totals)
		want := addedUp(figures)
		if !fits(want) {
			var overflow *OverflowError
			if !errors.As(err, &overflow) {
				t.Fatalf("does not fit, but: %v", err)
			}
			return
		}
		if err != nil || int(towns) != 2*len(totals) {
			t.Fatalf("%d towns, %v", towns, err)
		}
		for i, x := range list(sum) {
			if *x.value != want[i].Int64() {
				t.Errorf("%s is %d, adding up gives %v", x.name, *x.value, want[i])
			}
		}
	})
}

func TestMoreThanWasPutInIsRefused(t *testing.T) {
	total := &townv1.Total{Figures: &townv1.Figures{TaxFen: 5}, TownCount: 1}
	var short *ShortError
	if err := Leave(total, &townv1.Figures{TaxFen: 6}); !errors.As(err, &short) || short.Figure != "tax_fen" {
		t.Errorf("got %v, want a ShortError of tax_fen", err)
	}
	if total.GetTownCount() != 1 || total.GetFigures().GetTaxFen() != 5 {
		t.Errorf("was refused and changed the total: %v", total)
	}
}
