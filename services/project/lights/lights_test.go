package lights_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/civil"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project/lights"
)

const (
	none   = projectv1.Project_LIGHT_UNSPECIFIED
	green  = projectv1.Project_LIGHT_GREEN
	yellow = projectv1.Project_LIGHT_YELLOW
	red    = projectv1.Project_LIGHT_RED
)

var ours = lights.Editions()[0].Thresholds

func TestLight(t *testing.T) {
	today := civil.New(2023, 7, 10)
	due := func(days int) *projectv1.Project {
		return &projectv1.Project{NextMilestone: "m", NextDueDate: civil.AddDays(today, days)}
	}
	invested := func(actual, scheduled int64) *projectv1.Project {
		return &projectv1.Project{ActualInvestmentFen: actual, ScheduledInvestmentFen: scheduled}
	}
	behindAndDue := due(3)
	behindAndDue.ActualInvestmentFen, behindAndDue.ScheduledInvestmentFen = 59, 100
	for name, c := range map[string]struct {
		project *projectv1.Project
		want    projectv1.Project_Light
		causes  []projectv1.LightCause_Kind
	}{
		"nothing dated, nothing scheduled":                  {&projectv1.Project{}, green, nil},
		"a milestone 31 days ahead":                         {due(31), green, nil},
		"a milestone 30 days ahead":                         {due(30), yellow, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_MILESTONE_DUE_SOON}},
		"a milestone due today is not overdue":              {due(0), yellow, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_MILESTONE_DUE_SOON}},
		"a milestone due yesterday is":                      {due(-1), red, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_MILESTONE_OVERDUE}},
		"80 per cent of plan":                               {invested(80, 100), green, nil},
		"a fen under 80 per cent of plan":                   {invested(7_999, 10_000), yellow, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_INVESTMENT_BEHIND}},
		"60 per cent of plan":                               {invested(60, 100), yellow, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_INVESTMENT_BEHIND}},
		"under 60 per cent of plan":                         {invested(599, 1000), red, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_INVESTMENT_BEHIND}},
		"the worse of two causes shows, and both are named": {behindAndDue, red, []projectv1.LightCause_Kind{projectv1.LightCause_KIND_MILESTONE_DUE_SOON, projectv1.LightCause_KIND_INVESTMENT_BEHIND}},
	} {
		t.Run(name, func(t *testing.T) {
			got, causes := lights.Of(c.project, today, ours)
			if got != c.want {
				t.Errorf("light is %v, want %v", got, c.want)
			}
			var kinds []projectv1.LightCause_Kind
			for _, cause := range causes {
				kinds = append(kinds, cause.GetKind())
			}
			if len(kinds) != len(c.causes) {
				t.Fatalf("causes are %v, want %v", kinds, c.causes)
			}
			for i := range kinds {
				if kinds[i] != c.causes[i] {
					t.Errorf("causes are %v, want %v", kinds, c.causes)
				}
			}
		})
	}
}

func TestNoLightWhereNothingIsUnderWay(t *testing.T) {
	for _, state := range []projectv1.Project_State{
		projectv1.Project_STATE_SUSPENDED, projectv1.Project_STATE_AT_CAPACITY, projectv1.Project_STATE_CANCELLED,
	} {
		p := &projectv1.Project{State: state, NextDueDate: civil.New(2020, 1, 1), ScheduledInvestmentFen: 1}
		if got, causes := lights.Of(p, civil.New(2023, 7, 10), ours); got != none || causes != nil {
			t.Errorf("%v: light is %v for %v, want none", state, got, causes)
		}
	}
}

func TestThresholdsOfTheDay(t *testing.T) {
	editions := []lights.Edition{
		{From: civil.New(2023, 1, 1), Thresholds: lights.Thresholds{DueSoonDays: 1}},
		{From: civil.New(2024, 6, 1), Thresholds: lights.Thresholds{DueSoonDays: 2}},
	}
	for _, c := range []struct {
		day  *date.Date
		want int
	}{
		{civil.New(2022, 5, 1), 1}, {civil.New(2023, 1, 1), 1}, {civil.New(2024, 5, 31), 1}, {civil.New(2024, 6, 1), 2}, {civil.New(2030, 1, 1), 2},
	} {
		if got := lights.In(editions, c.day).DueSoonDays; got != c.want {
			t.Errorf("on %s edition %d holds, want %d", civil.Text(c.day), got, c.want)
		}
	}
}

// As days pass and nothing is reported, a light only gets worse.
func TestLightNeverClearsByWaiting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &projectv1.Project{
			State:                  projectv1.Project_State(rapid.IntRange(1, 6).Draw(t, "state")),
			ActualInvestmentFen:    rapid.Int64Range(0, 1e15).Draw(t, "actual"),
			ScheduledInvestmentFen: rapid.Int64Range(0, 1e15).Draw(t, "scheduled"),
		}
		if rapid.Bool().Draw(t, "dated") {
			p.NextDueDate = civil.AddDays(civil.New(2023, 1, 1), rapid.IntRange(0, 400).Draw(t, "due"))
		}
		day := civil.AddDays(civil.New(2023, 1, 1), rapid.IntRange(0, 400).Draw(t, "day"))
		before, _ := lights.Of(p, day, ours)
		after, _ := lights.Of(p, civil.AddDays(day, rapid.IntRange(0, 100).Draw(t, "days")), ours)
		if after < before {
			t.Fatalf("the light went from %v to %v by waiting", before, after)
		}
	})
}

func TestNextIsTheFirstPending(t *testing.T) {
	m := func(name string, state projectv1.Milestone_State, day int) *projectv1.Milestone {
		return &projectv1.Milestone{Name: name, State: state, DueDate: civil.New(2023, 7, day)}
	}
	pending, reported := projectv1.Milestone_STATE_PENDING, projectv1.Milestone_STATE_REPORTED
	all := []*projectv1.Milestone{
		m("d", pending, 9), m("c", pending, 5), m("b", pending, 5), m("a", reported, 1), m("e", projectv1.Milestone_STATE_ACCEPTED, 1),
	}
	if got := lights.Next(all).GetName(); got != "b" {
		t.Errorf("next is %q, want b: the first by day, then by name, of those not reported", got)
	}
	if got := lights.Next(all[3:]); got != nil {
		t.Errorf("next is %v, want none", got)
	}
}

func TestShareIsExactForAnyAmounts(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        int32
	}{
		{0, 1, 0}, {1, 1, 10_000}, {2, 3, 6_666}, {1e15, 1e15, 10_000}, {999_999_999_999_999, 1e15, 9_999},
		{9_223_372_036_854_775_807, 9_223_372_036_854_775_807, 10_000}, {1e15, 1, 2_147_483_647},
		{9_223_372_036_854_775_807, 1, 2_147_483_647},
	} {
		if got := lights.ShareBP(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %d basis points, want %d", c.part, c.whole, got, c.want)
		}
	}
}
