package project_test

import (
	"context"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/uscc"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project"
)

// The callers of the tests: two from Zezhou county, one from Gaoping, one of the city, and one who may only read.
const (
	zezhou    = "zezhou/development"
	inspector = "zezhou/inspection"
	gaoping   = "gaoping/development"
	city      = "city/office"
	reader    = "city/reader"
)

const (
	casting  = "towns/140525-casting"
	ceramics = "towns/140525-ceramics"
	silk     = "towns/140581-silk"
)

// world is the service under test, with a town registry beside it that has three towns.
type world struct {
	t     *testing.T
	clock *clock.Manual
	srv   *rpctest.Server
	town  *journal.DB
	line  *line
}

// noon returns noon of a day in the city.
func noon(year, month, day int) time.Time {
	return civil.Start(civil.New(year, month, day)).Add(12 * time.Hour)
}

func newWorld(t *testing.T) *world {
	c := clock.NewManual(noon(2023, 7, 10))
	town := rpctest.OpenDB(t, "town", c)
	towns := store.NewTable[*townv1.Town]()
	err := town.Update(t.Context(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
		for _, name := range []string{casting, ceramics, silk} {
			if err := towns.Create(tx, &townv1.Town{Name: name, Division: name[6:12]}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := rpctest.Serve(t, town, func(grpc.ServiceRegistrar) {},
		authn.Principal{Name: "service/project", Permissions: []string{"journal.changes.get"}, Division: "140500"})
	line := &line{JournalClient: journalv1.NewJournalClient(registry.As("service/project"))}
	db := rpctest.OpenDB(t, "project", c)
	s := project.New(db, line)
	rpctest.Replays(t, db, s.Schema())
	srv := rpctest.Serve(t, db, s.Register,
		authn.Principal{Name: zezhou, Permissions: []string{"project.*"}, Division: "140525"},
		authn.Principal{Name: inspector, Permissions: []string{"project.*"}, Division: "140525"},
		authn.Principal{Name: gaoping, Permissions: []string{"project.*"}, Division: "140581"},
		authn.Principal{Name: city, Permissions: []string{"project.*", "journal.*"}, Division: "140500"},
		authn.Principal{Name: reader, Permissions: []string{"project.*.get", "project.*.list"}, Division: "140500"},
	)
	return &world{t: t, clock: c, srv: srv, town: town, line: line}
}

// line leads to the town registry until it is cut.
type line struct {
	journalv1.JournalClient
	cut atomic.Bool
}

func (l *line) GetLatestChange(ctx context.Context, req *journalv1.GetLatestChangeRequest, opts ...grpc.CallOption) (*journalv1.Change, error) {
	if l.cut.Load() {
		return nil, status.Error(codes.Unavailable, "nobody listens")
	}
	return l.JournalClient.GetLatestChange(ctx, req, opts...)
}

func (w *world) as(name string) projectv1.ProjectTrackingClient {
	return projectv1.NewProjectTrackingClient(w.srv.As(name))
}

// must returns what a call answers, which has to succeed.
func must[T any](t *testing.T) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return answer
	}
}

// refused checks that a call was refused with a code and a reason, and returns the metadata of the reason. The field, if not
// empty, has to be named.
func refused(t *testing.T, err error, code codes.Code, reason string, field string) map[string]string {
	t.Helper()
	if status.Code(err) != code || fault.ReasonOf(err) != reason {
		t.Fatalf("got %v (%s), want %v %s", err, fault.ReasonOf(err), code, reason)
	}
	metadata := map[string]string{}
	named := field == ""
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			maps.Copy(metadata, d.GetMetadata())
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				named = named || v.GetField() == field
			}
		}
	}
	if !named {
		t.Errorf("%v does not name the field %s", err, field)
	}
	return metadata
}

func creditCode(t *testing.T) string {
	return must[string](t)(uscc.Complete("91140525MA0ABCDE"))
}

func line2(t *testing.T) *projectv1.Project {
	return &projectv1.Project{
		Town:                 casting,
		TitleZh:              "精密铸造二号线",
		TitleEn:              "Precision casting line 2",
		Action:               typev1.Action_ACTION_KEY_PROJECTS,
		ProjectCode:          "2307-140525-89-01-123456",
		EnterpriseCode:       creditCode(t),
		PlannedInvestmentFen: 120_000_000_00,
		ExpectedOutputFen:    300_000_000_00,
	}
}

// enter enters a project as Zezhou, without a project code, so that several can be entered.
func (w *world) enter(id string) *projectv1.Project {
	w.t.Helper()
	p := line2(w.t)
	p.ProjectCode = ""
	return must[*projectv1.Project](w.t)(w.as(zezhou).CreateProject(w.t.Context(), &projectv1.CreateProjectRequest{ProjectId: id, Project: p}))
}

// drive takes a project along the verbs.
func (w *world) drive(name string, verbs ...string) *projectv1.Project {
	w.t.Helper()
	var p *projectv1.Project
	for _, verb := range verbs {
		p = must[*projectv1.Project](w.t)(w.step(w.t.Context(), name, verb))
	}
	return p
}

func (w *world) step(ctx context.Context, name, verb string) (*projectv1.Project, error) {
	c := w.as(zezhou)
	switch verb {
	case "sign":
		return c.SignProject(ctx, &projectv1.SignProjectRequest{Name: name})
	case "approve":
		return c.ApproveProject(ctx, &projectv1.ApproveProjectRequest{Name: name})
	case "start":
		return c.StartProject(ctx, &projectv1.StartProjectRequest{Name: name})
	case "complete":
		return c.CompleteProject(ctx, &projectv1.CompleteProjectRequest{Name: name})
	case "putIntoProduction":
		return c.PutProjectIntoProduction(ctx, &projectv1.PutProjectIntoProductionRequest{Name: name})
	case "reachCapacity":
		return c.ReachProjectCapacity(ctx, &projectv1.ReachProjectCapacityRequest{Name: name, ActualOutputFen: 280_000_000_00})
	case "suspend":
		return c.SuspendProject(ctx, &projectv1.SuspendProjectRequest{Name: name, Reason: "no gas"})
	case "resume":
		return c.ResumeProject(ctx, &projectv1.ResumeProjectRequest{Name: name})
	case "cancel":
		return c.CancelProject(ctx, &projectv1.CancelProjectRequest{Name: name, Reason: "the firm has left"})
	}
	w.t.Fatalf("no verb %q", verb)
	return nil, nil
}

func (w *world) get(name string) *projectv1.Project {
	w.t.Helper()
	return must[*projectv1.Project](w.t)(w.as(reader).GetProject(w.t.Context(), &projectv1.GetProjectRequest{Name: name}))
}

func same(t *testing.T, got, want proto.Message) {
	t.Helper()
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// What is created is answered as it is stored, can be read, and is created once for a request id.
func TestEveryResourceIsReadBack(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	pool := w.pool(zezhou, "140525-land-2023", 10)
	ctx, c, r := t.Context(), w.as(zezhou), w.as(reader)
	due := civil.New(2023, 7, 31)
	for name, try := range map[string]struct{ create, get func() (record, error) }{
		"milestone": {
			func() (record, error) {
				return c.CreateMilestone(ctx, &projectv1.CreateMilestoneRequest{RequestId: "1", Parent: p.GetName(), MilestoneId: "m", Milestone: &projectv1.Milestone{Title: "m", DueDate: due}})
			},
			func() (record, error) {
				return r.GetMilestone(ctx, &projectv1.GetMilestoneRequest{Name: p.GetName() + "/milestones/m"})
			},
		},
		"progress report": {
			func() (record, error) {
				return c.CreateProgressReport(ctx, &projectv1.CreateProgressReportRequest{RequestId: "2", Parent: p.GetName(), ProgressReportId: "2023-07", ProgressReport: &projectv1.ProgressReport{}})
			},
			func() (record, error) {
				return r.GetProgressReport(ctx, &projectv1.GetProgressReportRequest{Name: p.GetName() + "/progressReports/2023-07"})
			},
		},
		"lead": {
			func() (record, error) {
				return c.CreateLead(ctx, &projectv1.CreateLeadRequest{RequestId: "3", LeadId: "140525-l", Lead: &projectv1.Lead{Town: casting, Title: "l", Investor: "i"}})
			},
			func() (record, error) { return r.GetLead(ctx, &projectv1.GetLeadRequest{Name: "leads/140525-l"}) },
		},
		"factor quota": {
			func() (record, error) {
				return c.CreateFactorQuota(ctx, &projectv1.CreateFactorQuotaRequest{RequestId: "4", FactorQuotaId: "140525-tce", FactorQuota: &projectv1.FactorQuota{Factor: projectv1.Factor_FACTOR_ENERGY, Title: "q", TotalThousandths: 1}})
			},
			func() (record, error) {
				return r.GetFactorQuota(ctx, &projectv1.GetFactorQuotaRequest{Name: "factorQuotas/140525-tce"})
			},
		},
		"factor request": {
			func() (record, error) {
				return c.CreateFactorRequest(ctx, &projectv1.CreateFactorRequestRequest{RequestId: "5", FactorRequestId: "140525-f", FactorRequest: &projectv1.FactorRequest{Project: p.GetName(), FactorQuota: pool.GetName(), QuantityThousandths: 1}})
			},
			func() (record, error) {
				return r.GetFactorRequest(ctx, &projectv1.GetFactorRequestRequest{Name: "factorRequests/140525-f"})
			},
		},
		"case": {
			func() (record, error) {
				return c.CreateCase(ctx, &projectv1.CreateCaseRequest{RequestId: "6", CaseId: "140525-c", Case: &projectv1.Case{Town: casting, Title: "c", DueDate: due}})
			},
			func() (record, error) { return r.GetCase(ctx, &projectv1.GetCaseRequest{Name: "cases/140525-c"}) },
		},
		"action task": {
			func() (record, error) {
				return c.CreateActionTask(ctx, &projectv1.CreateActionTaskRequest{RequestId: "7", ActionTaskId: "140525-t", ActionTask: &projectv1.ActionTask{Action: typev1.Action_ACTION_INNOVATION, Title: "t", Owner: "o", DueDate: due}})
			},
			func() (record, error) {
				return r.GetActionTask(ctx, &projectv1.GetActionTaskRequest{Name: "actionTasks/140525-t"})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			created := must[record](t)(try.create())
			if created.GetEtag() == "" || created.GetCreateTime() == nil {
				t.Errorf("created as %v", created)
			}
			same(t, must[record](t)(try.get()), created)
			same(t, must[record](t)(try.create()), created)
		})
	}
}

type record interface {
	proto.Message
	GetEtag() string
	GetCreateTime() *timestamppb.Timestamp
}

func paper() []*typev1.Document {
	return []*typev1.Document{{Title: "Acceptance report", IssueDate: &date.Date{Year: 2023, Month: 7, Day: 1}}}
}
