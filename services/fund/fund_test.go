package fund_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// A request id makes a call safe to repeat, also when the peer that the first one asked has gone since.
func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	name := w.apply(1)
	w.announce(name)
	w.afterNotice()
	approval := &fundv1.ApproveApplicationRequest{Name: name, RequestId: "approval-1"}
	first := must(w.as(finance).ApproveApplication(ctx, approval))
	w.unchanged(func() {
		if again := must(w.as(finance).ApproveApplication(ctx, approval)); !proto.Equal(again, first) {
			t.Errorf("the second answer is %v, the first was %v", again, first)
		}
	})
	w.foots("approved once", 400, 500, 100, 0, 0, 0, 0, 0)
	_, err := w.as(finance).ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: name, RequestId: "approval-1", AmountFen: 1})
	refused(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED)

	award := must(w.as(finance).AwardApplication(ctx, &fundv1.AwardApplicationRequest{Name: name, RequestId: "award-1"}))
	w.milestones("projects/140525-line-1/milestones/installed", projectv1.Milestone_STATE_ACCEPTED)
	proof := &fundv1.ProveTrancheRequest{Name: award.GetName() + "/tranches/2", RequestId: "proof-1"}
	proven := must(w.as(finance).ProveTranche(ctx, proof))
	nobody := unreachable(t)
	w.server = w.serve(journalv1.NewJournalClient(nobody), journalv1.NewJournalClient(nobody))
	w.unchanged(func() {
		if again := must(w.as(finance).ProveTranche(ctx, proof)); !proto.Equal(again, proven) {
			t.Errorf("the second answer is %v, the first was %v", again, proven)
		}
		line := &fundv1.CreateLineRequest{Parent: "budgets/2023", LineId: "equipment", RequestId: "none", Line: &fundv1.Line{Purpose: "x", Action: 1, AmountFen: 1}}
		_, err := w.as(finance).CreateLine(ctx, line)
		refused(t, err, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS)
	})
}

func TestAnswersOfLinesRepeat(t *testing.T) {
	w := newWorld(t)
	w.begin()
	update := &fundv1.UpdateLineRequest{
		Line:       &fundv1.Line{Name: "budgets/2023/lines/equipment", Purpose: "Machines", Action: 3, AmountFen: 600 * wan},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"purpose"}},
		RequestId:  "purpose-1",
	}
	first := must(w.as(finance).UpdateLine(t.Context(), update))
	w.award(w.apply(1))
	if again := must(w.as(finance).UpdateLine(t.Context(), update)); !proto.Equal(again, first) {
		t.Errorf("the second answer is %v, the first was %v", again, first)
	}
	now := must(w.as(finance).ListLines(t.Context(), &fundv1.ListLinesRequest{Parent: "budgets/-"})).GetLines()
	if len(now) != 1 || now[0].GetPurpose() != "Machines" || now[0].GetBalances().GetAwardedFen() != 100*wan {
		t.Errorf("lines: %v", now)
	}
}

func TestStaleETags(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	name := w.apply(1)
	old := must(w.as(zezhou).GetApplication(ctx, &fundv1.GetApplicationRequest{Name: name}))
	w.announce(name)
	w.afterNotice()
	for verb, try := range map[string]func(etag string) error{
		"approve": func(etag string) error {
			return call(w.as(finance).ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: name, Etag: etag}))
		},
		"reject": func(etag string) error {
			return call(w.as(finance).RejectApplication(ctx, &fundv1.RejectApplicationRequest{Name: name, Etag: etag, Reason: "x"}))
		},
		"award": func(etag string) error {
			return call(w.as(finance).AwardApplication(ctx, &fundv1.AwardApplicationRequest{Name: name, Etag: etag}))
		},
		"update": func(etag string) error {
			a := newApplication(1)
			a.Name, a.Etag = name, etag
			return call(w.as(zezhou).UpdateApplication(ctx, &fundv1.UpdateApplicationRequest{Application: a}))
		},
	} {
		t.Run(verb, func(t *testing.T) {
			w.unchanged(func() { refused(t, try(old.GetEtag()), codes.Aborted, typev1.Reason_REASON_STALE_ETAG) })
		})
	}
	now := must(w.as(zezhou).GetApplication(ctx, &fundv1.GetApplicationRequest{Name: name}))
	must(w.as(finance).ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: name, Etag: now.GetEtag()}))
}

// Receipts come in any order and more than once, and are counted once.
func TestReceiptsInAnyOrder(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx, bank := t.Context(), w.as(finance)
	d := w.send("140525-d", w.payable(1))
	confirm := &fundv1.ConfirmDisbursementRequest{Name: d, BankReference: "P1", PayDate: civil.New(2023, 3, 8)}
	comesBack := &fundv1.ReturnDisbursementRequest{Name: d, BankReference: "B1"}

	must(bank.ReturnDisbursement(ctx, comesBack)) // the return overtakes the receipt
	w.foots("returned", 400, 500, 0, 40, 60, 0, 0, 0)
	late := must(bank.ConfirmDisbursement(ctx, confirm))
	if late.GetState() != fundv1.Disbursement_STATE_RETURNED || late.GetPaymentReference() != "P1" || civil.Text(late.GetPayDate()) != "2023-03-08" {
		t.Errorf("after a late receipt: %v", late)
	}
	w.foots("late receipt", 400, 500, 0, 40, 60, 0, 0, 0)
	w.unchanged(func() {
		if again := must(bank.ConfirmDisbursement(ctx, confirm)); !proto.Equal(again, late) {
			t.Errorf("a receipt that came twice: %v", again)
		}
		if again := must(bank.ReturnDisbursement(ctx, comesBack)); !proto.Equal(again, late) {
			t.Errorf("a return that came twice: %v", again)
		}
	})

	second := w.pay("140525-e", firstTranche)
	w.unchanged(func() {
		must(bank.ReturnDisbursement(ctx, comesBack)) // the first one's, once more
		must(bank.ConfirmDisbursement(ctx, &fundv1.ConfirmDisbursementRequest{Name: second, BankReference: "P-140525-e"}))
	})
	w.foots("paid", 400, 500, 0, 40, 0, 0, 60, 0)

	must(bank.CreateRecovery(ctx, demand("awards/140525-line-1", 10*wan)))
	receive := &fundv1.ReceiveRecoveryRequest{Name: "recoveries/140525-r", BankReference: "R1"}
	must(bank.ReceiveRecovery(ctx, receive))
	w.unchanged(func() { must(bank.ReceiveRecovery(ctx, receive)) })
	_, err := bank.ReceiveRecovery(ctx, &fundv1.ReceiveRecoveryRequest{Name: "recoveries/140525-r", BankReference: "R2"})
	refused(t, err, codes.FailedPrecondition, fundv1.Reason_REASON_RECEIPT_CONFLICT)
	w.foots("recovered", 400, 500, 0, 40, 0, 0, 50, 10)
}

const firstTranche = "awards/140525-line-1/tranches/1"

// What an application stood in the way of is free again when it stands no longer.
func TestDuplicatesEnd(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	double := newApplication(1)
	double.Title = "Once more"
	create := &fundv1.CreateApplicationRequest{ApplicationId: "140525-again", Application: double}
	first := w.apply(1)
	_, err := w.as(zezhou).CreateApplication(ctx, create)
	refused(t, err, codes.AlreadyExists, fundv1.Reason_REASON_DUPLICATE_EVIDENCE)

	w.announce(first)
	must(w.as(finance).RejectApplication(ctx, &fundv1.RejectApplicationRequest{Name: first, Reason: "objection upheld"}))
	must(w.as(zezhou).CreateApplication(ctx, create))
	must(w.as(zezhou).WithdrawApplication(ctx, &fundv1.WithdrawApplicationRequest{Name: "applications/140525-again"}))
	create.ApplicationId = "140525-third"
	must(w.as(zezhou).CreateApplication(ctx, create))

	// The same project may be supported in another of the six actions, on other papers.
	must(w.as(finance).CreateLine(ctx, &fundv1.CreateLineRequest{Parent: "budgets/2023", LineId: "brands", Line: &fundv1.Line{Purpose: "Brands", Action: 4, AmountFen: 1}}))
	c := newCall()
	c.Line = "budgets/2023/lines/brands"
	w.call("2023-brands", c)
	w.apply(2, func(a *fundv1.Application) { a.Call, a.Project = "calls/2023-brands", double.GetProject() })
}

func TestReturnedApplicationBeginsAnew(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx, county := t.Context(), w.as(zezhou)
	name := w.apply(1)
	must(county.SubmitApplication(ctx, &fundv1.SubmitApplicationRequest{Name: name}))
	must(county.CheckApplication(ctx, &fundv1.CheckApplicationRequest{Name: name, VerifiedInvestmentFen: 480 * wan}))
	must(w.as(finance).ReviewApplication(ctx, &fundv1.ReviewApplicationRequest{Name: name, Scores: []*fundv1.ExpertScore{{Expert: "7", Points: 1}}}))
	a := must(county.ReturnApplication(ctx, &fundv1.ReturnApplicationRequest{Name: name, Reason: "the contract is missing"}))
	if a.GetVerifiedInvestmentFen() != 0 || a.GetScores() != nil || a.GetAverageScore() != "" || a.GetState() != fundv1.Application_STATE_DRAFT {
		t.Errorf("returned: %v", a)
	}
	a.Title, a.EvidenceSha256S = "Line 1, corrected", append(a.GetEvidenceSha256S(), sha(77))
	a = must(county.UpdateApplication(ctx, &fundv1.UpdateApplicationRequest{Application: a}))
	if a.GetTitle() != "Line 1, corrected" || len(a.GetEvidenceSha256S()) != 2 || len(a.GetDecisions()) != 4 {
		t.Errorf("corrected: %v", a)
	}
	w.announce(name)
}

// Without an amount, as much is approved as every bound permits, and what is cut counts no more.
func TestAmountsByDefault(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	same := func(a *fundv1.Application) { a.EnterpriseCode, a.RequestedFen = code(1), 180*wan }
	var got []int64
	approve := func(n int) {
		name := w.apply(n, same)
		w.announce(name)
		w.afterNotice()
		a := must(w.as(finance).ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: name}))
		got = append(got, a.GetApprovedFen()/wan)
	}
	approve(1) // a quarter of the 480万 verified
	approve(2)
	approve(3) // what the cap of 300万 leaves
	must(w.as(finance).AwardApplication(ctx, &fundv1.AwardApplicationRequest{Name: "applications/140525-line-1"}))
	must(w.as(finance).CutTranche(ctx, &fundv1.CutTrancheRequest{Name: "awards/140525-line-1/tranches/2", Reason: "not built"}))
	w.clock.Set(day("2023-03-28"))
	approve(4) // 48万 were cut
	if want := []int64{120, 120, 60, 48}; !slices.Equal(got, want) {
		t.Errorf("approved %v, want %v", got, want)
	}
}

// The parts of an award add up to it, and a share that comes to nothing makes no tranche.
func TestTranches(t *testing.T) {
	w := newWorld(t)
	w.begin()
	c := newCall()
	c.TranchePlan = []*fundv1.TranchePlan{{Title: "a", ShareBp: 3333}, {Title: "b", ShareBp: 3333}, {Title: "c", ShareBp: 3334}}
	w.call("2023-thirds", c)
	w.award(w.apply(1, func(a *fundv1.Application) { a.Call, a.RequestedFen = "calls/2023-thirds", 100 }))
	w.award(w.apply(2, func(a *fundv1.Application) { a.Call, a.RequestedFen = "calls/2023-thirds", 2 }))
	var got []string
	for _, tr := range must(w.as(zezhou).ListTranches(t.Context(), &fundv1.ListTranchesRequest{Parent: "awards/-"})).GetTranches() {
		got = append(got, fmt.Sprintf("%s:%d", strings.TrimPrefix(tr.GetName(), "awards/140525-line-"), tr.GetAmountFen()))
	}
	if want := []string{"1/tranches/1:33", "1/tranches/2:33", "1/tranches/3:34", "2/tranches/3:2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A disbursement that is cancelled makes room for another, and its maker corrects it until it is checked.
func TestCancelledDisbursement(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx, tranche := t.Context(), w.payable(1)
	d := must(w.as(finance).GetDisbursement(ctx, &fundv1.GetDisbursementRequest{Name: w.prepare("140525-d", tranche)}))
	d.PayeeAccount, d.AmountFen = "6222020200999999", 1 // the amount is not the caller's to set
	d = must(w.as(finance).UpdateDisbursement(ctx, &fundv1.UpdateDisbursementRequest{Disbursement: d}))
	if d.GetPayeeAccount() != "6222020200999999" || d.GetAmountFen() != 60*wan {
		t.Errorf("corrected: %v", d)
	}
	must(w.as(checker).CheckDisbursement(ctx, &fundv1.CheckDisbursementRequest{Name: d.GetName()}))
	must(w.as(finance).CancelDisbursement(ctx, &fundv1.CancelDisbursementRequest{Name: d.GetName()}))
	w.foots("cancelled", 400, 500, 0, 40, 60, 0, 0, 0)
	w.pay("140525-e", tranche)
	if tr := must(w.as(zezhou).GetTranche(ctx, &fundv1.GetTrancheRequest{Name: tranche})); tr.GetDisbursement() != "disbursements/140525-e" ||
		tr.GetState() != fundv1.Tranche_STATE_PAID {
		t.Errorf("tranche: %v", tr)
	}
}

// A demand holds what it demands until it is received or given up.
func TestDemands(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	w.pay("140525-d", w.payable(1))
	r := must(w.as(finance).CreateRecovery(ctx, demand("awards/140525-line-1", 60*wan)))
	second := demand("awards/140525-line-1", 1)
	second.RecoveryId = "140525-s"
	_, err := w.as(finance).CreateRecovery(ctx, second)
	refused(t, err, codes.FailedPrecondition, fundv1.Reason_REASON_NOT_PAID_SO_MUCH)
	r.DueDate, r.Reason = civil.New(2023, 6, 30), "misuse"
	r = must(w.as(finance).UpdateRecovery(ctx, &fundv1.UpdateRecoveryRequest{Recovery: r}))
	if civil.Text(r.GetDueDate()) != "2023-06-30" || r.GetReason() != "misuse" {
		t.Errorf("changed: %v", r)
	}
	must(w.as(finance).CancelRecovery(ctx, &fundv1.CancelRecoveryRequest{Name: r.GetName(), Reason: "on appeal"}))
	must(w.as(finance).CreateRecovery(ctx, second))
	if a := must(w.as(finance).GetAward(ctx, &fundv1.GetAwardRequest{Name: "awards/140525-line-1"})); a.GetDemandedFen() != 1 {
		t.Errorf("award: %v", a)
	}
	w.foots("demanded", 400, 500, 0, 40, 0, 0, 60, 0)
}

// Drafts are edited; what is worked out from their fields is worked out again.
func TestDraftsAreEdited(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx, city := t.Context(), w.as(finance)
	b := must(city.CreateBudget(ctx, &fundv1.CreateBudgetRequest{BudgetId: "2024", Budget: newBudget()}))
	b.Sources = b.GetSources()[:1]
	if b = must(city.UpdateBudget(ctx, &fundv1.UpdateBudgetRequest{Budget: b})); b.GetTotalFen() != 700*wan {
		t.Errorf("budget: %v", b)
	}
	c := must(city.CreateCall(ctx, &fundv1.CreateCallRequest{CallId: "2023-draft", Call: newCall()}))
	c.RateBp = 9501
	_, err := city.UpdateCall(ctx, &fundv1.UpdateCallRequest{Call: c})
	refused(t, err, codes.InvalidArgument, fundv1.Reason_REASON_RATE_TOO_HIGH)
	c.RateBp = 9500
	if c = must(city.UpdateCall(ctx, &fundv1.UpdateCallRequest{Call: c})); c.GetRateBp() != 9500 {
		t.Errorf("call: %v", c)
	}
	award := w.award(w.apply(1))
	award.Title = "Line one"
	if award = must(city.UpdateAward(ctx, &fundv1.UpdateAwardRequest{Award: award})); award.GetTitle() != "Line one" {
		t.Errorf("award: %v", award)
	}
}

// A county sees its own, page by page; the city sees all.
func TestLists(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	for n := range 5 {
		w.apply(n)
	}
	other := newApplication(9)
	other.Town, other.Project = "towns/140522-silk", "projects/140522-mill"
	must(w.as(yangch).CreateApplication(ctx, &fundv1.CreateApplicationRequest{ApplicationId: "140522-mill", Application: other}))
	list := func(who, division, call string) (names []string) {
		req := &fundv1.ListApplicationsRequest{PageSize: 2, Division: division, Call: call}
		for {
			res := must(w.as(who).ListApplications(ctx, req))
			for _, a := range res.GetApplications() {
				names = append(names, strings.TrimPrefix(a.GetName(), "applications/"))
			}
			if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
				return names
			}
		}
	}
	ours := []string{"140525-line-0", "140525-line-1", "140525-line-2", "140525-line-3", "140525-line-4"}
	for shows, c := range map[string]struct{ got, want []string }{
		"the city sees all":          {list(finance, "", ""), append([]string{"140522-mill"}, ours...)},
		"the city asks for a county": {list(finance, "140525", ""), ours},
		"a county sees its own":      {list(zezhou, "", ""), ours},
		"by call":                    {list(zezhou, "", "calls/2023-equipment"), ours},
		"by a call without any":      {list(zezhou, "", "calls/2023-other"), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v", shows, c.got)
		}
	}
	_, err := w.as(zezhou).ListApplications(ctx, &fundv1.ListApplicationsRequest{Division: "140522"})
	refused(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = w.as(yangch).ListTranches(ctx, &fundv1.ListTranchesRequest{Parent: w.award("applications/140525-line-1").GetName()})
	refused(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	if got := must(w.as(yangch).ListTranches(ctx, &fundv1.ListTranchesRequest{Parent: "awards/-"})); len(got.GetTranches()) != 0 {
		t.Errorf("another county's tranches: %v", got)
	}

	budgets := must(w.as(zezhou).ListBudgets(ctx, &fundv1.ListBudgetsRequest{})).GetBudgets()
	calls := must(w.as(zezhou).ListCalls(ctx, &fundv1.ListCallsRequest{})).GetCalls()
	awards := must(w.as(zezhou).ListAwards(ctx, &fundv1.ListAwardsRequest{})).GetAwards()
	accounts := must(w.as(finance).ListAccounts(ctx, &fundv1.ListAccountsRequest{Budget: "budgets/2023"})).GetAccounts()
	if len(budgets) != 1 || len(calls) != 1 || len(awards) != 1 || len(accounts) != 5 {
		t.Errorf("%d budgets, %d calls, %d awards, %d accounts", len(budgets), len(calls), len(awards), len(accounts))
	}
	if a := must(w.as(finance).GetAccount(ctx, &fundv1.GetAccountRequest{Name: "accounts/2023-sources"})); a.GetBalanceFen() != -1000*wan || a.GetTransferCount() != 1 {
		t.Errorf("sources: %v", a)
	}
	_, err = w.as(finance).GetTransfer(ctx, &fundv1.GetTransferRequest{Name: "accounts/2023-sources/transfers/reserve-140525-line-1"})
	if !fault.Is(err, typev1.Reason_REASON_RESOURCE_NOT_FOUND) {
		t.Errorf("a transfer under an account that it does not touch: %v", err)
	}
}

// A statement is held against the books, and every difference is named.
func TestStatement(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx := t.Context()
	var tranches []string
	for n := range 7 {
		tranches = append(tranches, w.apply(n, func(a *fundv1.Application) { a.RequestedFen = 10 * wan }))
	}
	for i, a := range tranches {
		w.announce(a)
		tranches[i] = strings.Replace(a, "applications", "awards", 1) + "/tranches/1"
	}
	w.afterNotice() // to the 9th
	for i, tr := range tranches {
		name := strings.Replace(strings.TrimSuffix(tr, "/tranches/1"), "awards", "applications", 1)
		must(w.as(finance).ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: name}))
		must(w.as(finance).AwardApplication(ctx, &fundv1.AwardApplicationRequest{Name: name}))
		must(w.as(finance).ProveTranche(ctx, &fundv1.ProveTrancheRequest{Name: tranches[i]}))
	}
	paid := w.pay("140525-paid", tranches[0])
	amount := w.pay("140525-amount", tranches[1])
	payee := w.pay("140525-payee", tranches[2])
	open := w.send("140525-open", tranches[3])
	unlisted := w.pay("140525-unlisted", tranches[4])
	back := w.pay("140525-back", tranches[5])
	must(w.as(finance).ReturnDisbursement(ctx, &fundv1.ReturnDisbursementRequest{Name: back, BankReference: "B"}))
	unsent := w.prepare("140525-unsent", tranches[6])

	const six = 6 * wan
	line := func(kind fundv1.StatementLine_Kind, disbursement string, fen int64) *fundv1.StatementLine {
		return &fundv1.StatementLine{Date: civil.New(2023, 3, 9), Kind: kind, Disbursement: disbursement, AmountFen: fen, PayeeAccount: "6222020200112233"}
	}
	const payment, returned = fundv1.StatementLine_KIND_PAYMENT, fundv1.StatementLine_KIND_RETURN
	st := &fundv1.Statement{StartDate: civil.New(2023, 3, 9), EndDate: civil.New(2023, 3, 9), Lines: []*fundv1.StatementLine{
		line(payment, paid, six),
		line(payment, amount, six+1),
		line(payment, payee, six-1),
		line(payment, open, six),
		line(payment, back, six),
		line(payment, paid, six),
		line(payment, "disbursements/140525-nobody", 5),
		line(payment, unsent, six),
		line(returned, paid, six),
		line(payment, "", 7),
		line(payment, "", 7),
		line(payment, unlisted, six),
	}}
	st.Lines[2].PayeeAccount = "6222020200000000"
	st.Lines[9].BankReference, st.Lines[10].BankReference = "X", "X"
	st.Lines[11].Date = civil.New(2023, 3, 10)
	got := must(w.as(finance).CreateStatement(ctx, &fundv1.CreateStatementRequest{StatementId: "2023-03-09", Statement: st}))
	var differences []string
	for _, d := range got.GetDifferences() {
		differences = append(differences, fmt.Sprintf("%d %s %d/%d", d.GetLineNumber(),
			strings.TrimPrefix(d.GetKind().String(), "KIND_"), d.GetStatementAmountFen(), d.GetBookAmountFen()))
	}
	want := []string{
		"2 AMOUNT 6000001/6000000",
		"3 AMOUNT 5999999/6000000",
		"3 PAYEE 5999999/6000000",
		"4 NOT_CONFIRMED 6000000/6000000",
		"6 DUPLICATE 6000000/6000000",
		"7 UNKNOWN_TO_BOOKS 5/0",
		"8 UNKNOWN_TO_BOOKS 6000000/0",
		"9 UNKNOWN_TO_BOOKS 6000000/0",
		"10 UNKNOWN_TO_BOOKS 7/0",
		"11 DUPLICATE 7/0",
		"12 OUTSIDE_PERIOD 6000000/0",
		"0 UNKNOWN_TO_BANK 0/6000000",
		"0 UNKNOWN_TO_BANK 0/6000000",
	}
	if !slices.Equal(differences, want) {
		t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(differences, "\n"), strings.Join(want, "\n"))
	}
	last := got.GetDifferences()[len(got.GetDifferences())-2:]
	if last[0].GetDisbursement() != unlisted || last[1].GetDisbursement() != back || last[1].GetLineKind() != returned {
		t.Errorf("what only the books have: %v", last)
	}
	if got.GetMatchedCount() != 2 || got.GetStatementNetFen() != 8*six+5+7+7-six || got.GetBookNetFen() != 5*six {
		t.Errorf("%d match, the bank has %d, the books %d", got.GetMatchedCount(), got.GetStatementNetFen(), got.GetBookNetFen())
	}

	agreed := must(w.as(finance).CreateStatement(ctx, &fundv1.CreateStatementRequest{StatementId: "2023-03-01", Statement: &fundv1.Statement{
		StartDate: civil.New(2023, 3, 1), EndDate: civil.New(2023, 3, 8),
	}}))
	if len(agreed.GetDifferences()) != 0 || agreed.GetBookNetFen() != 0 {
		t.Errorf("a week without payments: %v", agreed)
	}
	if again := must(w.as(finance).GetStatement(ctx, &fundv1.GetStatementRequest{Name: got.GetName()})); !proto.Equal(again, got) {
		t.Error("a statement is read as another than it was made")
	}
	if all := must(w.as(finance).ListStatements(ctx, &fundv1.ListStatementsRequest{})).GetStatements(); len(all) != 2 {
		t.Errorf("%d statements", len(all))
	}
}

// What was made can be read, alone and in the lists of its division.
func TestReads(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx, county := t.Context(), w.as(zezhou)
	name := w.pay("140525-d", w.payable(1))
	r := must(w.as(finance).CreateRecovery(ctx, demand("awards/140525-line-1", 1)))

	d := must(county.GetDisbursement(ctx, &fundv1.GetDisbursementRequest{Name: name}))
	if d.GetMaker() != finance || d.GetChecker() != checker || d.GetSender() != sender || d.GetPaymentReference() != "P-140525-d" ||
		civil.Compare(d.GetSendDate(), civil.DateOf(w.clock.Now())) != 0 || len(d.GetDecisions()) != 3 {
		t.Errorf("disbursement: %v", d)
	}
	if all := must(county.ListDisbursements(ctx, &fundv1.ListDisbursementsRequest{})).GetDisbursements(); len(all) != 1 || !proto.Equal(all[0], d) {
		t.Errorf("disbursements: %v", all)
	}
	if got := must(county.GetRecovery(ctx, &fundv1.GetRecoveryRequest{Name: r.GetName()})); !proto.Equal(got, r) {
		t.Errorf("recovery: %v", got)
	}
	if all := must(county.ListRecoveries(ctx, &fundv1.ListRecoveriesRequest{})).GetRecoveries(); len(all) != 1 || !proto.Equal(all[0], r) {
		t.Errorf("recoveries: %v", all)
	}
	other := w.as(yangch)
	if n := len(must(other.ListDisbursements(ctx, &fundv1.ListDisbursementsRequest{})).GetDisbursements()); n != 0 {
		t.Errorf("another county sees %d disbursements", n)
	}
	_, err := other.GetRecovery(ctx, &fundv1.GetRecoveryRequest{Name: r.GetName()})
	refused(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = county.GetCall(ctx, &fundv1.GetCallRequest{Name: "calls/2023-nothing"})
	refused(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
	if b := must(county.GetBudget(ctx, &fundv1.GetBudgetRequest{Name: "budgets/2023"})); b.GetTotalFen() != 1000*wan || len(b.GetDecisions()) != 1 {
		t.Errorf("budget: %v", b)
	}
}

// An update may carry the fields that it changes and no others.
func TestUpdateOfOneField(t *testing.T) {
	w := newWorld(t)
	w.begin()
	name := w.apply(1)
	a := must(w.as(zezhou).UpdateApplication(t.Context(), &fundv1.UpdateApplicationRequest{
		Application: &fundv1.Application{Name: name, RequestedFen: 90 * wan},
	}))
	if want := newApplication(1); a.GetRequestedFen() != 90*wan || a.GetTitle() != want.GetTitle() || a.GetAction() != 3 {
		t.Errorf("updated: %v", a)
	}
	_, err := w.as(zezhou).UpdateApplication(t.Context(), &fundv1.UpdateApplicationRequest{
		Application: &fundv1.Application{Name: name}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title"}},
	})
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD)
}
