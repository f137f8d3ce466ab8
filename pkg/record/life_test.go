package record_test

import (
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// life is a short one: a designation that is handed in and found fit.
var life = lifecycle.Table[townv1.Designation_State]{
	Resource: "designation",
	Initial:  townv1.Designation_STATE_DRAFT,
	Steps: []lifecycle.Step[townv1.Designation_State]{
		{Verb: "submit", From: []townv1.Designation_State{townv1.Designation_STATE_DRAFT}, To: townv1.Designation_STATE_SUBMITTED},
		{Verb: "recommend", From: []townv1.Designation_State{townv1.Designation_STATE_SUBMITTED}, To: townv1.Designation_STATE_RECOMMENDED},
	},
}

func TestFollow(t *testing.T) {
	const name = "towns/140525-casting/designations/municipal"
	now := time.Date(2023, 3, 1, 1, 0, 0, 0, time.UTC)
	db := rpctest.OpenDB(t, "town", clock.NewManual(now))
	table := store.NewTable[*townv1.Designation]()
	ctx := authn.NewContext(t.Context(), &authn.Principal{Name: "county/li"})
	err := db.Update(ctx, journal.Origin{}, func(tx *journal.Tx) error {
		_, err := record.Create(tx, table, &townv1.Designation{Name: name, State: life.Initial})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	req := &townv1.SubmitDesignationRequest{Name: name, Reason: "ready"}
	var saw townv1.Designation_State
	d, err := record.Follow(ctx, db, table, req, life, "submit", func(_ *journal.Tx, d *townv1.Designation) error {
		saw = d.GetState()
		d.Statement = "more"
		return nil
	})
	if err != nil || d.GetState() != townv1.Designation_STATE_SUBMITTED || d.GetStatement() != "more" {
		t.Fatalf("the step leads to %v (%v)", d, err)
	}
	if saw != townv1.Designation_STATE_SUBMITTED {
		t.Errorf("what more there is to the step sees the state %v", saw)
	}
	if got := d.GetDecisions(); len(got) != 1 || got[0].GetVerb() != "submit" || got[0].GetPrincipal() != "county/li" ||
		got[0].GetReason() != "ready" || !got[0].GetDecideTime().AsTime().Equal(now) {
		t.Errorf("the record of the step is %v", got)
	}

	_, err = record.Follow(ctx, db, table, req, life, "submit", nil)
	if !fault.Is(err, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED) || status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a step that the state does not permit is answered with %v", err)
	}
	req.Documents = []*typev1.Document{{Title: "minutes", IssueDate: civil.New(2023, 3, 1)}, {Title: "letter"}}
	req.Documents[1].IssueDate = civil.New(2023, 3, 1)
	req.Documents[1].IssueDate.Month = 13
	_, err = record.Follow(ctx, db, table, req, life, "recommend", nil)
	if !fault.Is(err, typev1.Reason_REASON_INVALID_FIELD) {
		t.Errorf("a document of the 13th month is answered with %v", err)
	}
	stored, err := record.Get(ctx, db, table, name)
	if err != nil || stored.GetEtag() != d.GetEtag() {
		t.Errorf("refused steps left %v (%v)", stored, err)
	}
}

// ruleOf returns the rule that a fault says is broken.
func ruleOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()["rule"]
		}
	}
	return ""
}

func TestCheckCreditCodeNamesTheRule(t *testing.T) {
	for code, rule := range map[string]string{
		"":                   "",
		"91350100M000100Y43": "",
		"9135":               "form",
		"91350100M000100Y4I": "form",
		"91350100M000100Y53": "organisation_check",
		"91350100M000100Y44": "check",
	} {
		err := record.CheckCreditCode("enterprise_code", code)
		if rule == "" {
			if err != nil {
				t.Errorf("%q is refused: %v", code, err)
			}
			continue
		}
		if !fault.Is(err, typev1.Reason_REASON_CREDIT_CODE_INVALID) || ruleOf(err) != rule {
			t.Errorf("%q is answered with %v, want the rule %s", code, err, rule)
		}
	}
}
