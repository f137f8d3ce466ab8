package assessment

import (
	"github.com/yizhen/yizhen/pkg/lifecycle"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
)

type setStates = []assessmentv1.IndicatorSet_State

// IndicatorSetLifecycle is the life of an indicator set.
var IndicatorSetLifecycle = lifecycle.Table[assessmentv1.IndicatorSet_State]{
	Resource: "indicator set",
	Initial:  assessmentv1.IndicatorSet_STATE_DRAFT,
	Steps: []lifecycle.Step[assessmentv1.IndicatorSet_State]{
		{Verb: "adopt", From: setStates{assessmentv1.IndicatorSet_STATE_DRAFT}, To: assessmentv1.IndicatorSet_STATE_ADOPTED},
		{Verb: "retire", From: setStates{assessmentv1.IndicatorSet_STATE_ADOPTED}, To: assessmentv1.IndicatorSet_STATE_RETIRED},
	},
}

// Short names for the states of a campaign, so that its table can be read at a glance.
const (
	draft     = assessmentv1.Campaign_STATE_DRAFT
	collected = assessmentv1.Campaign_STATE_COLLECTED
	scored    = assessmentv1.Campaign_STATE_SCORED
	announced = assessmentv1.Campaign_STATE_ANNOUNCED
	final     = assessmentv1.Campaign_STATE_FINAL
	cancelled = assessmentv1.Campaign_STATE_CANCELLED
)

type campaignStates = []assessmentv1.Campaign_State

// CampaignLifecycle is the life of a campaign.
var CampaignLifecycle = lifecycle.Table[assessmentv1.Campaign_State]{
	Resource: "campaign",
	Initial:  draft,
	Steps: []lifecycle.Step[assessmentv1.Campaign_State]{
		{Verb: "collect", From: campaignStates{draft, collected}, To: collected},
		{Verb: "score", From: campaignStates{collected}, To: scored},
		{Verb: "announce", From: campaignStates{scored}, To: announced},
		{Verb: "conclude", From: campaignStates{announced}, To: final},
		{Verb: "reopen", From: campaignStates{scored, announced}, To: collected},
		{Verb: "cancel", From: campaignStates{draft, collected, scored, announced}, To: cancelled},
	},
}

type appealStates = []assessmentv1.Appeal_State

// AppealLifecycle is the life of an appeal.
var AppealLifecycle = lifecycle.Table[assessmentv1.Appeal_State]{
	Resource: "appeal",
	Initial:  assessmentv1.Appeal_STATE_FILED,
	Steps: []lifecycle.Step[assessmentv1.Appeal_State]{
		{Verb: "accept", From: appealStates{assessmentv1.Appeal_STATE_FILED}, To: assessmentv1.Appeal_STATE_ACCEPTED},
		{Verb: "dismiss", From: appealStates{assessmentv1.Appeal_STATE_FILED}, To: assessmentv1.Appeal_STATE_DISMISSED},
		{Verb: "withdraw", From: appealStates{assessmentv1.Appeal_STATE_FILED}, To: assessmentv1.Appeal_STATE_WITHDRAWN},
	},
}
