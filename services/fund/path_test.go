package fund_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/fund"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// One application goes from budget to paid tranches, and the books foot at every stage.
func TestGrantPath(t *testing.T) {
	w := newWorld(t)
	ctx, city, county := t.Context(), w.as(finance), w.as(zezhou)

	budget := must(city.CreateBudget(ctx, &fundv1.CreateBudgetRequest{BudgetId: "2023", Budget: newBudget()}))
	if budget.GetTotalFen() != 1000*wan || budget.GetState() != fundv1.Budget_STATE_DRAFT {
		t.Errorf("budget: %v", budget)
	}
	must(city.AdoptBudget(ctx, &fundv1.AdoptBudgetRequest{Name: "budgets/2023", Reason: "People's Congress"}))
	w.foots("adopted", 1000, 0, 0, 0, 0, 0, 0, 0)
	if line := w.line("equipment", 600*wan); line.GetBalances().GetAvailableFen() != 600*wan {
		t.Errorf("line: %v", line)
	}
	w.foots("appropriated", 400, 600, 0, 0, 0, 0, 0, 0)
	w.call("2023-equipment", newCall())

	name := w.apply(2)
	w.announce(name)
	a := must(county.GetApplication(ctx, &fundv1.GetApplicationRequest{Name: name}))
	// Five working days from the 1st: 1, 2, 3, not the 6th which is a holiday, 7, 8.
	if a.GetAverageScore() != "86.67" || a.GetAction() != 3 || civil.Text(a.GetNoticeEndDate()) != "2023-03-08" {
		t.Errorf("announced: %v", a)
	}
	counted := must(w.town.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/town", Resource: "holidayCalendars/2023"}))
	if by := a.GetCalendarEvidence(); len(by) != 1 || !proto.Equal(by[0], journal.EvidenceOf(counted)) {
		t.Errorf("counted by %v, want %v", by, counted)
	}
	w.afterNotice()
	a = must(city.ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: name}))
	if a.GetApprovedFen() != 100*wan {
		t.Errorf("approved: %v", a)
	}
	w.foots("approved", 400, 500, 100, 0, 0, 0, 0, 0)

	award := must(city.AwardApplication(ctx, &fundv1.AwardApplicationRequest{Name: name}))
	if award.GetName() != "awards/140525-line-2" || award.GetAmountFen() != 100*wan || len(award.GetDecisions()) != 1 {
		t.Errorf("award: %v", award)
	}
	w.foots("awarded", 400, 500, 0, 100, 0, 0, 0, 0)

	first, second := award.GetName()+"/tranches/1", award.GetName()+"/tranches/2"
	must(city.ProveTranche(ctx, &fundv1.ProveTrancheRequest{Name: first}))
	accepted := w.milestones("projects/140525-line-2/milestones/installed", projectv1.Milestone_STATE_ACCEPTED)
	tranche := must(city.ProveTranche(ctx, &fundv1.ProveTrancheRequest{Name: second}))
	if e := tranche.GetEvidence(); e.GetService() != "project" || e.GetResource() != accepted.GetResource() ||
		e.GetRevision() != accepted.GetRevision() || !bytes.Equal(e.GetHash(), accepted.GetHash()) {
		t.Errorf("evidence: %v, want %v", e, accepted)
	}
	w.foots("proven", 400, 500, 0, 0, 100, 0, 0, 0)

	d1, d2 := w.send("140525-line-2-1", first), w.send("140525-line-2-2", second)
	w.foots("sent", 400, 500, 0, 0, 0, 100, 0, 0)
	for _, d := range []string{d1, d2} {
		must(city.ConfirmDisbursement(ctx, &fundv1.ConfirmDisbursementRequest{Name: d, BankReference: "P" + d[len(d)-1:]}))
	}
	w.foots("paid", 400, 500, 0, 0, 0, 0, 100, 0)
	award = must(county.GetAward(ctx, &fundv1.GetAwardRequest{Name: award.GetName()}))
	if award.GetPaidFen() != 100*wan {
		t.Errorf("award: %v", award)
	}

	must(city.CreateRecovery(ctx, &fundv1.CreateRecoveryRequest{RecoveryId: "140525-line-2", Recovery: &fundv1.Recovery{
		Award: award.GetName(), AmountFen: 30 * wan, Reason: "sold the line",
	}}))
	must(city.ReceiveRecovery(ctx, &fundv1.ReceiveRecoveryRequest{Name: "recoveries/140525-line-2", BankReference: "R1"}))
	w.foots("recovered", 400, 500, 0, 0, 0, 0, 70, 30)
	award = must(county.GetAward(ctx, &fundv1.GetAwardRequest{Name: award.GetName()}))
	if award.GetPaidFen() != 100*wan || award.GetDemandedFen() != 0 || award.GetRecoveredFen() != 30*wan {
		t.Errorf("award: %v", award)
	}

	line := must(county.GetLine(ctx, &fundv1.GetLineRequest{Name: "budgets/2023/lines/equipment"}))
	want := &fundv1.LineBalances{AvailableFen: 500 * wan, PaidFen: 70 * wan, RecoveredFen: 30 * wan}
	if !proto.Equal(line.GetBalances(), want) {
		t.Errorf("balances of the line: %v", line.GetBalances())
	}
	if _, err := w.db.Verify(ctx, 1, must(w.db.Head(ctx)).GetRevision()); err != nil {
		t.Error(err)
	}
}

// What is taken back on the way comes back to the line, or to the stage that it left.
func TestMoneyComesBack(t *testing.T) {
	w := newWorld(t)
	w.begin()
	ctx, city := t.Context(), w.as(finance)

	withdrawn := w.apply(1)
	w.announce(withdrawn)
	tranche := w.payable(2)
	award := "awards/140525-line-2"
	must(city.ApproveApplication(ctx, &fundv1.ApproveApplicationRequest{Name: withdrawn, AmountFen: 80 * wan}))
	w.foots("approved", 400, 420, 80, 40, 60, 0, 0, 0)
	must(w.as(zezhou).WithdrawApplication(ctx, &fundv1.WithdrawApplicationRequest{Name: withdrawn}))
	w.foots("withdrawn", 400, 500, 0, 40, 60, 0, 0, 0)
	release := must(city.GetTransfer(ctx, &fundv1.GetTransferRequest{Name: "accounts/2023-equipment-available/transfers/release-140525-line-1"}))
	if release.GetReversedTransfer() != "reserve-140525-line-1" || release.GetPrincipal() != zezhou || release.GetCause() != withdrawn {
		t.Errorf("release: %v", release)
	}

	d := w.send("140525-line-2-1", tranche)
	must(city.ReturnDisbursement(ctx, &fundv1.ReturnDisbursementRequest{Name: d, BankReference: "B1"}))
	w.foots("returned", 400, 500, 0, 40, 60, 0, 0, 0)
	d = w.pay("140525-line-2-1b", tranche)
	w.foots("paid again", 400, 500, 0, 40, 0, 0, 60, 0)
	must(city.ReturnDisbursement(ctx, &fundv1.ReturnDisbursementRequest{Name: d, BankReference: "B2"}))
	w.foots("returned late", 400, 500, 0, 40, 60, 0, 0, 0)
	if a := must(city.GetAward(ctx, &fundv1.GetAwardRequest{Name: award})); a.GetPaidFen() != 0 {
		t.Errorf("award after a late return: %v", a)
	}
	w.pay("140525-line-2-1c", tranche)
	w.foots("paid a third time", 400, 500, 0, 40, 0, 0, 60, 0)

	must(city.CutTranche(ctx, &fundv1.CutTrancheRequest{Name: award + "/tranches/2", Reason: "not accepted"}))
	w.foots("cut", 400, 540, 0, 0, 0, 0, 60, 0)
	payable := w.payable(3)
	must(city.CutTranche(ctx, &fundv1.CutTrancheRequest{Name: payable, Reason: "gave up"}))
	w.foots("cut after proof", 400, 500, 0, 40, 0, 0, 60, 0)
	if a := must(city.GetAward(ctx, &fundv1.GetAwardRequest{Name: award})); a.GetPaidFen() != 60*wan || a.GetCutFen() != 40*wan {
		t.Errorf("award at the end: %v", a)
	}
}

// A line has room for ten of a hundred applications that are approved at the same moment.
func TestHundredApprovalsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.begin()
	w.line("brands", 300*wan+wan/2) // room for ten of 30, and not for eleven
	call := newCall()
	call.Line = "budgets/2023/lines/brands"
	w.call("2023-brands", call)
	var names []string
	for n := range 100 {
		names = append(names, w.apply(n, func(a *fundv1.Application) { a.Call, a.RequestedFen = "calls/2023-brands", 30*wan }))
		w.announce(names[n])
	}
	w.afterNotice()
	errs := make([]error, len(names))
	var approvals sync.WaitGroup
	for i, name := range names {
		approvals.Go(func() {
			_, errs[i] = w.as(finance).ApproveApplication(t.Context(), &fundv1.ApproveApplicationRequest{Name: name})
		})
	}
	approvals.Wait()
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
			continue
		}
		refused(t, err, codes.FailedPrecondition, fundv1.Reason_REASON_INSUFFICIENT_BALANCE)
	}
	if succeeded != 10 {
		t.Errorf("%d approvals succeeded", succeeded)
	}
	w.foots("approved", 99, 600, 300, 0, 0, 0, 0, 0)
}

// A transfer can be read under each of its accounts, the oldest first.
func TestTransfers(t *testing.T) {
	w := newWorld(t)
	w.begin()
	for n := range 4 {
		w.announce(w.apply(9 - n))
	}
	w.afterNotice()
	for n := range 4 {
		must(w.as(finance).ApproveApplication(t.Context(), &fundv1.ApproveApplicationRequest{Name: fmt.Sprintf("applications/140525-line-%d", 9-n)}))
	}
	for account, want := range map[string][]string{
		"accounts/2023-equipment-available": {"appropriate-2023-equipment", "reserve-140525-line-9", "reserve-140525-line-8", "reserve-140525-line-7", "reserve-140525-line-6"},
		"accounts/2023-equipment-reserved":  {"reserve-140525-line-9", "reserve-140525-line-8", "reserve-140525-line-7", "reserve-140525-line-6"},
		"accounts/2023-appropriation":       {"adopt-2023", "appropriate-2023-equipment"},
	} {
		req := &fundv1.ListTransfersRequest{Parent: account, PageSize: 2}
		var got []*fundv1.Transfer
		for {
			res := must(w.as(finance).ListTransfers(t.Context(), req))
			got = append(got, res.GetTransfers()...)
			if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s has %d transfers", account, len(got))
			continue
		}
		for i, tr := range got {
			if tr.GetName() != account+"/transfers/"+want[i] || i > 0 && tr.GetNumber() <= got[i-1].GetNumber() {
				t.Errorf("transfer %d of %s: %v", i, account, tr)
			}
			if again := must(w.as(finance).GetTransfer(t.Context(), &fundv1.GetTransferRequest{Name: tr.GetName()})); !proto.Equal(again, tr) {
				t.Errorf("%v is listed as %v", again, tr)
			}
		}
	}
}

// The ledger's stages are the contract's, and its accounts bear their names.
func TestStagesAgree(t *testing.T) {
	if got, want := len(ledger.Stages), fundv1.Stage(0).Descriptor().Values().Len()-1; got != want {
		t.Fatalf("%d stages, the contract has %d", got, want)
	}
	words := map[ledger.Stage]string{ledger.Sources: "SOURCES", ledger.Available: "AVAILABLE", ledger.InTransit: "IN_TRANSIT", ledger.Recovered: "RECOVERED"}
	for stage, word := range words {
		if got := fundv1.Stage(stage).String(); got != "STAGE_"+word {
			t.Errorf("stage %v is %s", stage, got)
		}
	}
}

// Every verb of the lifecycle tables is drawn as the contract draws it: a verb more or less shows here.
func TestLifecycles(t *testing.T) {
	for want, got := range map[string][]string{
		"adopt close": fund.BudgetLifecycle.Verbs(),
		"open close":  fund.CallLifecycle.Verbs(),
		"submit check review announce approve award return reject withdraw": fund.ApplicationLifecycle.Verbs(),
		"prove send confirm return cut":                                     fund.TrancheLifecycle.Verbs(),
		"check send confirm return cancel":                                  fund.DisbursementLifecycle.Verbs(),
		"receive cancel":                                                    fund.RecoveryLifecycle.Verbs(),
	} {
		if fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
