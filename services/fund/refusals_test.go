package fund_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// call makes a call whose answer does not matter.
func call[T any](_ T, err error) error { return err }

// refusal is a call that is refused: prepare sets the scene in a world that has an open call, and returns the call. What
// stands in the error's metadata, as `key=value`, is part of the contract.
type refusal struct {
	shows    string
	code     codes.Code
	reason   protoreflect.Enum
	metadata string
	prepare  func(*world) func() error
}

func createCall(change func(*fundv1.Call)) func(*world) func() error {
	return func(w *world) func() error {
		return func() error {
			c := newCall()
			change(c)
			return call(w.as(finance).CreateCall(w.t.Context(), &fundv1.CreateCallRequest{CallId: "2023-second", Call: c}))
		}
	}
}

func createApplication(change func(*fundv1.Application)) func(*world) func() error {
	return func(w *world) func() error {
		first := newApplication(1)
		must(w.as(zezhou).CreateApplication(w.t.Context(), &fundv1.CreateApplicationRequest{ApplicationId: "140525-line-1", Application: first}))
		return func() error {
			a := newApplication(2)
			change(a)
			return call(w.as(zezhou).CreateApplication(w.t.Context(), &fundv1.CreateApplicationRequest{ApplicationId: "140525-line-2", Application: a}))
		}
	}
}

func submit(scene func(*world)) func(*world) func() error {
	return func(w *world) func() error {
		name := w.apply(1)
		scene(w)
		return func() error {
			return call(w.as(zezhou).SubmitApplication(w.t.Context(), &fundv1.SubmitApplicationRequest{Name: name}))
		}
	}
}

// approve approves the first application, for an amount.
func approve(amount int64, change func(*fundv1.Application)) func(*world) func() error {
	return func(w *world) func() error {
		name := w.apply(1, change)
		w.announce(name)
		w.afterNotice()
		return func() error {
			return call(w.as(finance).ApproveApplication(w.t.Context(), &fundv1.ApproveApplicationRequest{Name: name, AmountFen: amount}))
		}
	}
}

func review(scores ...*fundv1.ExpertScore) func(*world) func() error {
	return func(w *world) func() error {
		ctx, name := w.t.Context(), w.apply(1)
		must(w.as(zezhou).SubmitApplication(ctx, &fundv1.SubmitApplicationRequest{Name: name}))
		must(w.as(zezhou).CheckApplication(ctx, &fundv1.CheckApplicationRequest{Name: name, VerifiedInvestmentFen: 1}))
		return func() error {
			return call(w.as(finance).ReviewApplication(ctx, &fundv1.ReviewApplicationRequest{Name: name, Scores: scores}))
		}
	}
}

func prove(scene func(*world)) func(*world) func() error {
	return func(w *world) func() error {
		name := w.award(w.apply(1)).GetName() + "/tranches/2"
		scene(w)
		return func() error {
			return call(w.as(zezhou).ProveTranche(w.t.Context(), &fundv1.ProveTrancheRequest{Name: name}))
		}
	}
}

// disbursed is about the disbursement of a payable tranche.
func disbursed(then func(w *world, tranche string) func() error) func(*world) func() error {
	return func(w *world) func() error { return then(w, w.payable(1)) }
}

func sendAs(who string) func(*world) func() error {
	return disbursed(func(w *world, tranche string) func() error {
		name := w.prepare("140525-d", tranche)
		must(w.as(checker).CheckDisbursement(w.t.Context(), &fundv1.CheckDisbursementRequest{Name: name}))
		return func() error {
			return call(w.as(who).SendDisbursement(w.t.Context(), &fundv1.SendDisbursementRequest{Name: name}))
		}
	})
}

func demand(award string, amount int64) *fundv1.CreateRecoveryRequest {
	return &fundv1.CreateRecoveryRequest{RecoveryId: "140525-r", Recovery: &fundv1.Recovery{Award: award, AmountFen: amount, Reason: "fraud"}}
}

var refusals = []refusal{
	{"town of another division", codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH, "field=application.town",
		createApplication(func(a *fundv1.Application) { a.Town = "towns/140522-silk" })},
	{"project of another division", codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH, "field=application.project",
		createApplication(func(a *fundv1.Application) { a.Project = "projects/140522-mill" })},
	{"tranche of another division", codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH, "field=disbursement.tranche",
		disbursed(func(w *world, tranche string) func() error {
			return func() error {
				return call(w.as(finance).CreateDisbursement(w.t.Context(), &fundv1.CreateDisbursementRequest{
					DisbursementId: "140522-d", Disbursement: newDisbursement(tranche)}))
			}
		})},
	{"award of another division", codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH, "field=recovery.award",
		func(w *world) func() error {
			return func() error { return call(w.as(finance).CreateRecovery(w.t.Context(), demand("awards/140522-x", 1))) }
		}},

	{"adopted budget is not edited", codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=ADOPTED",
		func(w *world) func() error {
			return func() error {
				b := newBudget()
				b.Name = "budgets/2023"
				return call(w.as(finance).UpdateBudget(w.t.Context(), &fundv1.UpdateBudgetRequest{Budget: b}))
			}
		}},
	{"open call is not edited", codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=OPEN",
		func(w *world) func() error {
			return func() error {
				c := newCall()
				c.Name = "calls/2023-equipment"
				return call(w.as(finance).UpdateCall(w.t.Context(), &fundv1.UpdateCallRequest{Call: c}))
			}
		}},
	{"application handed in is not edited", codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=SUBMITTED",
		func(w *world) func() error {
			name := w.apply(1)
			must(w.as(zezhou).SubmitApplication(w.t.Context(), &fundv1.SubmitApplicationRequest{Name: name}))
			return func() error {
				a := newApplication(1)
				a.Name = name
				return call(w.as(zezhou).UpdateApplication(w.t.Context(), &fundv1.UpdateApplicationRequest{Application: a}))
			}
		}},
	{"checked disbursement is not edited", codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=CHECKED",
		disbursed(func(w *world, tranche string) func() error {
			name := w.prepare("140525-d", tranche)
			must(w.as(checker).CheckDisbursement(w.t.Context(), &fundv1.CheckDisbursementRequest{Name: name}))
			return func() error {
				d := newDisbursement(tranche)
				d.Name = name
				return call(w.as(finance).UpdateDisbursement(w.t.Context(), &fundv1.UpdateDisbursementRequest{Disbursement: d}))
			}
		})},
	{"recovery received is not edited", codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=RECEIVED",
		disbursed(func(w *world, tranche string) func() error {
			w.pay("140525-d", tranche)
			r := must(w.as(finance).CreateRecovery(w.t.Context(), demand("awards/140525-line-1", 1)))
			must(w.as(finance).ReceiveRecovery(w.t.Context(), &fundv1.ReceiveRecoveryRequest{Name: r.GetName(), BankReference: "R"}))
			return func() error {
				r.Etag = ""
				return call(w.as(finance).UpdateRecovery(w.t.Context(), &fundv1.UpdateRecoveryRequest{Recovery: r}))
			}
		})},

	{"nothing is appropriated under a draft", codes.FailedPrecondition, fundv1.Reason_REASON_BUDGET_NOT_ADOPTED, "state=DRAFT",
		func(w *world) func() error {
			must(w.as(finance).CreateBudget(w.t.Context(), &fundv1.CreateBudgetRequest{BudgetId: "2024", Budget: newBudget()}))
			return func() error {
				return call(w.as(finance).CreateLine(w.t.Context(), &fundv1.CreateLineRequest{
					Parent: "budgets/2024", LineId: "x", Line: &fundv1.Line{Purpose: "x", Action: 1, AmountFen: 1}}))
			}
		}},
	{"nothing is approved under a closed budget", codes.FailedPrecondition, fundv1.Reason_REASON_BUDGET_NOT_ADOPTED, "state=CLOSED",
		func(w *world) func() error {
			then := approve(0, func(*fundv1.Application) {})(w)
			must(w.as(finance).CloseBudget(w.t.Context(), &fundv1.CloseBudgetRequest{Name: "budgets/2023"}))
			return then
		}},
	{"shares that are not whole", codes.InvalidArgument, fundv1.Reason_REASON_SHARES_NOT_WHOLE, "sum_bp=9999",
		createCall(func(c *fundv1.Call) { c.TranchePlan[1].ShareBp = 3999 })},
	{"more than everything for key towns", codes.InvalidArgument, fundv1.Reason_REASON_RATE_TOO_HIGH, "",
		createCall(func(c *fundv1.Call) { c.RateBp = 9501 })},
	{"call that closes before it opens", codes.InvalidArgument, fundv1.Reason_REASON_DATES_REVERSED, "",
		createCall(func(c *fundv1.Call) { c.CloseDate = civil.New(2023, 2, 28) })},
	{"statement that ends before it begins", codes.InvalidArgument, fundv1.Reason_REASON_DATES_REVERSED, "",
		func(w *world) func() error {
			return func() error {
				return call(w.as(finance).CreateStatement(w.t.Context(), &fundv1.CreateStatementRequest{StatementId: "2023-03",
					Statement: &fundv1.Statement{StartDate: civil.New(2023, 3, 2), EndDate: civil.New(2023, 3, 1)}}))
			}
		}},
	{"call of another year than its line", codes.InvalidArgument, fundv1.Reason_REASON_YEAR_MISMATCH, "",
		createCall(func(c *fundv1.Call) { c.Line = "budgets/2022/lines/equipment" })},

	{"call that is closed", codes.FailedPrecondition, fundv1.Reason_REASON_CALL_NOT_OPEN, "state=CLOSED",
		submit(func(w *world) {
			must(w.as(finance).CloseCall(w.t.Context(), &fundv1.CloseCallRequest{Name: "calls/2023-equipment"}))
		})},
	{"day before the call opens", codes.FailedPrecondition, fundv1.Reason_REASON_CALL_NOT_OPEN, "open_date=2023-03-02",
		func(w *world) func() error {
			c := newCall()
			c.OpenDate = civil.New(2023, 3, 2)
			w.call("2023-later", c)
			name := w.apply(1, func(a *fundv1.Application) { a.Call = "calls/2023-later" })
			return func() error {
				return call(w.as(zezhou).SubmitApplication(w.t.Context(), &fundv1.SubmitApplicationRequest{Name: name}))
			}
		}},
	{"day after the call closes", codes.FailedPrecondition, fundv1.Reason_REASON_CALL_NOT_OPEN, "close_date=2023-03-31",
		submit(func(w *world) { w.clock.Set(day("2023-04-01")) })},
	{"paper that another application rests on", codes.AlreadyExists, fundv1.Reason_REASON_DUPLICATE_EVIDENCE,
		"application=applications/140525-line-1 sha256=" + sha(1),
		createApplication(func(a *fundv1.Application) { a.EvidenceSha256S = []string{sha(2), sha(1)} })},
	{"project that another application is for", codes.AlreadyExists, fundv1.Reason_REASON_DUPLICATE_PROJECT,
		"application=applications/140525-line-1",
		createApplication(func(a *fundv1.Application) { a.Project = newApplication(1).GetProject() })},
	{"draft turned into a double", codes.AlreadyExists, fundv1.Reason_REASON_DUPLICATE_PROJECT, "application=applications/140525-line-1",
		func(w *world) func() error {
			w.apply(1)
			name := w.apply(2)
			return func() error {
				a := newApplication(2)
				a.Name, a.Project = name, newApplication(1).GetProject()
				return call(w.as(zezhou).UpdateApplication(w.t.Context(), &fundv1.UpdateApplicationRequest{Application: a,
					UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"project"}}}))
			}
		}},
	{"credit code with a wrong check", codes.InvalidArgument, typev1.Reason_REASON_CREDIT_CODE_INVALID, "rule=check field=application.enterprise_code",
		createApplication(func(a *fundv1.Application) {
			c := a.GetEnterpriseCode()
			a.EnterpriseCode = c[:17] + string("0123456789"[(strings.IndexByte("0123456789", c[17])+1)%10])
		})},

	{"check without the verified investment", codes.InvalidArgument, fundv1.Reason_REASON_VERIFIED_INVESTMENT_REQUIRED, "",
		func(w *world) func() error {
			name := w.apply(1)
			must(w.as(zezhou).SubmitApplication(w.t.Context(), &fundv1.SubmitApplicationRequest{Name: name}))
			return func() error {
				return call(w.as(zezhou).CheckApplication(w.t.Context(), &fundv1.CheckApplicationRequest{Name: name}))
			}
		}},
	{"every expert recused", codes.InvalidArgument, fundv1.Reason_REASON_SCORES_REQUIRED, "",
		review(&fundv1.ExpertScore{Expert: "07", Recused: true})},
	{"expert named twice", codes.InvalidArgument, fundv1.Reason_REASON_SCORES_REQUIRED, "",
		review(&fundv1.ExpertScore{Expert: "07", Points: 90}, &fundv1.ExpertScore{Expert: "07", Points: 91})},
	{"four days of notice", codes.InvalidArgument, typev1.Reason_REASON_NOTICE_TOO_SHORT, "field=notice_working_days",
		func(w *world) func() error {
			name := w.apply(1)
			return func() error {
				return call(w.as(finance).AnnounceApplication(w.t.Context(), &fundv1.AnnounceApplicationRequest{Name: name, NoticeWorkingDays: 4}))
			}
		}},
	{"approval on the last day of the notice", codes.FailedPrecondition, typev1.Reason_REASON_NOTICE_RUNNING, "notice_end_date=2023-03-08",
		func(w *world) func() error {
			name := w.apply(1)
			w.announce(name)
			w.clock.Set(day("2023-03-08"))
			return func() error {
				return call(w.as(finance).ApproveApplication(w.t.Context(), &fundv1.ApproveApplicationRequest{Name: name}))
			}
		}},
	{"notice into a year without a calendar", codes.FailedPrecondition, typev1.Reason_REASON_CALENDAR_NOT_LOADED, "year=2024",
		func(w *world) func() error {
			ctx, name := w.t.Context(), w.apply(1)
			must(w.as(zezhou).SubmitApplication(ctx, &fundv1.SubmitApplicationRequest{Name: name}))
			must(w.as(zezhou).CheckApplication(ctx, &fundv1.CheckApplicationRequest{Name: name, VerifiedInvestmentFen: 1}))
			must(w.as(finance).ReviewApplication(ctx, &fundv1.ReviewApplicationRequest{Name: name, Scores: []*fundv1.ExpertScore{{Expert: "1", Points: 1}}}))
			w.clock.Set(day("2023-12-27"))
			return func() error {
				return call(w.as(finance).AnnounceApplication(ctx, &fundv1.AnnounceApplicationRequest{Name: name}))
			}
		}},

	{"more than was asked for", codes.FailedPrecondition, fundv1.Reason_REASON_REQUEST_EXCEEDED, "limit_fen=100000000",
		approve(100*wan+1, func(*fundv1.Application) {})},
	{"more than a quarter of 480万 in a key town", codes.FailedPrecondition, fundv1.Reason_REASON_RATE_EXCEEDED, "limit_fen=120000000",
		approve(120*wan+1, func(a *fundv1.Application) { a.RequestedFen = 300 * wan })},
	{"more than a fifth of 480万 elsewhere", codes.FailedPrecondition, fundv1.Reason_REASON_RATE_EXCEEDED, "limit_fen=96000000",
		approve(96*wan+1, func(a *fundv1.Application) { a.Town, a.RequestedFen = "towns/140525-coal", 300*wan })},
	{"verified investment counts up to the claim", codes.FailedPrecondition, fundv1.Reason_REASON_RATE_EXCEEDED, "limit_fen=25000000",
		approve(25*wan+1, func(a *fundv1.Application) { a.EligibleInvestmentFen = 100 * wan })},
	{"more than the cap for one application", codes.FailedPrecondition, fundv1.Reason_REASON_APPLICATION_CAP_EXCEEDED, "limit_fen=1000000",
		func(w *world) func() error {
			c := newCall()
			c.CapPerApplicationFen = wan
			w.call("2023-small", c)
			return approve(wan+1, func(a *fundv1.Application) { a.Call = "calls/2023-small" })(w)
		}},
	{"more than the cap for one enterprise", codes.FailedPrecondition, fundv1.Reason_REASON_ENTERPRISE_CAP_EXCEEDED, "limit_fen=50000000",
		func(w *world) func() error {
			c := newCall()
			c.CapPerEnterpriseFen = 150 * wan
			w.call("2023-small", c)
			same := func(a *fundv1.Application) { a.Call, a.EnterpriseCode = "calls/2023-small", code(7) }
			w.award(w.apply(7, same))
			return approve(50*wan+1, same)(w)
		}},
	{"more than the line has", codes.FailedPrecondition, fundv1.Reason_REASON_INSUFFICIENT_BALANCE,
		"account=accounts/2023-small-available balance_fen=5 amount_fen=100000000",
		func(w *world) func() error {
			w.line("small", 5)
			c := newCall()
			c.Line = "budgets/2023/lines/small"
			w.call("2023-small", c)
			return approve(0, func(a *fundv1.Application) { a.Call = "calls/2023-small" })(w)
		}},
	{"more than the budget has", codes.FailedPrecondition, fundv1.Reason_REASON_INSUFFICIENT_BALANCE,
		"account=accounts/2023-appropriation balance_fen=400000000",
		func(w *world) func() error {
			return func() error {
				return call(w.as(finance).CreateLine(w.t.Context(), &fundv1.CreateLineRequest{
					Parent: "budgets/2023", LineId: "x", Line: &fundv1.Line{Purpose: "x", Action: 1, AmountFen: 400*wan + 1}}))
			}
		}},
	{"transfer that the ledger has", codes.AlreadyExists, fundv1.Reason_REASON_TRANSFER_EXISTS, "transfer=reserve-140525-line-1",
		func(w *world) func() error {
			then := approve(0, func(*fundv1.Application) {})(w)
			table := store.NewTable(
				store.Index[*fundv1.Transfer]{Name: "id", Keys: func(*fundv1.Transfer) []string { return []string{"reserve-140525-line-1"} }},
				store.Index[*fundv1.Transfer]{Name: "number", Keys: func(*fundv1.Transfer) []string { return []string{strings.Repeat("0", 19)} }},
			)
			must(0, w.db.Update(w.t.Context(), journal.Origin{}, func(tx *journal.Tx) error {
				return table.Create(tx, &fundv1.Transfer{Name: "accounts/2023-equipment-available/transfers/reserve-140525-line-1"})
			}))
			return then
		}},
	{"sum that does not fit", codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW, "",
		func(w *world) func() error {
			then := approve(0, func(*fundv1.Application) {})(w)
			table := store.NewTable[*fundv1.Account]()
			must(0, w.db.Update(w.t.Context(), journal.Origin{}, func(tx *journal.Tx) error {
				return table.Update(tx, &fundv1.Account{Name: "accounts/2023-equipment-available", Budget: "budgets/2023",
					Stage: fundv1.Stage_STAGE_AVAILABLE, DebitFen: math.MaxInt64, CreditFen: math.MaxInt64 - 100*wan, Etag: "x"})
			}))
			must(0, w.db.Update(w.t.Context(), journal.Origin{}, func(tx *journal.Tx) error {
				return table.Put(tx, &fundv1.Account{Name: "accounts/2023-equipment-reserved", Budget: "budgets/2023",
					Stage: fundv1.Stage_STAGE_RESERVED, DebitFen: math.MaxInt64, CreditFen: math.MaxInt64, Etag: "x"})
			}))
			return then
		}},

	{"return without a reason", codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason", func(w *world) func() error {
		return func() error {
			return call(w.as(zezhou).ReturnApplication(w.t.Context(), &fundv1.ReturnApplicationRequest{Name: "applications/140525-x"}))
		}
	}},
	{"rejection without a reason", codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason", func(w *world) func() error {
		return func() error {
			return call(w.as(finance).RejectApplication(w.t.Context(), &fundv1.RejectApplicationRequest{Name: "applications/140525-x"}))
		}
	}},
	{"cut without a reason", codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason", func(w *world) func() error {
		return func() error {
			return call(w.as(finance).CutTranche(w.t.Context(), &fundv1.CutTrancheRequest{Name: "awards/140525-x/tranches/1"}))
		}
	}},
	{"demand given up without a reason", codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason", func(w *world) func() error {
		return func() error {
			return call(w.as(finance).CancelRecovery(w.t.Context(), &fundv1.CancelRecoveryRequest{Name: "recoveries/140525-x"}))
		}
	}},

	{"milestone that is not there", codes.FailedPrecondition, fundv1.Reason_REASON_MILESTONE_NOT_ACCEPTED,
		"milestone=projects/140525-line-1/milestones/installed state=MISSING", prove(func(*world) {})},
	{"milestone that is only reported", codes.FailedPrecondition, fundv1.Reason_REASON_MILESTONE_NOT_ACCEPTED, "state=REPORTED",
		prove(func(w *world) {
			w.milestones("projects/140525-line-1/milestones/installed", projectv1.Milestone_STATE_REPORTED)
		})},
	{"project service out of reach", codes.Unavailable, typev1.Reason_REASON_PEER_UNAVAILABLE, "service=project",
		prove(func(w *world) { w.server = w.serve(journalv1.NewJournalClient(unreachable(w.t)), w.town) })},
	{"town registry out of reach", codes.Unavailable, typev1.Reason_REASON_PEER_UNAVAILABLE, "service=town",
		func(w *world) func() error {
			ctx, name := w.t.Context(), w.apply(1)
			must(w.as(zezhou).SubmitApplication(ctx, &fundv1.SubmitApplicationRequest{Name: name}))
			must(w.as(zezhou).CheckApplication(ctx, &fundv1.CheckApplicationRequest{Name: name, VerifiedInvestmentFen: 1}))
			must(w.as(finance).ReviewApplication(ctx, &fundv1.ReviewApplicationRequest{Name: name, Scores: []*fundv1.ExpertScore{{Expert: "1", Points: 1}}}))
			w.server = w.serve(w.project, journalv1.NewJournalClient(unreachable(w.t)))
			return func() error {
				return call(w.as(finance).AnnounceApplication(ctx, &fundv1.AnnounceApplicationRequest{Name: name}))
			}
		}},

	{"tranche whose condition is not proven", codes.FailedPrecondition, fundv1.Reason_REASON_TRANCHE_NOT_PAYABLE, "state=PENDING",
		func(w *world) func() error {
			tranche := w.award(w.apply(1)).GetName() + "/tranches/2"
			return func() error {
				return call(w.as(finance).CreateDisbursement(w.t.Context(), &fundv1.CreateDisbursementRequest{
					DisbursementId: "140525-d", Disbursement: newDisbursement(tranche)}))
			}
		}},
	{"tranche that is paid", codes.FailedPrecondition, fundv1.Reason_REASON_TRANCHE_NOT_PAYABLE, "state=PAID",
		disbursed(func(w *world, tranche string) func() error {
			w.pay("140525-d", tranche)
			return func() error {
				return call(w.as(finance).CreateDisbursement(w.t.Context(), &fundv1.CreateDisbursementRequest{
					DisbursementId: "140525-e", Disbursement: newDisbursement(tranche)}))
			}
		})},
	{"second disbursement", codes.FailedPrecondition, fundv1.Reason_REASON_DISBURSEMENT_STANDS, "disbursement=disbursements/140525-d",
		disbursed(func(w *world, tranche string) func() error {
			w.prepare("140525-d", tranche)
			return func() error {
				return call(w.as(finance).CreateDisbursement(w.t.Context(), &fundv1.CreateDisbursementRequest{
					DisbursementId: "140525-e", Disbursement: newDisbursement(tranche)}))
			}
		})},
	{"cut under a disbursement", codes.FailedPrecondition, fundv1.Reason_REASON_DISBURSEMENT_STANDS, "disbursement=disbursements/140525-d",
		disbursed(func(w *world, tranche string) func() error {
			w.prepare("140525-d", tranche)
			return func() error {
				return call(w.as(finance).CutTranche(w.t.Context(), &fundv1.CutTrancheRequest{Name: tranche, Reason: "late"}))
			}
		})},
	{"maker checks", codes.PermissionDenied, typev1.Reason_REASON_SAME_PRINCIPAL, "principal=" + finance,
		disbursed(func(w *world, tranche string) func() error {
			name := w.prepare("140525-d", tranche)
			return func() error {
				return call(w.as(finance).CheckDisbursement(w.t.Context(), &fundv1.CheckDisbursementRequest{Name: name}))
			}
		})},
	{"maker sends", codes.PermissionDenied, typev1.Reason_REASON_SAME_PRINCIPAL, "principal=" + finance, sendAs(finance)},
	{"checker sends", codes.PermissionDenied, typev1.Reason_REASON_SAME_PRINCIPAL, "principal=" + checker, sendAs(checker)},
	{"another than the maker edits", codes.PermissionDenied, fundv1.Reason_REASON_NOT_THE_MAKER, "maker=" + finance,
		disbursed(func(w *world, tranche string) func() error {
			d := newDisbursement(tranche)
			d.Name = w.prepare("140525-d", tranche)
			return func() error {
				return call(w.as(checker).UpdateDisbursement(w.t.Context(), &fundv1.UpdateDisbursementRequest{Disbursement: d}))
			}
		})},
	{"receipt under another number", codes.FailedPrecondition, fundv1.Reason_REASON_RECEIPT_CONFLICT, "bank_reference=P-140525-d",
		disbursed(func(w *world, tranche string) func() error {
			name := w.pay("140525-d", tranche)
			return func() error {
				return call(w.as(finance).ConfirmDisbursement(w.t.Context(), &fundv1.ConfirmDisbursementRequest{Name: name, BankReference: "other"}))
			}
		})},
	{"return under another number", codes.FailedPrecondition, fundv1.Reason_REASON_RECEIPT_CONFLICT, "bank_reference=B1",
		disbursed(func(w *world, tranche string) func() error {
			name := w.send("140525-d", tranche)
			must(w.as(finance).ReturnDisbursement(w.t.Context(), &fundv1.ReturnDisbursementRequest{Name: name, BankReference: "B1"}))
			return func() error {
				return call(w.as(finance).ReturnDisbursement(w.t.Context(), &fundv1.ReturnDisbursementRequest{Name: name, BankReference: "B2"}))
			}
		})},
	{"demand for more than was paid", codes.FailedPrecondition, fundv1.Reason_REASON_NOT_PAID_SO_MUCH, "limit_fen=60000000",
		disbursed(func(w *world, tranche string) func() error {
			w.pay("140525-d", tranche)
			return func() error {
				return call(w.as(finance).CreateRecovery(w.t.Context(), demand("awards/140525-line-1", 60*wan+1)))
			}
		})},
	{"late return of what is demanded back", codes.FailedPrecondition, fundv1.Reason_REASON_NOT_PAID_SO_MUCH, "limit_fen=59999999",
		disbursed(func(w *world, tranche string) func() error {
			name := w.pay("140525-d", tranche)
			must(w.as(finance).CreateRecovery(w.t.Context(), demand("awards/140525-line-1", 1)))
			return func() error {
				return call(w.as(finance).ReturnDisbursement(w.t.Context(), &fundv1.ReturnDisbursementRequest{Name: name, BankReference: "B"}))
			}
		})},
	{"bank that acts tomorrow", codes.InvalidArgument, fundv1.Reason_REASON_DATE_IN_FUTURE, "",
		disbursed(func(w *world, tranche string) func() error {
			name := w.send("140525-d", tranche)
			return func() error {
				return call(w.as(finance).ConfirmDisbursement(w.t.Context(), &fundv1.ConfirmDisbursementRequest{
					Name: name, BankReference: "P", PayDate: civil.AddDays(civil.DateOf(w.clock.Now()), 1)}))
			}
		})},

	{"receipt for what was never sent", codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "state=PREPARED verb=confirm",
		disbursed(func(w *world, tranche string) func() error {
			name := w.prepare("140525-d", tranche)
			return func() error {
				return call(w.as(finance).ConfirmDisbursement(w.t.Context(), &fundv1.ConfirmDisbursementRequest{Name: name, BankReference: "P"}))
			}
		})},
	{"line that is not there", codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "resource=budgets/2023/lines/x",
		createCall(func(c *fundv1.Call) { c.Line = "budgets/2023/lines/x" })},
	{"call that is not there", codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "resource=calls/2023-x",
		createApplication(func(a *fundv1.Application) { a.Call = "calls/2023-x" })},
	{"call for another line than before", codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, "",
		func(w *world) func() error {
			c := newCall()
			must(w.as(finance).CreateCall(w.t.Context(), &fundv1.CreateCallRequest{CallId: "2023-draft", Call: c}))
			w.line("other", 1)
			return func() error {
				c.Name, c.Line = "calls/2023-draft", "budgets/2023/lines/other"
				return call(w.as(finance).UpdateCall(w.t.Context(), &fundv1.UpdateCallRequest{Call: c}))
			}
		}},
	{"day that the calendar does not have", codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "",
		createCall(func(c *fundv1.Call) { c.OpenDate.Day, c.OpenDate.Month = 30, 2 })},
	{"line that is there", codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, "resource=budgets/2023/lines/equipment",
		func(w *world) func() error {
			return func() error {
				return call(w.as(finance).CreateLine(w.t.Context(), &fundv1.CreateLineRequest{
					Parent: "budgets/2023", LineId: "equipment", Line: &fundv1.Line{Purpose: "x", Action: 1, AmountFen: 1}}))
			}
		}},
	{"county that writes elsewhere", codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION, "",
		func(w *world) func() error {
			return func() error {
				return call(w.as(yangch).CreateApplication(w.t.Context(), &fundv1.CreateApplicationRequest{
					ApplicationId: "140525-line-1", Application: newApplication(1)}))
			}
		}},
	{"county that approves", codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION, "",
		func(w *world) func() error {
			name := w.apply(1)
			return func() error {
				return call(w.as(zezhou).ApproveApplication(w.t.Context(), &fundv1.ApproveApplicationRequest{Name: name}))
			}
		}},
}

// Every refusal has its reason and changes nothing, and every reason of the contract is answered.
func TestRefusals(t *testing.T) {
	answered := map[protoreflect.EnumNumber]bool{}
	for _, c := range refusals {
		t.Run(c.shows, func(t *testing.T) {
			w := newWorld(t)
			w.begin()
			try := c.prepare(w)
			w.unchanged(func() {
				err := try()
				refused(t, err, c.code, c.reason)
				for _, want := range strings.Fields(c.metadata) {
					key, value, _ := strings.Cut(want, "=")
					if key == "field" && !slices.Contains(fields(err), value) {
						t.Errorf("fields %v, want %s", fields(err), value)
					}
					if key != "field" && metadata(err)[key] != value {
						t.Errorf("metadata %v, want %s", metadata(err), want)
					}
				}
				if strings.Contains(err.Error(), "%!") {
					t.Errorf("malformed message: %v", err)
				}
			})
		})
		if _, own := c.reason.(fundv1.Reason); own {
			answered[c.reason.Number()] = true
		}
	}
	reasons := fundv1.Reason(0).Descriptor().Values()
	for i := 1; i < reasons.Len(); i++ {
		if !answered[reasons.Get(i).Number()] {
			t.Errorf("no test is refused with %s", reasons.Get(i).Name())
		}
	}
}

func metadata(err error) map[string]string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()
		}
	}
	return nil
}

// A refusal that is about a field names it, in both languages.
func TestRefusalNamesField(t *testing.T) {
	w := newWorld(t)
	w.begin()
	a := newApplication(1)
	a.EnterpriseCode = "91350100M000100Y44"
	_, err := w.as(zezhou).CreateApplication(t.Context(), &fundv1.CreateApplicationRequest{ApplicationId: "140525-line-1", Application: a})
	var languages []string
	for _, d := range status.Convert(err).Details() {
		if message, ok := d.(*errdetails.LocalizedMessage); ok {
			languages = append(languages, message.GetLocale())
		}
	}
	if strings.Join(languages, " ") != "zh-CN en" || strings.Join(fields(err), " ") != "application.enterprise_code" {
		t.Errorf("languages %v, fields %v", languages, fields(err))
	}
	_, err = w.as(finance).CreateBudget(t.Context(), &fundv1.CreateBudgetRequest{BudgetId: "23", Budget: newBudget()})
	if !fault.Is(err, typev1.Reason_REASON_INVALID_FIELD) || !strings.Contains(err.Error(), "budget_id") {
		t.Errorf("a year of two digits: %v", err)
	}
}

// fields returns the fields that a refusal names.
func fields(err error) (names []string) {
	for _, d := range status.Convert(err).Details() {
		if request, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range request.GetFieldViolations() {
				names = append(names, v.GetField())
			}
		}
	}
	return names
}
