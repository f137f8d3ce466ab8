package town

import (
	"github.com/yizhen/yizhen/pkg/lifecycle"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// Short names for the states of a designation, so that its table can be read at a glance.
const (
	draft       = townv1.Designation_STATE_DRAFT
	submitted   = townv1.Designation_STATE_SUBMITTED
	recommended = townv1.Designation_STATE_RECOMMENDED
	reviewed    = townv1.Designation_STATE_REVIEWED
	announced   = townv1.Designation_STATE_ANNOUNCED
	designated  = townv1.Designation_STATE_DESIGNATED
	warned      = townv1.Designation_STATE_WARNED
	revoked     = townv1.Designation_STATE_REVOKED
	lapsed      = townv1.Designation_STATE_LAPSED
	rejected    = townv1.Designation_STATE_REJECTED
	withdrawn   = townv1.Designation_STATE_WITHDRAWN
)

type designationStates = []townv1.Designation_State

// DesignationLifecycle is the life of a town at one level.
var DesignationLifecycle = lifecycle.Table[townv1.Designation_State]{
	Resource: "designation",
	Initial:  draft,
	Steps: []lifecycle.Step[townv1.Designation_State]{
		{Verb: "submit", From: designationStates{draft}, To: submitted},
		{Verb: "recommend", From: designationStates{submitted}, To: recommended},
		{Verb: "review", From: designationStates{recommended}, To: reviewed},
		{Verb: "announce", From: designationStates{reviewed}, To: announced},
		{Verb: "designate", From: designationStates{announced}, To: designated},
		{Verb: "warn", From: designationStates{designated}, To: warned},
		{Verb: "restore", From: designationStates{warned}, To: designated},
		{Verb: "revoke", From: designationStates{designated, warned}, To: revoked},
		{Verb: "lapse", From: designationStates{designated, warned}, To: lapsed},
		{Verb: "return", From: designationStates{submitted, recommended, reviewed}, To: draft},
		{Verb: "reject", From: designationStates{submitted, recommended, reviewed, announced}, To: rejected},
		{Verb: "withdraw", From: designationStates{draft, submitted, recommended, reviewed, announced}, To: withdrawn},
	},
}

type reportStates = []townv1.Report_State

// ReportLifecycle is the life of a report.
var ReportLifecycle = lifecycle.Table[townv1.Report_State]{
	Resource: "report",
	Initial:  townv1.Report_STATE_DRAFT,
	Steps: []lifecycle.Step[townv1.Report_State]{
		{Verb: "submit", From: reportStates{townv1.Report_STATE_DRAFT}, To: townv1.Report_STATE_SUBMITTED},
		{Verb: "verify", From: reportStates{townv1.Report_STATE_SUBMITTED}, To: townv1.Report_STATE_VERIFIED},
		{Verb: "publish", From: reportStates{townv1.Report_STATE_VERIFIED}, To: townv1.Report_STATE_PUBLISHED},
		{Verb: "revise", From: reportStates{townv1.Report_STATE_PUBLISHED}, To: townv1.Report_STATE_PUBLISHED},
		{Verb: "return", From: reportStates{townv1.Report_STATE_SUBMITTED, townv1.Report_STATE_VERIFIED}, To: townv1.Report_STATE_DRAFT},
	},
}
