package tally_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project/tally"
)

// Whatever comes, changes and goes, a total that was kept is the total of adding up anew.
func TestKeptTotalIsTheSum(t *testing.T) {
	project := func(t *rapid.T, name string) *projectv1.Project {
		return &projectv1.Project{
			Name:                 name,
			State:                projectv1.Project_State(rapid.IntRange(1, 9).Draw(t, "state")),
			PlannedInvestmentFen: rapid.Int64Range(1, 1e15).Draw(t, "planned"),
			ActualInvestmentFen:  rapid.Int64Range(0, 1e15).Draw(t, "actual"),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		kept := &projectv1.DivisionTotal{}
		all := map[string]*projectv1.Project{}
		for i := range rapid.IntRange(0, 30).Draw(t, "changes") {
			name := fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "which"))
			if before := all[name]; before != nil {
				if err := tally.Leave(kept, before); err != nil {
					t.Fatalf("change %d: %v", i, err)
				}
			}
			all[name] = project(t, name)
			if err := tally.Enter(kept, all[name]); err != nil {
				t.Fatalf("change %d: %v", i, err)
			}
		}
		want := &projectv1.DivisionTotal{}
		for state := range projectv1.Project_State(10) {
			line := &projectv1.StageTotal{State: state}
			for _, p := range all {
				if p.GetState() != state {
					continue
				}
				line.ProjectCount++
				line.PlannedInvestmentFen += p.GetPlannedInvestmentFen()
				line.ActualInvestmentFen += p.GetActualInvestmentFen()
				if state != projectv1.Project_STATE_CANCELLED {
					want.ProjectCount++
					want.PlannedInvestmentFen += p.GetPlannedInvestmentFen()
					want.ActualInvestmentFen += p.GetActualInvestmentFen()
				}
			}
			if line.GetProjectCount() > 0 {
				want.Stages = append(want.Stages, line)
			}
		}
		if !proto.Equal(kept, want) {
			t.Fatalf("kept %v\nwant %v", kept, want)
		}
	})
}

func TestSumOfDivisions(t *testing.T) {
	a, b := &projectv1.DivisionTotal{Division: "140525"}, &projectv1.DivisionTotal{Division: "140581"}
	for _, total := range []*projectv1.DivisionTotal{a, b} {
		if err := tally.Enter(total, &projectv1.Project{State: projectv1.Project_STATE_SIGNED, PlannedInvestmentFen: 7}); err != nil {
			t.Fatal(err)
		}
	}
	tally.Took(b, 2024, "start")
	tally.Took(a, 2023, "sign")
	tally.Took(b, 2023, "sign")
	tally.Took(b, 2023, "approve") // no batch
	want := &projectv1.DivisionTotal{
		ProjectCount: 2, PlannedInvestmentFen: 14,
		Stages: []*projectv1.StageTotal{{State: projectv1.Project_STATE_SIGNED, ProjectCount: 2, PlannedInvestmentFen: 14}},
		Years:  []*projectv1.YearBatches{{Year: 2023, SignedCount: 2}, {Year: 2024, StartedCount: 1}},
	}
	got, err := tally.Sum([]*projectv1.DivisionTotal{b, a})
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("sum is %v, %v\nwant %v", got, err, want)
	}
}

func TestWhatDoesNotFitIsAnError(t *testing.T) {
	total := &projectv1.DivisionTotal{}
	most := &projectv1.Project{State: projectv1.Project_STATE_SIGNED, PlannedInvestmentFen: math.MaxInt64}
	if err := tally.Enter(total, most); err != nil {
		t.Fatal(err)
	}
	var overflow *tally.OverflowError
	one := &projectv1.Project{State: projectv1.Project_STATE_STARTED, PlannedInvestmentFen: 1}
	if err := tally.Enter(total, one); !errors.As(err, &overflow) || overflow.Figure != tally.Planned {
		t.Errorf("one fen too many gave %v", err)
	}
	stranger := &projectv1.Project{Name: "projects/140525-x", State: projectv1.Project_STATE_COMPLETED}
	if err := tally.Leave(&projectv1.DivisionTotal{}, stranger); err == nil {
		t.Error("a project left a total in which it was not counted")
	}
}
