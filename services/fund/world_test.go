package fund_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/uscc"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/fund"
)

// The callers of the tests.
const (
	finance  = "finance/wang" // the city's finance bureau
	checker  = "finance/li"
	sender   = "finance/zhao"
	zezhou   = "zezhou/office" // a county's office
	yangch   = "yangcheng/office"
	wan      = int64(1_000_000) // ten thousand yuan, in fen
	firstDay = "2023-03-01"     // a Wednesday
)

func principals() []authn.Principal {
	return []authn.Principal{
		{Name: finance, Division: "140500", Permissions: []string{"*"}},
		{Name: checker, Division: "140500", Permissions: []string{"*"}},
		{Name: sender, Division: "140500", Permissions: []string{"*"}},
		{Name: zezhou, Division: "140525", Permissions: []string{"fund.*"}},
		{Name: yangch, Division: "140522", Permissions: []string{"fund.*"}},
	}
}

// world is the fund service on loopback, with a project service whose journal is real, and a town registry that has the
// calendar of 2023.
type world struct {
	t          testing.TB
	clock      *clock.Manual
	db         *journal.DB
	server     *rpctest.Server
	milestones func(name string, state projectv1.Milestone_State) *journalv1.Change
	project    journalv1.JournalClient
	town       journalv1.JournalClient
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: clock.NewManual(day(firstDay))}
	w.db = rpctest.OpenDB(t, "fund", w.clock)
	rpctest.Replays(t, w.db, fund.New(w.db, nil, nil).Schema())

	projects := rpctest.OpenDB(t, "project", w.clock)
	table := store.NewTable[*projectv1.Milestone]()
	w.milestones = func(name string, state projectv1.Milestone_State) *journalv1.Change {
		if err := projects.Update(t.Context(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
			return table.Put(tx, &projectv1.Milestone{Name: name, State: state})
		}); err != nil {
			t.Fatal(err)
		}
		return must(w.project.GetLatestChange(t.Context(), &journalv1.GetLatestChangeRequest{Name: "journals/project", Resource: name}))
	}
	w.project = journalv1.NewJournalClient(rpctest.Serve(t, projects, func(grpc.ServiceRegistrar) {}, principals()[0]).As(finance))
	towns := rpctest.OpenDB(t, "town", w.clock)
	if err := towns.Update(t.Context(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
		return store.NewTable[*townv1.HolidayCalendar]().Create(tx, calendar2023())
	}); err != nil {
		t.Fatal(err)
	}
	w.town = journalv1.NewJournalClient(rpctest.Serve(t, towns, func(grpc.ServiceRegistrar) {}, principals()[0]).As(finance))

	w.server = w.serve(w.project, w.town)
	return w
}

// serve serves the fund on the world's rows, with other peers if need be.
func (w *world) serve(project, town journalv1.JournalClient) *rpctest.Server {
	return rpctest.Serve(w.t, w.db, fund.New(w.db, project, town).Register, principals()...)
}

func (w *world) as(who string) fundv1.SpecialFundClient {
	return fundv1.NewSpecialFundClient(w.server.As(who))
}

// unreachable is a connection to nobody.
func unreachable(t testing.TB) *grpc.ClientConn {
	conn := must(rpc.Dial("127.0.0.1:1", nil, ""))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// calendar2023 is the only calendar that the town registry has: a holiday on the 6th of March, and a Saturday worked for it.
func calendar2023() *townv1.HolidayCalendar {
	return &townv1.HolidayCalendar{
		Name:           "holidayCalendars/2023",
		Holidays:       []*date.Date{civil.New(2023, 3, 6)},
		MakeUpWorkdays: []*date.Date{civil.New(2023, 3, 11)},
	}
}

func day(text string) time.Time {
	return must(time.ParseInLocation(time.DateOnly, text, civil.Zone)).Add(9 * time.Hour)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// refused fails unless an error has the reason and the code that the contract gives it.
func refused(t testing.TB, err error, code codes.Code, reason protoreflect.Enum) {
	t.Helper()
	if !fault.Is(err, reason) || status.Code(err) != code {
		t.Errorf("got %v, want %v with %v", err, code, reason)
	}
}

// code makes the n-th unified social credit code.
func code(n int) string { return must(uscc.Complete(fmt.Sprintf("91140525%08d", n))) }

// sha makes the digest of the n-th paper.
func sha(n int) string { return fmt.Sprintf("%064x", n) }

// The rows that most tests begin with: a budget of 1,000万 with 600万 on a line, and an open call.

func newBudget() *fundv1.Budget {
	return &fundv1.Budget{Title: "2023", Sources: []*fundv1.Source{
		{Title: "City", AmountFen: 700 * wan}, {Title: "Province", AmountFen: 300 * wan},
	}}
}

func newCall() *fundv1.Call {
	return &fundv1.Call{
		Title:                "Equipment",
		Line:                 "budgets/2023/lines/equipment",
		Mode:                 fundv1.Call_MODE_INVESTMENT_SUBSIDY,
		Basis:                fundv1.Call_BASIS_VERIFIED,
		RateBp:               2000,
		KeyTownExtraBp:       500,
		KeyTowns:             []string{"towns/140525-casting"},
		CapPerApplicationFen: 200 * wan,
		CapPerEnterpriseFen:  300 * wan,
		OpenDate:             civil.New(2023, 3, 1),
		CloseDate:            civil.New(2023, 3, 31),
		TranchePlan: []*fundv1.TranchePlan{
			{Title: "In advance", ShareBp: 6000},
			{Title: "On acceptance", ShareBp: 4000, Milestone: "installed"},
		},
	}
}

func (w *world) begin() {
	c, ctx := w.as(finance), w.t.Context()
	must(c.CreateBudget(ctx, &fundv1.CreateBudgetRequest{BudgetId: "2023", Budget: newBudget()}))
	must(c.AdoptBudget(ctx, &fundv1.AdoptBudgetRequest{Name: "budgets/2023"}))
	w.line("equipment", 600*wan)
	w.call("2023-equipment", newCall())
}

func (w *world) line(id string, amount int64) *fundv1.Line {
	return must(w.as(finance).CreateLine(w.t.Context(), &fundv1.CreateLineRequest{
		Parent: "budgets/2023", LineId: id, Line: &fundv1.Line{Purpose: id, Action: 3, AmountFen: amount},
	}))
}

func (w *world) call(id string, call *fundv1.Call) {
	must(w.as(finance).CreateCall(w.t.Context(), &fundv1.CreateCallRequest{CallId: id, Call: call}))
	must(w.as(finance).OpenCall(w.t.Context(), &fundv1.OpenCallRequest{Name: "calls/" + id}))
}

// newApplication is the n-th application: of its own enterprise, for its own project, on its own paper.
func newApplication(n int) *fundv1.Application {
	return &fundv1.Application{
		Call:                  "calls/2023-equipment",
		Town:                  "towns/140525-casting",
		Project:               fmt.Sprintf("projects/140525-line-%d", n),
		EnterpriseCode:        code(n),
		Title:                 fmt.Sprintf("Line %d", n),
		EligibleInvestmentFen: 500 * wan,
		RequestedFen:          100 * wan,
		EvidenceSha256S:       []string{sha(n)},
	}
}

func (w *world) apply(n int, change ...func(*fundv1.Application)) (name string) {
	a := newApplication(n)
	for _, c := range change {
		c(a)
	}
	id := fmt.Sprintf("140525-line-%d", n)
	return must(w.as(zezhou).CreateApplication(w.t.Context(), &fundv1.CreateApplicationRequest{ApplicationId: id, Application: a})).GetName()
}

// announce takes a draft through submission, check and review onto public notice.
func (w *world) announce(name string) {
	ctx := w.t.Context()
	must(w.as(zezhou).SubmitApplication(ctx, &fundv1.SubmitApplicationRequest{Name: name}))
	must(w.as(zezhou).CheckApplication(ctx, &fundv1.CheckApplicationRequest{Name: name, VerifiedInvestmentFen: 480 * wan}))
	must(w.as(finance).ReviewApplication(ctx, &fundv1.ReviewApplicationRequest{Name: name, Scores: []*fundv1.ExpertScore{
		{Expert: "07", Points: 86}, {Expert: "11", Points: 87}, {Expert: "19", Points: 87}, {Expert: "23", Points: 10, Recused: true},
	}}))
	must(w.as(finance).AnnounceApplication(ctx, &fundv1.AnnounceApplicationRequest{Name: name}))
}

// afterNotice moves the clock past the notices that began today. In March 2023 five working days end within eight.
func (w *world) afterNotice() { w.clock.Advance(8 * 24 * time.Hour) }

// award takes a draft all the way to an award, of 100万 unless the application asks for something else.
func (w *world) award(name string) *fundv1.Award {
	w.announce(name)
	w.afterNotice()
	must(w.as(finance).ApproveApplication(w.t.Context(), &fundv1.ApproveApplicationRequest{Name: name}))
	return must(w.as(finance).AwardApplication(w.t.Context(), &fundv1.AwardApplicationRequest{Name: name}))
}

// payable is an award whose first tranche, of 60万, is payable.
func (w *world) payable(n int) (tranche string) {
	tranche = w.award(w.apply(n)).GetName() + "/tranches/1"
	must(w.as(finance).ProveTranche(w.t.Context(), &fundv1.ProveTrancheRequest{Name: tranche}))
	return tranche
}

func (w *world) prepare(id, tranche string) (name string) {
	return must(w.as(finance).CreateDisbursement(w.t.Context(), &fundv1.CreateDisbursementRequest{
		DisbursementId: id, Disbursement: newDisbursement(tranche),
	})).GetName()
}

func newDisbursement(tranche string) *fundv1.Disbursement {
	return &fundv1.Disbursement{Tranche: tranche, Payee: "泽州铸造有限公司", PayeeAccount: "6222020200112233", PayeeBank: "ICBC Zezhou"}
}

// send prepares, checks and sends a disbursement.
func (w *world) send(id, tranche string) (name string) {
	name = w.prepare(id, tranche)
	must(w.as(checker).CheckDisbursement(w.t.Context(), &fundv1.CheckDisbursementRequest{Name: name}))
	must(w.as(sender).SendDisbursement(w.t.Context(), &fundv1.SendDisbursementRequest{Name: name}))
	return name
}

// pay sends a disbursement and takes the bank's receipt for it.
func (w *world) pay(id, tranche string) (name string) {
	name = w.send(id, tranche)
	must(w.as(finance).ConfirmDisbursement(w.t.Context(), &fundv1.ConfirmDisbursementRequest{Name: name, BankReference: "P-" + id}))
	return name
}

// foots fails unless the trial balance of 2023 is in order and holds these balances, in 万, from the appropriation on.
func (w *world) foots(stage string, want ...int64) {
	w.t.Helper()
	trial := must(w.as(finance).ComputeTrialBalance(w.t.Context(), &fundv1.ComputeTrialBalanceRequest{Budget: "budgets/2023"}))
	if trial.GetDebitFen() != trial.GetCreditFen() || trial.GetBalanceFen() != 0 {
		w.t.Errorf("%s: debits %d, credits %d, balance %d", stage, trial.GetDebitFen(), trial.GetCreditFen(), trial.GetBalanceFen())
	}
	var got []int64
	var sum int64
	for i, row := range trial.GetRows() {
		if row.GetStage() != fundv1.Stage(i+1) {
			w.t.Errorf("%s: row %d is of %v", stage, i, row.GetStage())
		}
		if row.GetStage() != fundv1.Stage_STAGE_SOURCES {
			got = append(got, row.GetBalanceFen()/wan)
			sum += row.GetBalanceFen()
		}
	}
	if sources := trial.GetRows()[0].GetBalanceFen(); sum != -sources {
		w.t.Errorf("%s: %d fen out of sources of %d", stage, sum, sources)
	}
	if want != nil && !slices.Equal(got, want) {
		w.t.Errorf("%s: balances %v, want %v", stage, got, want)
	}
}

// unchanged fails if something is committed while f runs.
func (w *world) unchanged(f func()) {
	w.t.Helper()
	before := must(w.db.Head(w.t.Context()))
	f()
	if after := must(w.db.Head(w.t.Context())); after.GetRevision() != before.GetRevision() {
		w.t.Errorf("revision %d became %d", before.GetRevision(), after.GetRevision())
	}
}
