package access

import (
	"github.com/yizhen/yizhen/pkg/lifecycle"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

type (
	principalStates = []accessv1.Principal_State
	apiKeyStates    = []accessv1.ApiKey_State
	bindingStates   = []accessv1.Binding_State
)

// The verbs that are asked for by name elsewhere, too.
const (
	disable = "disable"
	enable  = "enable"
)

// PrincipalLifecycle is the life of a principal, which has no end: its name stands in the journals.
var PrincipalLifecycle = lifecycle.Table[accessv1.Principal_State]{
	Resource: "principal",
	Initial:  accessv1.Principal_STATE_ACTIVE,
	Steps: []lifecycle.Step[accessv1.Principal_State]{
		{Verb: disable, From: principalStates{accessv1.Principal_STATE_ACTIVE}, To: accessv1.Principal_STATE_DISABLED},
		{Verb: enable, From: principalStates{accessv1.Principal_STATE_DISABLED}, To: accessv1.Principal_STATE_ACTIVE},
	},
}

// APIKeyLifecycle is the life of a key. One that is rotated stays active until the overlap is over.
var APIKeyLifecycle = lifecycle.Table[accessv1.ApiKey_State]{
	Resource: "API key",
	Initial:  accessv1.ApiKey_STATE_ACTIVE,
	Steps: []lifecycle.Step[accessv1.ApiKey_State]{
		{Verb: "rotate", From: apiKeyStates{accessv1.ApiKey_STATE_ACTIVE}, To: accessv1.ApiKey_STATE_ACTIVE},
		{Verb: "revoke", From: apiKeyStates{accessv1.ApiKey_STATE_ACTIVE}, To: accessv1.ApiKey_STATE_REVOKED},
	},
}

// BindingLifecycle is the life of a binding. That it begins and expires is no step.
var BindingLifecycle = lifecycle.Table[accessv1.Binding_State]{
	Resource: "binding",
	Initial:  accessv1.Binding_STATE_ACTIVE,
	Steps: []lifecycle.Step[accessv1.Binding_State]{
		{Verb: "revoke", From: bindingStates{accessv1.Binding_STATE_ACTIVE}, To: accessv1.Binding_STATE_REVOKED},
	},
}
