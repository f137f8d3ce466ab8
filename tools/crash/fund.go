package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/uscc"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/fund"
)

// The money: one line that all approvals draw on, with room for a few of them at a time.
const (
	grantFen         = 1_000_000
	room             = 24
	announcedInStore = 320
)

var fundLoad = load{
	service: "fund",
	schema:  func() *store.Schema { return fund.New(nil, nil, nil).Schema() },
	register: func(db *journal.DB) func(grpc.ServiceRegistrar) {
		return fund.New(db, nil, weekends{}).Register
	},
	fill: fillFund,
	step: stepFund,
	own:  checkFund,
	shapes: shapes(map[string]string{
		"CreateLine":          "+Line *Account:2 +Transfer",
		"UpdateLine":          "~Line",
		"CreateApplication":   "+Application",
		"UpdateApplication":   "~Application",
		"SubmitApplication":   "~Application",
		"CheckApplication":    "~Application",
		"ReviewApplication":   "~Application",
		"ReturnApplication":   "~Application",
		"ApproveApplication":  "~Application *Account:2 +Transfer",
		"WithdrawApplication": "~Application *Account:0-2 +Transfer:0-1",
		"AwardApplication":    "+Award +Tranche:2 ~Application *Account:2 +Transfer",
		"ProveTranche":        "~Tranche *Account:2 +Transfer",
		"CutTranche":          "~Tranche ~Award *Account:2 +Transfer",
		"CreateDisbursement":  "+Disbursement ~Tranche",
		"CheckDisbursement":   "~Disbursement",
		"SendDisbursement":    "~Disbursement ~Tranche *Account:2 +Transfer",
		"ConfirmDisbursement": "~Disbursement ~Tranche ~Award *Account:2 +Transfer",
		"ReturnDisbursement":  "~Disbursement ~Tranche ~Award:0-1 *Account:2 +Transfer",
	}),
}

// weekends is the journal of a town registry whose calendars have no holidays, for the notices of the filling.
type weekends struct{ journalv1.JournalClient }

// GetLatestChange implements the client of the journal.
func (weekends) GetLatestChange(_ context.Context, req *journalv1.GetLatestChangeRequest, _ ...grpc.CallOption) (*journalv1.Change, error) {
	calendar, err := anypb.New(&townv1.HolidayCalendar{Name: req.GetResource()})
	return &journalv1.Change{Service: "town", Resource: req.GetResource(), Revision: 1, Hash: make([]byte, sha256.Size), After: calendar}, err
}

const (
	budget = "budgets/2023"
	line   = budget + "/lines/equipment"
	call   = "calls/2023-equipment"
)

func newApplication(id string) *fundv1.Application {
	digest := sha256.Sum256([]byte(id))
	code, err := uscc.Complete(fmt.Sprintf("91140525%08d", (int(digest[0])<<16|int(digest[1])<<8|int(digest[2]))%100_000_000))
	if err != nil {
		panic(err) // the sixteen digits are right
	}
	return &fundv1.Application{
		Call: call, Town: "towns/140525-casting", Project: "projects/" + id, EnterpriseCode: code, Title: id,
		EligibleInvestmentFen: 10 * grantFen, RequestedFen: grantFen, EvidenceSha256S: []string{fmt.Sprintf("%x", digest)},
	}
}

// fillFund makes a budget, a line that is too small, and applications whose public notice has ended.
func fillFund(ctx context.Context, f *filler) {
	f.ask(ctx, &fundv1.CreateBudgetRequest{BudgetId: "2023", Budget: &fundv1.Budget{Title: "2023", Sources: []*fundv1.Source{
		{Title: "City", AmountFen: 1000 * grantFen},
	}}})
	f.ask(ctx, &fundv1.AdoptBudgetRequest{Name: budget})
	f.ask(ctx, &fundv1.CreateLineRequest{Parent: budget, LineId: "equipment", Line: &fundv1.Line{Purpose: "Equipment", Action: 3, AmountFen: room * grantFen}})
	today := civil.DateOf(f.clock.Now())
	f.ask(ctx, &fundv1.CreateCallRequest{CallId: "2023-equipment", Call: &fundv1.Call{
		Title: "Equipment", Line: line, Mode: fundv1.Call_MODE_INVESTMENT_SUBSIDY, Basis: fundv1.Call_BASIS_PLANNED, RateBp: 5000,
		CapPerApplicationFen: grantFen, CapPerEnterpriseFen: 100 * grantFen,
		OpenDate: today, CloseDate: civil.AddDays(today, 365),
		TranchePlan: []*fundv1.TranchePlan{{Title: "First", ShareBp: 6000}, {Title: "Rest", ShareBp: 4000}},
	}})
	f.ask(ctx, &fundv1.OpenCallRequest{Name: call})
	for n := range f.applications {
		id := fmt.Sprintf("140525-old-%d", n)
		name := "applications/" + id
		f.ask(ctx, &fundv1.CreateApplicationRequest{ApplicationId: id, Application: newApplication(id)})
		f.ask(ctx, &fundv1.SubmitApplicationRequest{Name: name})
		f.ask(ctx, &fundv1.CheckApplicationRequest{Name: name})
		f.ask(ctx, &fundv1.ReviewApplicationRequest{Name: name, Scores: []*fundv1.ExpertScore{{Expert: "07", Points: 86}}})
		f.ask(ctx, &fundv1.AnnounceApplicationRequest{Name: name})
	}
	f.clock.Advance(20 * 24 * time.Hour)
}

func stepFund(ctx context.Context, w *worker) {
	switch w.random.IntN(12) {
	case 0:
		id := fmt.Sprintf("140525-w%d-r%d-%d", w.number, w.round, w.sent)
		a := do(ctx, w, maker, &fundv1.CreateApplicationRequest{ApplicationId: id, Application: newApplication(id)}, (*fundv1.Application)(nil))
		if a != nil {
			w.mine = append(w.mine, a.GetName())
		}
	case 1:
		id := fmt.Sprintf("w%d-r%d-%d", w.number, w.round, w.sent)
		do(ctx, w, maker, &fundv1.CreateLineRequest{Parent: budget, LineId: id, Line: &fundv1.Line{Purpose: id, Action: 3, AmountFen: 100}}, (*fundv1.Line)(nil))
	case 2: // all of them write on the same line
		l := get(ctx, w, &fundv1.GetLineRequest{Name: line}, (*fundv1.Line)(nil))
		if l != nil {
			l.Purpose = fmt.Sprintf("Equipment %d-%d-%d", w.round, w.number, w.sent)
			do(ctx, w, maker, &fundv1.UpdateLineRequest{Line: l}, l)
		}
	case 3:
		w.trial(ctx)
	case 4:
		if len(w.mine) > 0 {
			stepApplication(ctx, w, w.mine[w.random.IntN(len(w.mine))])
		}
	case 5: // one that others change too
		stepApplication(ctx, w, fmt.Sprintf("applications/140525-old-%d", w.random.IntN(announcedInStore)))
	default: // a few at a time, so that they get far
		n := w.number + callers*(w.round%4*2+w.random.IntN(4))
		stepApplication(ctx, w, fmt.Sprintf("applications/140525-old-%d", n%announcedInStore))
	}
}

// trial makes sure that the books foot at any moment that somebody looks.
func (w *worker) trial(ctx context.Context) {
	answer, outcome, err := invoke(ctx, w.conns[maker], &fundv1.ComputeTrialBalanceRequest{Budget: budget})
	switch outcome {
	case Unanswered:
		w.lost(err)
	case Away:
	case Refused:
		w.history.broken("trial balance: %v", err)
	default:
		if t := answer.(*fundv1.ComputeTrialBalanceResponse); t.GetDebitFen() != t.GetCreditFen() || t.GetBalanceFen() != 0 {
			w.history.broken("the trial balance does not foot: %v", t)
		}
	}
}

func stepApplication(ctx context.Context, w *worker, name string) {
	a := get(ctx, w, &fundv1.GetApplicationRequest{Name: name}, (*fundv1.Application)(nil))
	switch on := a.GetEtag(); a.GetState() {
	case fundv1.Application_STATE_DRAFT:
		if w.one(3) {
			a.Title = fmt.Sprintf("%d-%d", w.round, w.sent)
			do(ctx, w, maker, &fundv1.UpdateApplicationRequest{Application: a}, a)
			return
		}
		do(ctx, w, maker, &fundv1.SubmitApplicationRequest{Name: name, Etag: on}, a)
	case fundv1.Application_STATE_SUBMITTED:
		do(ctx, w, maker, &fundv1.CheckApplicationRequest{Name: name, Etag: on}, a)
	case fundv1.Application_STATE_CHECKED:
		do(ctx, w, checks, &fundv1.ReviewApplicationRequest{Name: name, Etag: on, Scores: []*fundv1.ExpertScore{{Expert: "07", Points: 86}}}, a)
	case fundv1.Application_STATE_REVIEWED:
		do(ctx, w, checks, &fundv1.ReturnApplicationRequest{Name: name, Etag: on, Reason: "again"}, a)
	case fundv1.Application_STATE_ANNOUNCED:
		do(ctx, w, maker, &fundv1.ApproveApplicationRequest{Name: name, Etag: on}, a)
	case fundv1.Application_STATE_APPROVED:
		if w.one(4) {
			do(ctx, w, maker, &fundv1.WithdrawApplicationRequest{Name: name, Etag: on}, a)
			return
		}
		do(ctx, w, checks, &fundv1.AwardApplicationRequest{Name: name, Etag: on}, (*fundv1.Award)(nil))
	case fundv1.Application_STATE_AWARDED:
		stepTranche(ctx, w, fmt.Sprintf("%s/tranches/%d", a.GetAward(), 1+w.random.IntN(2)))
	}
}

func stepTranche(ctx context.Context, w *worker, name string) {
	t := get(ctx, w, &fundv1.GetTrancheRequest{Name: name}, (*fundv1.Tranche)(nil))
	switch {
	case t == nil:
	case t.GetDisbursement() != "":
		stepDisbursement(ctx, w, t.GetDisbursement())
	case (t.GetState() == fundv1.Tranche_STATE_PENDING || t.GetState() == fundv1.Tranche_STATE_PAYABLE) && w.one(3):
		do(ctx, w, maker, &fundv1.CutTrancheRequest{Name: name, Etag: t.GetEtag(), Reason: "given up"}, t)
	case t.GetState() == fundv1.Tranche_STATE_PENDING:
		do(ctx, w, maker, &fundv1.ProveTrancheRequest{Name: name, Etag: t.GetEtag()}, t)
	case t.GetState() == fundv1.Tranche_STATE_PAYABLE:
		do(ctx, w, maker, &fundv1.CreateDisbursementRequest{
			DisbursementId: fmt.Sprintf("140525-w%d-r%d-%d", w.number, w.round, w.sent),
			Disbursement:   &fundv1.Disbursement{Tranche: name, Payee: "泽州铸造", PayeeAccount: "6222020200112233", PayeeBank: "ICBC"},
		}, (*fundv1.Disbursement)(nil))
	}
}

func stepDisbursement(ctx context.Context, w *worker, name string) {
	d := get(ctx, w, &fundv1.GetDisbursementRequest{Name: name}, (*fundv1.Disbursement)(nil))
	receipt := fmt.Sprintf("B-%d-%d-%d", w.round, w.number, w.sent)
	switch d.GetState() {
	case fundv1.Disbursement_STATE_PREPARED:
		do(ctx, w, checks, &fundv1.CheckDisbursementRequest{Name: name, Etag: d.GetEtag()}, d)
	case fundv1.Disbursement_STATE_CHECKED:
		do(ctx, w, sender, &fundv1.SendDisbursementRequest{Name: name, Etag: d.GetEtag()}, d)
	case fundv1.Disbursement_STATE_IN_TRANSIT:
		if w.one(3) {
			do(ctx, w, maker, &fundv1.ReturnDisbursementRequest{Name: name, Etag: d.GetEtag(), BankReference: receipt}, d)
			return
		}
		do(ctx, w, maker, &fundv1.ConfirmDisbursementRequest{Name: name, Etag: d.GetEtag(), BankReference: receipt}, d)
	case fundv1.Disbursement_STATE_PAID:
		if w.one(2) {
			do(ctx, w, maker, &fundv1.ReturnDisbursementRequest{Name: name, Etag: d.GetEtag(), BankReference: receipt}, d)
		}
	}
}

// checkFund adds the transfers up: they have to give the accounts, and the accounts have to foot.
func checkFund(t *tables) {
	type sum struct{ debit, credit, transfers int64 }
	want := map[string]sum{}
	numbered := map[int64]bool{}
	each(t, func(row *fundv1.Transfer) {
		var debit, credit int64
		for _, leg := range row.GetLegs() {
			s := want[leg.GetAccount()]
			want[leg.GetAccount()] = sum{s.debit + leg.GetDebitFen(), s.credit + leg.GetCreditFen(), s.transfers + 1}
			debit, credit = debit+leg.GetDebitFen(), credit+leg.GetCreditFen()
		}
		if debit != credit {
			t.report("%s debits %d fen and credits %d", row.GetName(), debit, credit)
		}
		if numbered[row.GetNumber()] {
			t.report("%s has number %d, and so has another", row.GetName(), row.GetNumber())
		}
		numbered[row.GetNumber()] = true
	})
	for n := range int64(len(numbered)) {
		if !numbered[n+1] {
			t.report("there are %d transfers, and none of number %d", len(numbered), n+1)
		}
	}
	var debit, credit int64
	each(t, func(a *fundv1.Account) {
		got := sum{a.GetDebitFen(), a.GetCreditFen(), a.GetTransferCount()}
		if got != want[a.GetName()] || a.GetBalanceFen() != got.debit-got.credit {
			t.report("%s holds %v, its transfers give %v", a.GetName(), got, want[a.GetName()])
		}
		if a.GetBalanceFen() < 0 && a.GetStage() != fundv1.Stage_STAGE_SOURCES {
			t.report("%s is overdrawn: %d fen", a.GetName(), a.GetBalanceFen())
		}
		delete(want, a.GetName())
		debit, credit = debit+got.debit, credit+got.credit
	})
	for name := range want {
		t.report("%s has transfers and is not there", name)
	}
	if debit != credit {
		t.report("the trial balance does not foot: debits %d fen, credits %d", debit, credit)
	}
}
