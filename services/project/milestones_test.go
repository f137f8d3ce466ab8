package project_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/civil"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

func (w *world) milestone(project, id string, due *date.Date) *projectv1.Milestone {
	w.t.Helper()
	return must[*projectv1.Milestone](w.t)(w.as(zezhou).CreateMilestone(w.t.Context(), &projectv1.CreateMilestoneRequest{
		Parent: project, MilestoneId: id, Milestone: &projectv1.Milestone{Title: id, DueDate: due},
	}))
}

// What the fund does before it pays a tranche: it reads the milestone from the journal.
func TestAcceptedMilestoneStandsInTheJournal(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	m := w.milestone(p.GetName(), "installed", civil.New(2023, 9, 30))
	must[*projectv1.Milestone](t)(w.as(zezhou).ReportMilestone(t.Context(), &projectv1.ReportMilestoneRequest{Name: m.GetName()}))
	accepted := must[*projectv1.Milestone](t)(w.as(inspector).AcceptMilestone(t.Context(), &projectv1.AcceptMilestoneRequest{
		Name: m.GetName(), Documents: paper(), VerifiedInvestmentFen: 80_000_000_00,
	}))
	if accepted.GetState() != projectv1.Milestone_STATE_ACCEPTED || accepted.GetVerifiedInvestmentFen() != 80_000_000_00 ||
		accepted.GetInspectionLevel() != projectv1.Milestone_INSPECTION_LEVEL_COUNTY {
		t.Errorf("accepted as %v", accepted)
	}
	change := must[*journalv1.Change](t)(journalv1.NewJournalClient(w.srv.As(city)).GetLatestChange(t.Context(), &journalv1.GetLatestChangeRequest{
		Name: "journals/project", Resource: "projects/140525-line-2/milestones/installed",
	}))
	recorded := &projectv1.Milestone{}
	if err := change.GetAfter().UnmarshalTo(recorded); err != nil {
		t.Fatal(err)
	}
	same(t, recorded, accepted)
}

func TestMilestonesRefused(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	m := w.milestone(p.GetName(), "installed", civil.New(2023, 9, 30))
	accept := &projectv1.AcceptMilestoneRequest{Name: m.GetName(), Documents: paper(), VerifiedInvestmentFen: 1}
	t.Run("what is not reported is not accepted", func(t *testing.T) {
		_, err := w.as(inspector).AcceptMilestone(t.Context(), accept)
		if about := refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", ""); about["permitted"] != "report" {
			t.Errorf("refused about %v", about)
		}
	})
	must[*projectv1.Milestone](t)(w.as(zezhou).ReportMilestone(t.Context(), &projectv1.ReportMilestoneRequest{Name: m.GetName()}))
	t.Run("whoever reported it cannot accept it", func(t *testing.T) {
		_, err := w.as(zezhou).AcceptMilestone(t.Context(), accept)
		if about := refused(t, err, codes.PermissionDenied, "SAME_PRINCIPAL", ""); about["principal"] != zezhou {
			t.Errorf("refused about %v", about)
		}
	})
	t.Run("an acceptance without papers", func(t *testing.T) {
		_, err := w.as(inspector).AcceptMilestone(t.Context(), &projectv1.AcceptMilestoneRequest{Name: m.GetName(), VerifiedInvestmentFen: 1})
		refused(t, err, codes.InvalidArgument, "INVALID_FIELD", "documents")
	})
	t.Run("a paper of the 31st of June", func(t *testing.T) {
		bad := paper()
		bad[0].IssueDate = &date.Date{Year: 2023, Month: 6, Day: 31}
		_, err := w.as(inspector).AcceptMilestone(t.Context(), &projectv1.AcceptMilestoneRequest{Name: m.GetName(), Documents: bad})
		refused(t, err, codes.InvalidArgument, "INVALID_FIELD", "documents[0].issue_date")
	})
	t.Run("another county", func(t *testing.T) {
		_, err := w.as(gaoping).AcceptMilestone(t.Context(), accept)
		refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
	})
	t.Run("what is reported is not edited", func(t *testing.T) {
		_, err := w.as(zezhou).UpdateMilestone(t.Context(), &projectv1.UpdateMilestoneRequest{Milestone: &projectv1.Milestone{Name: m.GetName(), Title: "x", DueDate: civil.New(2024, 1, 1)}})
		if about := refused(t, err, codes.FailedPrecondition, "NOT_EDITABLE", ""); about["state"] != "REPORTED" {
			t.Errorf("refused about %v", about)
		}
	})
	t.Run("no day of the calendar", func(t *testing.T) {
		_, err := w.as(zezhou).CreateMilestone(t.Context(), &projectv1.CreateMilestoneRequest{
			Parent: p.GetName(), MilestoneId: "x", Milestone: &projectv1.Milestone{Title: "x", DueDate: &date.Date{Year: 2023, Month: 2, Day: 29}},
		})
		refused(t, err, codes.InvalidArgument, "INVALID_FIELD", "milestone.due_date")
	})
	t.Run("of no project", func(t *testing.T) {
		_, err := w.as(zezhou).CreateMilestone(t.Context(), &projectv1.CreateMilestoneRequest{
			Parent: "projects/140525-none", MilestoneId: "x", Milestone: &projectv1.Milestone{Title: "x", DueDate: civil.New(2024, 1, 1)},
		})
		refused(t, err, codes.NotFound, "RESOURCE_NOT_FOUND", "")
	})
	t.Run("nothing goes on in a cancelled project", func(t *testing.T) {
		w.drive(p.GetName(), "cancel")
		_, err := w.as(inspector).AcceptMilestone(t.Context(), accept)
		refused(t, err, codes.FailedPrecondition, "PROJECT_CANCELLED", "")
	})
}

// The light follows the days and the milestones without anybody touching the project.
func TestLightIsOfTheDayItIsRead(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	m := w.milestone(p.GetName(), "installed", civil.New(2023, 9, 30))
	w.milestone(p.GetName(), "running", civil.New(2024, 3, 31))
	expect := func(light projectv1.Project_Light, next string) {
		t.Helper()
		got := w.get(p.GetName())
		if got.GetLight() != light || got.GetNextMilestone() != next {
			t.Errorf("on %v the light is %v for %v, want %v for %s", w.clock.Now(), got.GetLight(), got.GetNextMilestone(), light, next)
		}
		list := must[*projectv1.ListProjectsResponse](t)(w.as(reader).ListProjects(t.Context(), &projectv1.ListProjectsRequest{Light: light}))
		if len(list.GetProjects()) != 1 || list.GetProjects()[0].GetLight() != light {
			t.Errorf("the list of what is %v is %v", light, list.GetProjects())
		}
	}
	etag := w.get(p.GetName()).GetEtag()
	expect(projectv1.Project_LIGHT_GREEN, m.GetName())
	w.clock.Set(noon(2023, 8, 31))
	expect(projectv1.Project_LIGHT_YELLOW, m.GetName())
	w.clock.Set(civil.Start(civil.New(2023, 10, 1)).Add(-1))
	expect(projectv1.Project_LIGHT_YELLOW, m.GetName())
	w.clock.Set(civil.Start(civil.New(2023, 10, 1)))
	expect(projectv1.Project_LIGHT_RED, m.GetName())
	if got := w.get(p.GetName()).GetEtag(); got != etag {
		t.Error("the etag changed with the day")
	}

	must[*projectv1.Milestone](t)(w.as(zezhou).ReportMilestone(t.Context(), &projectv1.ReportMilestoneRequest{Name: m.GetName()}))
	expect(projectv1.Project_LIGHT_GREEN, p.GetName()+"/milestones/running")
	must[*projectv1.Milestone](t)(w.as(city).RejectMilestone(t.Context(), &projectv1.RejectMilestoneRequest{Name: m.GetName(), Reason: "no gas yet"}))
	expect(projectv1.Project_LIGHT_RED, m.GetName())
	moved := must[*projectv1.Milestone](t)(w.as(zezhou).UpdateMilestone(t.Context(), &projectv1.UpdateMilestoneRequest{
		Milestone: &projectv1.Milestone{Name: m.GetName(), Title: "Line installed", DueDate: civil.New(2023, 12, 31)},
	}))
	expect(projectv1.Project_LIGHT_GREEN, m.GetName())
	same(t, moved.GetOriginalDueDate(), civil.New(2023, 9, 30))

	must[*projectv1.Milestone](t)(w.as(zezhou).ReportMilestone(t.Context(), &projectv1.ReportMilestoneRequest{Name: m.GetName()}))
	byCity := must[*projectv1.Milestone](t)(w.as(city).AcceptMilestone(t.Context(), &projectv1.AcceptMilestoneRequest{Name: m.GetName(), Documents: paper()}))
	if byCity.GetInspectionLevel() != projectv1.Milestone_INSPECTION_LEVEL_CITY {
		t.Errorf("the city's inspection is of level %v", byCity.GetInspectionLevel())
	}
	expect(projectv1.Project_LIGHT_GREEN, p.GetName()+"/milestones/running")
	w.clock.Set(noon(2024, 4, 1))
	expect(projectv1.Project_LIGHT_RED, p.GetName()+"/milestones/running")
	w.drive(p.GetName(), "suspend")
	if got := w.get(p.GetName()); got.GetLight() != projectv1.Project_LIGHT_UNSPECIFIED || got.GetLightCauses() != nil {
		t.Errorf("a suspended project shows %v", got.GetLight())
	}
}

func TestListMilestones(t *testing.T) {
	w := newWorld(t)
	a, b := w.enter("140525-a"), w.enter("140525-b")
	w.milestone(a.GetName(), "one", civil.New(2023, 9, 30))
	w.milestone(a.GetName(), "two", civil.New(2023, 9, 30))
	w.milestone(b.GetName(), "one", civil.New(2023, 9, 30))
	for name, c := range map[string]struct {
		who  string
		req  *projectv1.ListMilestonesRequest
		want int
	}{
		"of a project":             {zezhou, &projectv1.ListMilestonesRequest{Parent: a.GetName()}, 2},
		"of every project":         {city, &projectv1.ListMilestonesRequest{Parent: "projects/-"}, 3},
		"of every project, a page": {city, &projectv1.ListMilestonesRequest{Parent: "projects/-", PageSize: 2}, 2},
		"of another county's":      {gaoping, &projectv1.ListMilestonesRequest{Parent: "projects/-"}, 0},
		"accepted":                 {city, &projectv1.ListMilestonesRequest{Parent: "projects/-", State: projectv1.Milestone_STATE_ACCEPTED}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := must[*projectv1.ListMilestonesResponse](t)(w.as(c.who).ListMilestones(t.Context(), c.req))
			if len(got.GetMilestones()) != c.want {
				t.Errorf("lists %v, want %d", got.GetMilestones(), c.want)
			}
		})
	}
	_, err := w.as(gaoping).ListMilestones(t.Context(), &projectv1.ListMilestonesRequest{Parent: a.GetName()})
	refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
}
