package project_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project"
)

func TestProjectFromPlanToCapacity(t *testing.T) {
	w := newWorld(t)
	p := must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(),
		&projectv1.CreateProjectRequest{ProjectId: "140525-line-2", Project: line2(t)}))
	if p.GetName() != "projects/140525-line-2" || p.GetState() != projectv1.Project_STATE_PLANNED || p.GetLight() != projectv1.Project_LIGHT_GREEN {
		t.Fatalf("entered as %v", p)
	}
	var change *journalv1.Change
	err := w.town.View(t.Context(), func(r store.Reader) (err error) {
		change, err = journal.Latest(r, casting)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := p.GetTownEvidence(); e.GetService() != "town" || e.GetResource() != casting || e.GetRevision() != change.GetRevision() || string(e.GetHash()) != string(change.GetHash()) {
		t.Errorf("evidence is %v, want that of %v", e, change)
	}

	p = w.drive(p.GetName(), "sign", "approve", "suspend", "resume", "start", "complete", "putIntoProduction", "reachCapacity")
	if p.GetState() != projectv1.Project_STATE_AT_CAPACITY || p.GetActualOutputFen() != 280_000_000_00 || p.GetCapacityBp() != 9333 {
		t.Errorf("ended as %v with %d bp", p.GetState(), p.GetCapacityBp())
	}
	var verbs []string
	for _, d := range p.GetDecisions() {
		verbs = append(verbs, d.GetVerb())
		if d.GetPrincipal() != zezhou || d.GetDecideTime() == nil {
			t.Errorf("decision %v", d)
		}
	}
	if got := strings.Join(verbs, " "); got != "sign approve suspend resume start complete putIntoProduction reachCapacity" {
		t.Errorf("decisions are %s", got)
	}
	same(t, w.get(p.GetName()), p)
}

// A project resumes in the state in which it was suspended, whichever that was.
func TestResumeReturnsToTheStateBefore(t *testing.T) {
	w := newWorld(t)
	name := w.enter("140525-line-2").GetName()
	for _, verb := range []string{"", "sign", "approve", "start", "complete", "putIntoProduction"} {
		if verb != "" {
			w.drive(name, verb)
		}
		before := w.get(name).GetState()
		held := w.drive(name, "suspend")
		if held.GetState() != projectv1.Project_STATE_SUSPENDED || held.GetSuspendedState() != before || held.GetLight() != projectv1.Project_LIGHT_UNSPECIFIED {
			t.Errorf("%v: suspended as %v", before, held)
		}
		if after := w.drive(name, "resume"); after.GetState() != before || after.GetSuspendedState() != 0 {
			t.Errorf("suspended in %v, resumed in %v", before, after.GetState())
		}
	}
}

// What the table of the lifecycle does not permit is refused in every state, and what it permits is done.
func TestProjectStepsAreThoseOfTheTable(t *testing.T) {
	w := newWorld(t)
	paths := map[projectv1.Project_State][]string{
		projectv1.Project_STATE_PLANNED:       nil,
		projectv1.Project_STATE_SIGNED:        {"sign"},
		projectv1.Project_STATE_APPROVED:      {"sign", "approve"},
		projectv1.Project_STATE_STARTED:       {"sign", "approve", "start"},
		projectv1.Project_STATE_COMPLETED:     {"sign", "approve", "start", "complete"},
		projectv1.Project_STATE_IN_PRODUCTION: {"sign", "approve", "start", "complete", "putIntoProduction"},
		projectv1.Project_STATE_AT_CAPACITY:   {"sign", "approve", "start", "complete", "putIntoProduction", "reachCapacity"},
		projectv1.Project_STATE_SUSPENDED:     {"suspend"},
		projectv1.Project_STATE_CANCELLED:     {"cancel"},
	}
	for state, path := range paths {
		name := w.enter(fmt.Sprintf("140525-state-%d", state)).GetName()
		w.drive(name, path...)
		for _, verb := range project.ProjectLifecycle.Verbs() {
			if _, err := project.ProjectLifecycle.Next(state, verb); err == nil {
				continue // TestProjectFromPlanToCapacity and TestResumeReturnsToTheStateBefore go there
			}
			_, err := w.step(t.Context(), name, verb)
			about := refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")
			if about["state"] != lifecycle.Name(state) || about["verb"] != verb {
				t.Errorf("%v, %s: refused about %v", state, verb, about)
			}
		}
		if got := w.get(name).GetState(); got != state {
			t.Errorf("refusals moved it from %v to %v", state, got)
		}
	}
}

func TestProjectsRefused(t *testing.T) {
	w := newWorld(t)
	must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140525-line-2", Project: line2(t)}))
	for name, c := range map[string]struct {
		who    string
		id     string
		change func(*projectv1.Project)
		code   codes.Code
		reason string
		field  string
	}{
		"county cannot enter a project outside its division": {zezhou, "140581-mill", func(p *projectv1.Project) { p.Town = silk }, codes.PermissionDenied, "OUTSIDE_DIVISION", ""},
		"a reader cannot enter one":                          {reader, "140525-line-3", nil, codes.PermissionDenied, "PERMISSION_MISSING", ""},
		"the town is of another division than the id":        {city, "140581-line-3", nil, codes.InvalidArgument, "DIVISION_MISMATCH", "project.town"},
		"there is no such town":                              {zezhou, "140525-line-3", func(p *projectv1.Project) { p.Town = "towns/140525-moon" }, codes.FailedPrecondition, "REFERENCE_NOT_FOUND", "project.town"},
		"the credit code's last character is wrong":          {zezhou, "140525-line-3", func(p *projectv1.Project) { p.EnterpriseCode = wrongCheck(p.GetEnterpriseCode()) }, codes.InvalidArgument, "CREDIT_CODE_INVALID", "project.enterprise_code"},
		"the project code has another form":                  {zezhou, "140525-line-3", func(p *projectv1.Project) { p.ProjectCode = "2313-140525-89-01-123456" }, codes.InvalidArgument, "INVALID_FIELD", "project.project_code"},
		"the project code is another project's":              {zezhou, "140525-line-3", nil, codes.AlreadyExists, "PROJECT_CODE_TAKEN", "project.project_code"},
		"the identifier is another project's":                {zezhou, "140525-line-2", func(p *projectv1.Project) { p.ProjectCode = "" }, codes.AlreadyExists, "RESOURCE_EXISTS", ""},
		"nothing is to be invested":                          {zezhou, "140525-line-3", func(p *projectv1.Project) { p.PlannedInvestmentFen = 0 }, codes.InvalidArgument, "INVALID_FIELD", "project.planned_investment_fen"},
		"no action is named":                                 {zezhou, "140525-line-3", func(p *projectv1.Project) { p.Action = 0 }, codes.InvalidArgument, "INVALID_FIELD", "project.action"},
	} {
		t.Run(name, func(t *testing.T) {
			p := line2(t)
			if c.change != nil {
				c.change(p)
			}
			_, err := w.as(c.who).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: c.id, Project: p})
			refused(t, err, c.code, c.reason, c.field)
		})
	}
	t.Run("a step in another division", func(t *testing.T) {
		_, err := w.as(gaoping).SignProject(t.Context(), &projectv1.SignProjectRequest{Name: "projects/140525-line-2"})
		refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
	})
	t.Run("a step of no project", func(t *testing.T) {
		_, err := w.as(zezhou).SignProject(t.Context(), &projectv1.SignProjectRequest{Name: "projects/140525-none"})
		refused(t, err, codes.NotFound, "RESOURCE_NOT_FOUND", "")
	})
	t.Run("a cancellation without a reason", func(t *testing.T) {
		_, err := w.as(zezhou).CancelProject(t.Context(), &projectv1.CancelProjectRequest{Name: "projects/140525-line-2"})
		refused(t, err, codes.InvalidArgument, "INVALID_FIELD", "reason")
	})
	t.Run("capacity without an expected output", func(t *testing.T) {
		p := line2(t)
		p.ProjectCode, p.ExpectedOutputFen = "", 0
		p = must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140525-no-output", Project: p}))
		w.drive(p.GetName(), "sign", "approve", "start", "complete", "putIntoProduction")
		_, err := w.step(t.Context(), p.GetName(), "reachCapacity")
		refused(t, err, codes.FailedPrecondition, "EXPECTED_OUTPUT_REQUIRED", "")
	})
}

// wrongCheck changes the last character of a credit code.
func wrongCheck(code string) string {
	if strings.HasSuffix(code, "0") {
		return code[:17] + "1"
	}
	return code[:17] + "0"
}

func TestNoProjectWhileTheRegistryIsDown(t *testing.T) {
	w := newWorld(t)
	done := &projectv1.CreateProjectRequest{ProjectId: "140525-line-1", Project: line2(t), RequestId: "letter-1"}
	first := must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), done))
	w.line.cut.Store(true)
	p := line2(t)
	p.ProjectCode = ""
	_, err := w.as(zezhou).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140525-line-2", Project: p, RequestId: "letter-2"})
	if about := refused(t, err, codes.Unavailable, "PEER_UNAVAILABLE", ""); about["service"] != "town" {
		t.Errorf("refused about %v", about)
	}
	list := must[*projectv1.ListProjectsResponse](t)(w.as(zezhou).ListProjects(t.Context(), &projectv1.ListProjectsRequest{}))
	if len(list.GetProjects()) != 1 {
		t.Errorf("there are %v", list.GetProjects())
	}
	t.Run("what was done before is answered all the same", func(t *testing.T) {
		same(t, must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), done)), first)
	})
	t.Run("and what was refused is done when it is back", func(t *testing.T) {
		w.line.cut.Store(false)
		must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140525-line-2", Project: p, RequestId: "letter-2"}))
	})
}

func TestRequestIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t)
	req := &projectv1.CreateProjectRequest{ProjectId: "140525-line-2", Project: line2(t), RequestId: "letter-17"}
	first := must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), req))
	same(t, must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), req)), first)

	sign := &projectv1.SignProjectRequest{Name: first.GetName(), RequestId: "letter-18"}
	signed := must[*projectv1.Project](t)(w.as(zezhou).SignProject(t.Context(), sign))
	same(t, must[*projectv1.Project](t)(w.as(zezhou).SignProject(t.Context(), sign)), signed)

	other := proto.Clone(sign).(*projectv1.SignProjectRequest)
	other.Reason = "another body"
	_, err := w.as(zezhou).SignProject(t.Context(), other)
	refused(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED", "request_id")

	sum := must[*projectv1.SummarizeProjectsResponse](t)(w.as(city).SummarizeProjects(t.Context(), &projectv1.SummarizeProjectsRequest{}))
	if sum.GetSum().GetProjectCount() != 1 || sum.GetSum().GetYears()[0].GetSignedCount() != 1 {
		t.Errorf("a repeated request was counted: %v", sum.GetSum())
	}
}

func TestUpdateProject(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	other := line2(t)
	must[*projectv1.Project](t)(w.as(zezhou).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140525-line-1", Project: other}))
	update := func(p *projectv1.Project, paths ...string) (*projectv1.Project, error) {
		return w.as(zezhou).UpdateProject(t.Context(), &projectv1.UpdateProjectRequest{Project: p, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	}
	changed := proto.Clone(p).(*projectv1.Project)
	changed.PlannedInvestmentFen, changed.TitleEn, changed.ActualInvestmentFen = 5_00, "not in the mask", 1
	got := must[*projectv1.Project](t)(update(changed, "planned_investment_fen"))
	if got.GetPlannedInvestmentFen() != 5_00 || got.GetTitleEn() != p.GetTitleEn() || got.GetActualInvestmentFen() != 0 {
		t.Errorf("updated to %v", got)
	}
	t.Run("a stale etag", func(t *testing.T) {
		_, err := update(changed, "title_en")
		if about := refused(t, err, codes.Aborted, "STALE_ETAG", ""); about["current_etag"] != got.GetEtag() {
			t.Errorf("refused about %v", about)
		}
		_, err = w.as(zezhou).SignProject(t.Context(), &projectv1.SignProjectRequest{Name: p.GetName(), Etag: p.GetEtag()})
		refused(t, err, codes.Aborted, "STALE_ETAG", "")
	})
	t.Run("what was read can be sent back with one field changed", func(t *testing.T) {
		read := w.get(p.GetName())
		read.TitleEn = "Line 2"
		if got := must[*projectv1.Project](t)(update(read)); got.GetTitleEn() != "Line 2" {
			t.Errorf("updated to %v", got)
		}
	})
	t.Run("the town never changes", func(t *testing.T) {
		_, err := update(&projectv1.Project{Name: p.GetName(), Town: "towns/140525-other", TitleZh: "二号线", TitleEn: "x", Action: 1, EnterpriseCode: creditCode(t), PlannedInvestmentFen: 1}, "town")
		refused(t, err, codes.InvalidArgument, "INVALID_UPDATE_MASK", "")
	})
	t.Run("its own code", func(t *testing.T) {
		got := must[*projectv1.Project](t)(update(&projectv1.Project{Name: "projects/140525-line-1", TitleEn: "Line 1"}))
		if got.GetProjectCode() != other.GetProjectCode() || got.GetTitleEn() != "Line 1" {
			t.Errorf("updated to %v", got)
		}
	})
	t.Run("another project's code", func(t *testing.T) {
		read := w.get(p.GetName())
		read.ProjectCode = other.GetProjectCode()
		_, err := update(read, "project_code")
		refused(t, err, codes.AlreadyExists, "PROJECT_CODE_TAKEN", "project.project_code")
	})
	t.Run("a cancelled project", func(t *testing.T) {
		_ = w.drive(p.GetName(), "cancel")
		read := w.get(p.GetName())
		_, err := update(read, "title_en")
		refused(t, err, codes.FailedPrecondition, "PROJECT_CANCELLED", "")
	})
}

func TestListProjects(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"140525-a", "140525-b", "140525-c"} {
		w.enter(id)
	}
	mill := line2(t)
	mill.Town = silk
	must[*projectv1.Project](t)(w.as(gaoping).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140581-mill", Project: mill}))
	w.drive("projects/140525-b", "sign")
	list := func(who string, req *projectv1.ListProjectsRequest) string {
		t.Helper()
		var names []string
		for {
			page := must[*projectv1.ListProjectsResponse](t)(w.as(who).ListProjects(t.Context(), req))
			for _, p := range page.GetProjects() {
				names = append(names, strings.TrimPrefix(p.GetName(), "projects/"))
			}
			if page.GetNextPageToken() == "" {
				return strings.Join(names, " ")
			}
			if req.GetPageSize() > 0 && len(page.GetProjects()) != int(req.GetPageSize()) {
				t.Errorf("a page of %d, want %d", len(page.GetProjects()), req.GetPageSize())
			}
			req.PageToken = page.GetNextPageToken()
		}
	}
	for name, c := range map[string]struct {
		who  string
		req  *projectv1.ListProjectsRequest
		want string
	}{
		"the city sees all":                {city, &projectv1.ListProjectsRequest{}, "140525-a 140525-b 140525-c 140581-mill"},
		"a county sees its own":            {gaoping, &projectv1.ListProjectsRequest{}, "140581-mill"},
		"page by page":                     {city, &projectv1.ListProjectsRequest{PageSize: 1}, "140525-a 140525-b 140525-c 140581-mill"},
		"the city asks for one county":     {city, &projectv1.ListProjectsRequest{Division: "140525", PageSize: 2}, "140525-a 140525-b 140525-c"},
		"the city asks for the whole city": {city, &projectv1.ListProjectsRequest{Division: "140500"}, "140525-a 140525-b 140525-c 140581-mill"},
		"of one town":                      {city, &projectv1.ListProjectsRequest{Town: silk}, "140581-mill"},
		"in one state":                     {city, &projectv1.ListProjectsRequest{State: projectv1.Project_STATE_SIGNED}, "140525-b"},
		"with one light":                   {city, &projectv1.ListProjectsRequest{Light: projectv1.Project_LIGHT_RED}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := list(c.who, c.req); got != c.want {
				t.Errorf("lists %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a county asks for another", func(t *testing.T) {
		_, err := w.as(gaoping).ListProjects(t.Context(), &projectv1.ListProjectsRequest{Division: "140525"})
		refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
	})
	t.Run("a token of another request", func(t *testing.T) {
		page := must[*projectv1.ListProjectsResponse](t)(w.as(city).ListProjects(t.Context(), &projectv1.ListProjectsRequest{PageSize: 1}))
		_, err := w.as(city).ListProjects(t.Context(), &projectv1.ListProjectsRequest{Town: silk, PageToken: page.GetNextPageToken()})
		refused(t, err, codes.InvalidArgument, "INVALID_PAGE_TOKEN", "page_token")
	})
}

func TestSummarizeProjects(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"140525-a", "140525-b", "140525-c"} {
		w.enter(id)
	}
	mill := line2(t)
	mill.Town, mill.PlannedInvestmentFen = silk, 7_00
	must[*projectv1.Project](t)(w.as(gaoping).CreateProject(t.Context(), &projectv1.CreateProjectRequest{ProjectId: "140581-mill", Project: mill}))
	w.drive("projects/140525-a", "sign", "approve", "start")
	w.clock.Set(noon(2024, 2, 1))
	w.drive("projects/140525-a", "suspend", "resume", "complete", "putIntoProduction", "reachCapacity")
	w.drive("projects/140525-b", "sign")
	w.drive("projects/140525-c", "cancel")

	const each = 120_000_000_00
	zezhouTotal := &projectv1.DivisionTotal{
		Name: "divisionTotals/140525", Division: "140525", ProjectCount: 2, PlannedInvestmentFen: 2 * each,
		Stages: []*projectv1.StageTotal{
			{State: projectv1.Project_STATE_SIGNED, ProjectCount: 1, PlannedInvestmentFen: each},
			{State: projectv1.Project_STATE_AT_CAPACITY, ProjectCount: 1, PlannedInvestmentFen: each},
			{State: projectv1.Project_STATE_CANCELLED, ProjectCount: 1, PlannedInvestmentFen: each},
		},
		Years: []*projectv1.YearBatches{
			{Year: 2023, SignedCount: 1, StartedCount: 1},
			{Year: 2024, SignedCount: 1, ProducedCount: 1, CapacityCount: 1},
		},
	}
	all := must[*projectv1.SummarizeProjectsResponse](t)(w.as(city).SummarizeProjects(t.Context(), &projectv1.SummarizeProjectsRequest{}))
	if len(all.GetTotals()) != 2 {
		t.Fatalf("totals are %v", all.GetTotals())
	}
	same(t, all.GetTotals()[0], zezhouTotal)
	if sum := all.GetSum(); sum.GetProjectCount() != 3 || sum.GetPlannedInvestmentFen() != 2*each+7_00 {
		t.Errorf("sum is %v", sum)
	}
	own := must[*projectv1.SummarizeProjectsResponse](t)(w.as(zezhou).SummarizeProjects(t.Context(), &projectv1.SummarizeProjectsRequest{}))
	if len(own.GetTotals()) != 1 {
		t.Fatalf("a county's totals are %v", own.GetTotals())
	}
	same(t, own.GetTotals()[0], zezhouTotal)
	_, err := w.as(zezhou).SummarizeProjects(t.Context(), &projectv1.SummarizeProjectsRequest{Division: "140581"})
	refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
}
