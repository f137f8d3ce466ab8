package project_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/civil"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

func (w *world) raise(id string) *projectv1.Case {
	w.t.Helper()
	return must[*projectv1.Case](w.t)(w.as(zezhou).CreateCase(w.t.Context(), &projectv1.CreateCaseRequest{CaseId: id, Case: &projectv1.Case{
		Town: casting, Title: "Power is short", DueDate: civil.New(2023, 7, 20),
	}}))
}

func TestCaseFromRaisedToConfirmed(t *testing.T) {
	w := newWorld(t)
	name := w.raise("140525-power").GetName()
	call := must[*projectv1.Case](t)
	c := call(w.as(zezhou).AssignCase(t.Context(), &projectv1.AssignCaseRequest{Name: name, Owner: "Energy bureau", DueDate: civil.New(2023, 7, 31)}))
	if c.GetOwner() != "Energy bureau" || c.GetState() != projectv1.Case_STATE_ASSIGNED || c.GetLevel() != projectv1.Case_LEVEL_COUNTY {
		t.Errorf("assigned as %v", c)
	}
	same(t, c.GetDueDate(), civil.New(2023, 7, 31))
	_, err := w.as(zezhou).ResolveCase(t.Context(), &projectv1.ResolveCaseRequest{Name: name, Reason: "done"})
	refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")
	for range 2 {
		call(w.as(zezhou).FollowUpCase(t.Context(), &projectv1.FollowUpCaseRequest{Name: name, Reason: "a transformer is ordered"}))
	}
	c = call(w.as(zezhou).ResolveCase(t.Context(), &projectv1.ResolveCaseRequest{Name: name, Reason: "a second feed"}))
	if c.GetResolution() != "a second feed" {
		t.Errorf("resolved as %v", c)
	}
	c = call(w.as(zezhou).ReopenCase(t.Context(), &projectv1.ReopenCaseRequest{Name: name, Reason: "it trips"}))
	if c.GetState() != projectv1.Case_STATE_IN_PROGRESS || c.GetResolution() != "" {
		t.Errorf("reopened as %v", c)
	}
	call(w.as(zezhou).ResolveCase(t.Context(), &projectv1.ResolveCaseRequest{Name: name, Reason: "a third feed"}))
	c = call(w.as(zezhou).ConfirmCase(t.Context(), &projectv1.ConfirmCaseRequest{Name: name}))
	w.clock.Set(noon(2024, 7, 10))
	if c.GetState() != projectv1.Case_STATE_CONFIRMED || len(c.GetDecisions()) != 7 {
		t.Errorf("confirmed as %v", c)
	}
	if c = call(w.as(reader).GetCase(t.Context(), &projectv1.GetCaseRequest{Name: name})); c.GetOverdue() {
		t.Error("a case that is solved is overdue")
	}
	c = call(w.as(zezhou).ReopenCase(t.Context(), &projectv1.ReopenCaseRequest{Name: name, Reason: "it trips again"}))
	if c.GetState() != projectv1.Case_STATE_IN_PROGRESS || !c.GetOverdue() {
		t.Errorf("reopened after a year as %v", c)
	}
}

func TestOnlyAnOverdueCaseEscalates(t *testing.T) {
	w := newWorld(t)
	name := w.raise("140525-power").GetName()
	w.raise("140525-water")
	escalate := func(due *date.Date) (*projectv1.Case, error) {
		return w.as(zezhou).EscalateCase(t.Context(), &projectv1.EscalateCaseRequest{Name: name, DueDate: due})
	}
	w.clock.Set(noon(2023, 7, 20))
	_, err := escalate(civil.New(2023, 7, 30))
	if about := refused(t, err, codes.FailedPrecondition, "NOT_OVERDUE", ""); about["due_date"] != "2023-07-20" {
		t.Errorf("refused about %v", about)
	}
	w.clock.Set(noon(2023, 7, 21))
	if c := must[*projectv1.Case](t)(w.as(reader).GetCase(t.Context(), &projectv1.GetCaseRequest{Name: name})); !c.GetOverdue() {
		t.Error("the day after its date it is not overdue")
	}
	_, err = escalate(civil.New(2023, 7, 21))
	refused(t, err, codes.InvalidArgument, "DATE_NOT_AHEAD", "due_date")
	c := must[*projectv1.Case](t)(escalate(civil.New(2023, 7, 30)))
	if c.GetLevel() != projectv1.Case_LEVEL_CITY || c.GetOverdue() || c.GetState() != projectv1.Case_STATE_RAISED || len(c.GetDecisions()) != 1 {
		t.Errorf("escalated as %v", c)
	}
	overdue := must[*projectv1.ListCasesResponse](t)(w.as(city).ListCases(t.Context(), &projectv1.ListCasesRequest{Overdue: true}))
	if len(overdue.GetCases()) != 1 || overdue.GetCases()[0].GetName() != "cases/140525-water" || !overdue.GetCases()[0].GetOverdue() {
		t.Errorf("overdue are %v", overdue.GetCases())
	}
	_, err = escalate(civil.New(2023, 8, 30))
	refused(t, err, codes.FailedPrecondition, "NOT_OVERDUE", "")
	w.clock.Set(noon(2023, 8, 1))
	must[*projectv1.Case](t)(escalate(civil.New(2023, 8, 30)))
	w.clock.Set(noon(2023, 9, 1))
	_, err = escalate(civil.New(2023, 9, 30))
	refused(t, err, codes.FailedPrecondition, "TOP_LEVEL", "")
}

func TestCasesRefused(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	for name, c := range map[string]struct {
		id     string
		sent   *projectv1.Case
		code   codes.Code
		reason string
		field  string
	}{
		"a town of another division":     {"140525-x", &projectv1.Case{Town: silk, Title: "x", DueDate: civil.New(2023, 8, 1)}, codes.InvalidArgument, "DIVISION_MISMATCH", "case.town"},
		"a project of another town":      {"140581-x", &projectv1.Case{Town: silk, Project: p.GetName(), Title: "x", DueDate: civil.New(2023, 8, 1)}, codes.InvalidArgument, "TOWN_MISMATCH", "case.project"},
		"no such project":                {"140525-x", &projectv1.Case{Town: casting, Project: "projects/140525-none", Title: "x", DueDate: civil.New(2023, 8, 1)}, codes.FailedPrecondition, "REFERENCE_NOT_FOUND", "case.project"},
		"a credit code with a bad check": {"140525-x", &projectv1.Case{Town: casting, EnterpriseCode: wrongCheck(creditCode(t)), Title: "x", DueDate: civil.New(2023, 8, 1)}, codes.InvalidArgument, "CREDIT_CODE_INVALID", "case.enterprise_code"},
		"no date":                        {"140525-x", &projectv1.Case{Town: casting, Title: "x"}, codes.InvalidArgument, "INVALID_FIELD", "case.due_date"},
		"no day of the calendar":         {"140525-x", &projectv1.Case{Town: casting, Title: "x", DueDate: &date.Date{Year: 2023, Month: 13, Day: 1}}, codes.InvalidArgument, "INVALID_FIELD", "case.due_date"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.as(city).CreateCase(t.Context(), &projectv1.CreateCaseRequest{CaseId: c.id, Case: c.sent})
			refused(t, err, c.code, c.reason, c.field)
		})
	}
	t.Run("the date moves freely only while it is raised", func(t *testing.T) {
		name := w.raise("140525-power").GetName()
		move := func(day int) error {
			_, err := w.as(zezhou).UpdateCase(t.Context(), &projectv1.UpdateCaseRequest{
				Case:       &projectv1.Case{Name: name, DueDate: civil.New(2023, 8, day)},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"due_date"}},
			})
			return err
		}
		if err := move(1); err != nil {
			t.Fatal(err)
		}
		must[*projectv1.Case](t)(w.as(zezhou).AssignCase(t.Context(), &projectv1.AssignCaseRequest{Name: name, Owner: "Energy bureau"}))
		refused(t, move(2), codes.FailedPrecondition, "NOT_EDITABLE", "case.due_date")
	})
}
