package record_test

import (
	"errors"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

const designation = casting + "/designations/municipal"

var life = lifecycle.Table[townv1.Designation_State]{
	Resource: "designation",
	Initial:  townv1.Designation_STATE_DRAFT,
	Steps: []lifecycle.Step[townv1.Designation_State]{
		{Verb: "submit", From: []townv1.Designation_State{townv1.Designation_STATE_DRAFT}, To: townv1.Designation_STATE_SUBMITTED},
	},
}

func TestFollow(t *testing.T) {
	b := setUp(t)
	li := as("zezhou/li", "SubmitDesignation")
	created, err := record.Do(li, b.db, &townv1.CreateDesignationRequest{}, func(tx *journal.Tx) (*townv1.Designation, error) {
		return record.Create(tx, designations, &townv1.Designation{Name: designation, State: life.Initial})
	})
	if err != nil {
		t.Fatal(err)
	}
	submit := func(verb string, issued *date.Date, more func(*journal.Tx, *townv1.Designation) error) (*townv1.Designation, error) {
		req := &townv1.SubmitDesignationRequest{Name: designation, Reason: "complete", Documents: []*typev1.Document{{Title: "minutes", IssueDate: issued}}}
		return record.Follow(li, b.db, designations, req, life, verb, more)
	}
	_, err = submit("warn", nil, nil)
	expectFault(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED)
	_, err = submit("submit", &date.Date{Year: 2023, Month: 2, Day: 29}, nil)
	expectFault(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD)
	refusal := record.NotEditable(designation, townv1.Designation_STATE_SUBMITTED)
	_, err = submit("submit", nil, func(*journal.Tx, *townv1.Designation) error { return refusal })
	expectFault(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE)
	stored, err := record.Get(li, b.db, designations, designation)
	if err != nil {
		t.Fatal(err)
	}
	expectEqual(t, stored, created)

	submitted, err := submit("submit", &date.Date{Year: 2024, Month: 2, Day: 29}, func(_ *journal.Tx, d *townv1.Designation) error {
		if d.GetState() != townv1.Designation_STATE_SUBMITTED {
			t.Errorf("more sees %v", d.GetState())
		}
		d.DocumentNumber = "1"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	taken := submitted.GetDecisions()
	if submitted.GetState() != townv1.Designation_STATE_SUBMITTED || submitted.GetDocumentNumber() != "1" || len(taken) != 1 ||
		taken[0].GetVerb() != "submit" || taken[0].GetPrincipal() != "zezhou/li" || taken[0].GetReason() != "complete" || len(taken[0].GetDocuments()) != 1 {
		t.Errorf("submitted: %v", submitted)
	}
}

func TestAsk(t *testing.T) {
	b := setUp(t)
	li := as("zezhou/li", "UpdateTown")
	asked := 0
	ask := func(id, title string) (string, error) {
		req := &townv1.UpdateTownRequest{Town: &townv1.Town{Name: casting, TitleZh: title}, RequestId: id}
		return record.Ask(li, b.db, req, func() (string, error) {
			asked++
			return "word", nil
		})
	}
	for n, id := range []string{"", "", "r-1", "r-1"} {
		if word, err := ask(id, "陶瓷"); word != "word" || err != nil || asked != n+1 {
			t.Errorf("of %q that was not carried out: %q, %v, asked %d times", id, word, err, asked)
		}
	}
	if _, _, err := b.retitle(li, "r-1", "陶瓷"); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"陶瓷", "铸造"} { // that the id is used for another request is for Do to say
		if word, err := ask("r-1", title); word != "" || err != nil || asked != 4 {
			t.Errorf("of one that was carried out: %q, %v, asked %d times", word, err, asked)
		}
	}
	down := errors.New("down")
	req := &townv1.UpdateTownRequest{Town: &townv1.Town{Name: casting}, RequestId: "r-2"}
	if _, err := record.Ask(li, b.db, req, func() (string, error) { return "", down }); !errors.Is(err, down) {
		t.Errorf("told %v", err)
	}
}

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		shows  string
		err    error
		reason typev1.Reason
		rule   string
	}{
		{"no date", record.CheckDate("d", nil), 0, ""},
		{"half a date", record.CheckDate("d", &date.Date{Year: 2023}), typev1.Reason_REASON_INVALID_FIELD, ""},
		{"the same division", record.CheckDivision("town", casting, "140525-line"), 0, ""},
		{"another division", record.CheckDivision("town", casting, "140581-line"), typev1.Reason_REASON_DIVISION_MISMATCH, ""},
		{"no credit code", record.CheckCreditCode("code", ""), 0, ""},
		{"the published example", record.CheckCreditCode("code", "91350100M000100Y43"), 0, ""},
		{"the check of the organisation", record.CheckCreditCode("code", "91350100M000100Y53"), typev1.Reason_REASON_CREDIT_CODE_INVALID, "organisation_check"},
		{"the check of the whole", record.CheckCreditCode("code", "91350100M000100Y44"), typev1.Reason_REASON_CREDIT_CODE_INVALID, "check"},
		{"a letter that no code has", record.CheckCreditCode("code", "91350100M000100I43"), typev1.Reason_REASON_CREDIT_CODE_INVALID, "form"},
	} {
		if c.reason == 0 {
			if c.err != nil {
				t.Errorf("%s: %v", c.shows, c.err)
			}
			continue
		}
		expectFault(t, c.err, codes.InvalidArgument, c.reason)
		if c.rule != "" && ruleOf(c.err) != c.rule {
			t.Errorf("%s: the rule is %q", c.shows, ruleOf(c.err))
		}
	}
}

// ruleOf returns the metadata `rule` of a refusal.
func ruleOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()["rule"]
		}
	}
	return ""
}
