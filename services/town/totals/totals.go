// Package totals is for sums of figures that are kept up to date as each town's figures come and go, instead of
// being added up anew when somebody asks. What it does must give the same as adding up would, to the fen; an amount
// that does not fit is an error, never a wrap.
package totals

import (
	"fmt"
	"math"

	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// OverflowError names the figure whose sum does not fit into 64 bits.
type OverflowError struct{ Figure string }

func (e *OverflowError) Error() string {
	return fmt.Sprintf("the sum of %s does not fit into 64 bits", e.Figure)
}

// ShortError names a figure of which more is taken out of a total than was put in: the total was not kept.
type ShortError struct{ Figure string }

func (e *ShortError) Error() string {
	return fmt.Sprintf("more %s is taken out of the total than was put in", e.Figure)
}

// Enter counts one more town's figures into a total.
func Enter(t *townv1.Total, f *townv1.Figures) error {
	sum, err := add(t.GetFigures(), f)
	if err != nil {
		return err
	}
	t.Figures = sum
	t.TownCount++
	return nil
}

// Leave takes one town's figures out of a total.
func Leave(t *townv1.Total, f *townv1.Figures) error {
	rest, err := subtract(t.GetFigures(), f)
	if err != nil {
		return err
	}
	t.Figures = rest
	t.TownCount--
	return nil
}

// Sum adds totals up.
func Sum(totals []*townv1.Total) (sum *townv1.Figures, towns int32, err error) {
	sum = &townv1.Figures{}
	for _, t := range totals {
		if sum, err = add(sum, t.GetFigures()); err != nil {
			return nil, 0, err
		}
		towns += t.GetTownCount()
	}
	return sum, towns, nil
}

func add(a, b *townv1.Figures) (*townv1.Figures, error) {
	out := &townv1.Figures{}
	to, x, y := list(out), list(a), list(b)
	for i := range to {
		if *x[i].value > math.MaxInt64-*y[i].value {
			return nil, &OverflowError{Figure: to[i].name}
		}
		*to[i].value = *x[i].value + *y[i].value
	}
	return out, nil
}

func subtract(a, b *townv1.Figures) (*townv1.Figures, error) {
	out := &townv1.Figures{}
	to, x, y := list(out), list(a), list(b)
	for i := range to {
		if *x[i].value < *y[i].value {
			return nil, &ShortError{Figure: to[i].name}
		}
		*to[i].value = *x[i].value - *y[i].value
	}
	return out, nil
}

type figure struct {
	name  string
	value *int64
}

// list names every figure once, so that none is left out of one sum and counted in another. None is negative: the
// contract sees to that.
func list(f *townv1.Figures) [7]figure {
	if f == nil {
		f = &townv1.Figures{}
	}
	return [...]figure{
		{"output_value_fen", &f.OutputValueFen},
		{"revenue_fen", &f.RevenueFen},
		{"employees_persons", &f.EmployeesPersons},
		{"tax_fen", &f.TaxFen},
		{"exports_fen", &f.ExportsFen},
		{"research_fen", &f.ResearchFen},
		{"above_scale_enterprises", &f.AboveScaleEnterprises},
	}
}
