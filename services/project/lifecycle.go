package project

import (
	"github.com/yizhen/yizhen/pkg/lifecycle"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

// Short names for the states of a project, so that its table can be read at a glance.
const (
	planned      = projectv1.Project_STATE_PLANNED
	signed       = projectv1.Project_STATE_SIGNED
	approved     = projectv1.Project_STATE_APPROVED
	started      = projectv1.Project_STATE_STARTED
	completed    = projectv1.Project_STATE_COMPLETED
	inProduction = projectv1.Project_STATE_IN_PRODUCTION
	atCapacity   = projectv1.Project_STATE_AT_CAPACITY
	suspended    = projectv1.Project_STATE_SUSPENDED
	cancelled    = projectv1.Project_STATE_CANCELLED
)

type projectStates = []projectv1.Project_State

// ProjectLifecycle is the life of a project. Of the lines of `resume`, a project takes the one that leads back to the state
// in which it was suspended.
var ProjectLifecycle = lifecycle.Table[projectv1.Project_State]{
	Resource: "project",
	Initial:  planned,
	Steps: []lifecycle.Step[projectv1.Project_State]{
		{Verb: "sign", From: projectStates{planned}, To: signed},
		{Verb: "approve", From: projectStates{signed}, To: approved},
		{Verb: "start", From: projectStates{approved}, To: started},
		{Verb: "complete", From: projectStates{started}, To: completed},
		{Verb: "putIntoProduction", From: projectStates{completed}, To: inProduction},
		{Verb: "reachCapacity", From: projectStates{inProduction}, To: atCapacity},
		{Verb: "suspend", From: projectStates{planned, signed, approved, started, completed, inProduction}, To: suspended},
		{Verb: "resume", From: projectStates{suspended}, To: planned},
		{Verb: "resume", From: projectStates{suspended}, To: signed},
		{Verb: "resume", From: projectStates{suspended}, To: approved},
		{Verb: "resume", From: projectStates{suspended}, To: started},
		{Verb: "resume", From: projectStates{suspended}, To: completed},
		{Verb: "resume", From: projectStates{suspended}, To: inProduction},
		{Verb: "cancel", From: projectStates{planned, signed, approved, started, completed, inProduction, suspended}, To: cancelled},
	},
}

// Short names for the states of a milestone.
const (
	pending  = projectv1.Milestone_STATE_PENDING
	reported = projectv1.Milestone_STATE_REPORTED
	accepted = projectv1.Milestone_STATE_ACCEPTED
)

// MilestoneLifecycle is the life of a milestone.
var MilestoneLifecycle = lifecycle.Table[projectv1.Milestone_State]{
	Resource: "milestone",
	Initial:  pending,
	Steps: []lifecycle.Step[projectv1.Milestone_State]{
		{Verb: "report", From: []projectv1.Milestone_State{pending}, To: reported},
		{Verb: "accept", From: []projectv1.Milestone_State{reported}, To: accepted},
		{Verb: "reject", From: []projectv1.Milestone_State{reported}, To: pending},
	},
}

// Short names for the states of a progress report.
const (
	submitted = projectv1.ProgressReport_STATE_SUBMITTED
	verified  = projectv1.ProgressReport_STATE_VERIFIED
)

// ProgressReportLifecycle is the life of a progress report.
var ProgressReportLifecycle = lifecycle.Table[projectv1.ProgressReport_State]{
	Resource: "progress report",
	Initial:  submitted,
	Steps: []lifecycle.Step[projectv1.ProgressReport_State]{
		{Verb: "verify", From: []projectv1.ProgressReport_State{submitted}, To: verified},
	},
}

// Short names for the states of a lead.
const (
	inSight     = projectv1.Lead_STATE_LEAD
	contacted   = projectv1.Lead_STATE_CONTACTED
	negotiating = projectv1.Lead_STATE_NEGOTIATING
	leadSigned  = projectv1.Lead_STATE_SIGNED
	landed      = projectv1.Lead_STATE_LANDED
	lost        = projectv1.Lead_STATE_LOST
)

// LeadLifecycle is the life of a lead.
var LeadLifecycle = lifecycle.Table[projectv1.Lead_State]{
	Resource: "lead",
	Initial:  inSight,
	Steps: []lifecycle.Step[projectv1.Lead_State]{
		{Verb: "contact", From: []projectv1.Lead_State{inSight}, To: contacted},
		{Verb: "negotiate", From: []projectv1.Lead_State{contacted}, To: negotiating},
		{Verb: "sign", From: []projectv1.Lead_State{negotiating}, To: leadSigned},
		{Verb: "land", From: []projectv1.Lead_State{leadSigned}, To: landed},
		{Verb: "lose", From: []projectv1.Lead_State{inSight, contacted, negotiating, leadSigned}, To: lost},
	},
}

// Short names for the states of a request for factors.
const (
	requested = projectv1.FactorRequest_STATE_REQUESTED
	reserved  = projectv1.FactorRequest_STATE_RESERVED
	consumed  = projectv1.FactorRequest_STATE_CONSUMED
	released  = projectv1.FactorRequest_STATE_RELEASED
	rejected  = projectv1.FactorRequest_STATE_REJECTED
)

// FactorRequestLifecycle is the life of a request for factors.
var FactorRequestLifecycle = lifecycle.Table[projectv1.FactorRequest_State]{
	Resource: "factor request",
	Initial:  requested,
	Steps: []lifecycle.Step[projectv1.FactorRequest_State]{
		{Verb: "reserve", From: []projectv1.FactorRequest_State{requested}, To: reserved},
		{Verb: "consume", From: []projectv1.FactorRequest_State{reserved}, To: consumed},
		{Verb: "release", From: []projectv1.FactorRequest_State{reserved}, To: released},
		{Verb: "reject", From: []projectv1.FactorRequest_State{requested}, To: rejected},
	},
}

// Short names for the states of a case.
const (
	raised     = projectv1.Case_STATE_RAISED
	assigned   = projectv1.Case_STATE_ASSIGNED
	inProgress = projectv1.Case_STATE_IN_PROGRESS
	resolved   = projectv1.Case_STATE_RESOLVED
	confirmed  = projectv1.Case_STATE_CONFIRMED
)

type caseStates = []projectv1.Case_State

// CaseLifecycle is the life of a case.
var CaseLifecycle = lifecycle.Table[projectv1.Case_State]{
	Resource: "case",
	Initial:  raised,
	Steps: []lifecycle.Step[projectv1.Case_State]{
		{Verb: "assign", From: caseStates{raised, assigned, inProgress}, To: assigned},
		{Verb: "followUp", From: caseStates{assigned, inProgress}, To: inProgress},
		{Verb: "resolve", From: caseStates{inProgress}, To: resolved},
		{Verb: "confirm", From: caseStates{resolved}, To: confirmed},
		{Verb: "reopen", From: caseStates{resolved, confirmed}, To: inProgress},
		{Verb: "escalate", From: caseStates{raised}, To: raised},
		{Verb: "escalate", From: caseStates{assigned}, To: assigned},
		{Verb: "escalate", From: caseStates{inProgress}, To: inProgress},
	},
}

// Short names for the states of a task.
const (
	taskOpen      = projectv1.ActionTask_STATE_OPEN
	taskDone      = projectv1.ActionTask_STATE_DONE
	taskCancelled = projectv1.ActionTask_STATE_CANCELLED
)

// ActionTaskLifecycle is the life of a task.
var ActionTaskLifecycle = lifecycle.Table[projectv1.ActionTask_State]{
	Resource: "task",
	Initial:  taskOpen,
	Steps: []lifecycle.Step[projectv1.ActionTask_State]{
		{Verb: "complete", From: []projectv1.ActionTask_State{taskOpen}, To: taskDone},
		{Verb: "cancel", From: []projectv1.ActionTask_State{taskOpen}, To: taskCancelled},
	},
}
