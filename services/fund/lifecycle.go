package fund

import (
	"github.com/yizhen/yizhen/pkg/lifecycle"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
)

// The lives of the fund's resources, as the contract draws them.
var (
	// BudgetLifecycle is the life of a year's budget.
	BudgetLifecycle = lifecycle.Table[fundv1.Budget_State]{
		Resource: "budget",
		Initial:  fundv1.Budget_STATE_DRAFT,
		Steps: []lifecycle.Step[fundv1.Budget_State]{
			{Verb: "adopt", From: []fundv1.Budget_State{fundv1.Budget_STATE_DRAFT}, To: fundv1.Budget_STATE_ADOPTED},
			{Verb: "close", From: []fundv1.Budget_State{fundv1.Budget_STATE_ADOPTED}, To: fundv1.Budget_STATE_CLOSED},
		},
	}

	// CallLifecycle is the life of a call.
	CallLifecycle = lifecycle.Table[fundv1.Call_State]{
		Resource: "call",
		Initial:  fundv1.Call_STATE_DRAFT,
		Steps: []lifecycle.Step[fundv1.Call_State]{
			{Verb: "open", From: []fundv1.Call_State{fundv1.Call_STATE_DRAFT}, To: fundv1.Call_STATE_OPEN},
			{Verb: "close", From: []fundv1.Call_State{fundv1.Call_STATE_OPEN}, To: fundv1.Call_STATE_CLOSED},
		},
	}

	// ApplicationLifecycle is the life of an application, until an award takes over.
	ApplicationLifecycle = lifecycle.Table[fundv1.Application_State]{
		Resource: "application",
		Initial:  draft,
		Steps: []lifecycle.Step[fundv1.Application_State]{
			{Verb: "submit", From: applications(draft), To: submitted},
			{Verb: "check", From: applications(submitted), To: checked},
			{Verb: "review", From: applications(checked), To: reviewed},
			{Verb: "announce", From: applications(reviewed), To: announced},
			{Verb: "approve", From: applications(announced), To: approved},
			{Verb: "award", From: applications(approved), To: fundv1.Application_STATE_AWARDED},
			{Verb: "return", From: applications(submitted, checked, reviewed), To: draft},
			{Verb: "reject", From: applications(submitted, checked, reviewed, announced), To: fundv1.Application_STATE_REJECTED},
			{
				Verb: "withdraw",
				From: applications(draft, submitted, checked, reviewed, announced, approved),
				To:   fundv1.Application_STATE_WITHDRAWN,
			},
		},
	}

	// TrancheLifecycle is the life of a tranche. It follows its disbursement in send, confirm and return.
	TrancheLifecycle = lifecycle.Table[fundv1.Tranche_State]{
		Resource: "tranche",
		Initial:  fundv1.Tranche_STATE_PENDING,
		Steps: []lifecycle.Step[fundv1.Tranche_State]{
			{Verb: "prove", From: tranches(fundv1.Tranche_STATE_PENDING), To: fundv1.Tranche_STATE_PAYABLE},
			{Verb: "send", From: tranches(fundv1.Tranche_STATE_PAYABLE), To: fundv1.Tranche_STATE_IN_TRANSIT},
			{Verb: "confirm", From: tranches(fundv1.Tranche_STATE_IN_TRANSIT), To: fundv1.Tranche_STATE_PAID},
			{
				Verb: "return",
				From: tranches(fundv1.Tranche_STATE_IN_TRANSIT, fundv1.Tranche_STATE_PAID),
				To:   fundv1.Tranche_STATE_PAYABLE,
			},
			{
				Verb: "cut",
				From: tranches(fundv1.Tranche_STATE_PENDING, fundv1.Tranche_STATE_PAYABLE),
				To:   fundv1.Tranche_STATE_CUT,
			},
		},
	}

	// DisbursementLifecycle is the life of one attempt to pay a tranche.
	DisbursementLifecycle = lifecycle.Table[fundv1.Disbursement_State]{
		Resource: "disbursement",
		Initial:  prepared,
		Steps: []lifecycle.Step[fundv1.Disbursement_State]{
			{Verb: "check", From: disbursements(prepared), To: fundv1.Disbursement_STATE_CHECKED},
			{Verb: "send", From: disbursements(fundv1.Disbursement_STATE_CHECKED), To: inTransit},
			{Verb: "confirm", From: disbursements(inTransit), To: fundv1.Disbursement_STATE_PAID},
			{
				Verb: "return",
				From: disbursements(inTransit, fundv1.Disbursement_STATE_PAID),
				To:   fundv1.Disbursement_STATE_RETURNED,
			},
			{
				Verb: "cancel",
				From: disbursements(prepared, fundv1.Disbursement_STATE_CHECKED),
				To:   fundv1.Disbursement_STATE_CANCELLED,
			},
		},
	}

	// RecoveryLifecycle is the life of a demand for money back.
	RecoveryLifecycle = lifecycle.Table[fundv1.Recovery_State]{
		Resource: "recovery",
		Initial:  fundv1.Recovery_STATE_DEMANDED,
		Steps: []lifecycle.Step[fundv1.Recovery_State]{
			{Verb: "receive", From: []fundv1.Recovery_State{fundv1.Recovery_STATE_DEMANDED}, To: fundv1.Recovery_STATE_RECEIVED},
			{Verb: "cancel", From: []fundv1.Recovery_State{fundv1.Recovery_STATE_DEMANDED}, To: fundv1.Recovery_STATE_CANCELLED},
		},
	}
)

// States that the tables and the handlers name often.
const (
	draft     = fundv1.Application_STATE_DRAFT
	submitted = fundv1.Application_STATE_SUBMITTED
	checked   = fundv1.Application_STATE_CHECKED
	reviewed  = fundv1.Application_STATE_REVIEWED
	announced = fundv1.Application_STATE_ANNOUNCED
	approved  = fundv1.Application_STATE_APPROVED

	prepared  = fundv1.Disbursement_STATE_PREPARED
	inTransit = fundv1.Disbursement_STATE_IN_TRANSIT
)

func applications(states ...fundv1.Application_State) []fundv1.Application_State    { return states }
func tranches(states ...fundv1.Tranche_State) []fundv1.Tranche_State                { return states }
func disbursements(states ...fundv1.Disbursement_State) []fundv1.Disbursement_State { return states }
