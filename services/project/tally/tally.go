// Package tally keeps the counts and sums of a division's projects up to date as projects come and change, instead of
// adding them up anew when the leading group asks. It must give what adding up would, to the fen; an amount that does not
// fit is an error, never a wrap.
package tally

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

// OverflowError names the figure whose sum does not fit into 64 bits.
type OverflowError struct{ Figure string }

func (e *OverflowError) Error() string {
	return fmt.Sprintf("the sum of %s does not fit into 64 bits", e.Figure)
}

// The figures that are summed, as errors name them.
const (
	Planned   = "planned_investment_fen"
	Actual    = "actual_investment_fen"
	Scheduled = "scheduled_investment_fen"
)

// Add adds two amounts of a figure, neither below zero.
func Add(figure string, a, b int64) (int64, error) {
	if a > math.MaxInt64-b {
		return 0, &OverflowError{Figure: figure}
	}
	return a + b, nil
}

// Enter counts a project into the total of its division.
func Enter(t *projectv1.DivisionTotal, p *projectv1.Project) error {
	s := stage(t, p.GetState())
	s.ProjectCount++
	if err := addTo(s, p.GetPlannedInvestmentFen(), p.GetActualInvestmentFen()); err != nil {
		return err
	}
	return settle(t)
}

// Leave takes a project that was counted, as it was then, out of the total.
func Leave(t *projectv1.DivisionTotal, p *projectv1.Project) error {
	s := stage(t, p.GetState())
	s.ProjectCount--
	s.PlannedInvestmentFen -= p.GetPlannedInvestmentFen()
	s.ActualInvestmentFen -= p.GetActualInvestmentFen()
	if s.ProjectCount < 0 || s.PlannedInvestmentFen < 0 || s.ActualInvestmentFen < 0 {
		return fmt.Errorf("%s leaves a total in which it was not counted", p.GetName())
	}
	t.Stages = slices.DeleteFunc(t.Stages, func(s *projectv1.StageTotal) bool { return s.GetProjectCount() == 0 })
	return settle(t)
}

// Took counts a step that a project took in a year, if it is one of those that the batches count.
func Took(t *projectv1.DivisionTotal, year int32, verb string) {
	switch verb {
	case "sign":
		batches(t, year).SignedCount++
	case "start":
		batches(t, year).StartedCount++
	case "putIntoProduction":
		batches(t, year).ProducedCount++
	case "reachCapacity":
		batches(t, year).CapacityCount++
	}
}

// Sum adds the totals of several divisions up.
func Sum(totals []*projectv1.DivisionTotal) (*projectv1.DivisionTotal, error) {
	sum := &projectv1.DivisionTotal{}
	for _, t := range totals {
		for _, from := range t.GetStages() {
			to := stage(sum, from.GetState())
			to.ProjectCount += from.GetProjectCount()
			if err := addTo(to, from.GetPlannedInvestmentFen(), from.GetActualInvestmentFen()); err != nil {
				return nil, err
			}
		}
		for _, from := range t.GetYears() {
			to := batches(sum, from.GetYear())
			to.SignedCount += from.GetSignedCount()
			to.StartedCount += from.GetStartedCount()
			to.ProducedCount += from.GetProducedCount()
			to.CapacityCount += from.GetCapacityCount()
		}
	}
	return sum, settle(sum)
}

// settle sets the figures of the whole to the sum of the stages, cancelled projects left out.
func settle(t *projectv1.DivisionTotal) error {
	all := &projectv1.StageTotal{}
	for _, s := range t.GetStages() {
		if s.GetState() == projectv1.Project_STATE_CANCELLED {
			continue
		}
		all.ProjectCount += s.GetProjectCount()
		if err := addTo(all, s.GetPlannedInvestmentFen(), s.GetActualInvestmentFen()); err != nil {
			return err
		}
	}
	t.ProjectCount, t.PlannedInvestmentFen, t.ActualInvestmentFen = all.GetProjectCount(), all.GetPlannedInvestmentFen(), all.GetActualInvestmentFen()
	return nil
}

func addTo(s *projectv1.StageTotal, planned, actual int64) (err error) {
	if s.PlannedInvestmentFen, err = Add(Planned, s.GetPlannedInvestmentFen(), planned); err != nil {
		return err
	}
	s.ActualInvestmentFen, err = Add(Actual, s.GetActualInvestmentFen(), actual)
	return err
}

// stage returns the line of a state, and makes it in its place if there is none.
func stage(t *projectv1.DivisionTotal, state projectv1.Project_State) *projectv1.StageTotal {
	at, found := slices.BinarySearchFunc(t.GetStages(), state, func(s *projectv1.StageTotal, state projectv1.Project_State) int {
		return cmp.Compare(s.GetState(), state)
	})
	if !found {
		t.Stages = slices.Insert(t.Stages, at, &projectv1.StageTotal{State: state})
	}
	return t.Stages[at]
}

// batches returns the line of a year, and makes it in its place if there is none.
func batches(t *projectv1.DivisionTotal, year int32) *projectv1.YearBatches {
	at, found := slices.BinarySearchFunc(t.GetYears(), year, func(y *projectv1.YearBatches, year int32) int {
		return cmp.Compare(y.GetYear(), year)
	})
	if !found {
		t.Years = slices.Insert(t.Years, at, &projectv1.YearBatches{Year: year})
	}
	return t.Years[at]
}
