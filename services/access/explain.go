package access

import (
	"context"
	"time"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// ExplainAccess implements the AccessControl service.
func (s *Server) ExplainAccess(ctx context.Context, req *accessv1.ExplainAccessRequest) (*accessv1.ExplainAccessResponse, error) {
	q := question{declared: s.declared, permission: req.GetPermission(), target: req.GetTarget(), at: s.db.Now()}
	if !s.declared.Has(q.permission) {
		return nil, permissionUnknown("permission", q.permission)
	}
	if t := req.GetCallTime(); t != nil {
		if !t.IsValid() {
			return nil, fault.InvalidField("call_time", "不是有效的时间", "is no time")
		}
		q.at = t.AsTime()
	}
	var answer *accessv1.ExplainAccessResponse
	err := s.db.View(ctx, func(r store.Reader) error {
		p, err := record.Load(r, s.principals, req.GetName())
		if err != nil {
			return err
		}
		var held []holding
		for b, err := range s.bindings.ScanIndex(r, bindingsByPrincipal.Name, p.GetName(), "") {
			if err != nil {
				return err
			}
			role, err := s.roles.Get(r, b.GetRole())
			if err != nil {
				return err
			}
			held = append(held, holding{b, role})
		}
		answer = explain(q, p, held)
		return nil
	})
	return answer, err
}

// question is what somebody wants to know of a principal.
type question struct {
	declared           authz.Permissions
	permission, target string
	at                 time.Time
}

// holding is a binding with its role.
type holding struct {
	binding *accessv1.Binding
	role    *accessv1.Role
}

// explain considers the bindings of a principal, which come in the order of their names. The call rests on the first that
// nothing speaks against.
func explain(q question, p *accessv1.Principal, held []holding) *accessv1.ExplainAccessResponse {
	answer := &accessv1.ExplainAccessResponse{}
	disabled := disabledAt(p, q.at)
	for _, h := range held {
		c := &accessv1.Consideration{Binding: h.binding.GetName(), Obstacle: q.against(h)}
		if c.GetObstacle() == accessv1.Consideration_OBSTACLE_UNSPECIFIED && disabled {
			c.Obstacle = accessv1.Consideration_OBSTACLE_PRINCIPAL_DISABLED
		}
		if c.GetObstacle() == accessv1.Consideration_OBSTACLE_UNSPECIFIED && answer.GetBinding() == "" {
			answer.Binding = c.GetBinding()
		}
		answer.Considerations = append(answer.Considerations, c)
	}
	return answer
}

// against tells what speaks first against a binding.
func (q question) against(h holding) accessv1.Consideration_Obstacle {
	b := h.binding
	switch {
	case !authn.Match(h.role.GetPermissions(), q.permission):
		return accessv1.Consideration_OBSTACLE_PERMISSION
	case !q.declared.Reaches(placeOf(b), q.permission, q.target):
		return accessv1.Consideration_OBSTACLE_PLACE
	// A binding may say that it holds from before it was made. Nothing rested on it until it was.
	case q.at.Before(b.GetStartTime().AsTime()) || q.at.Before(b.GetCreateTime().AsTime()):
		return accessv1.Consideration_OBSTACLE_NOT_BEGUN
	case !q.at.Before(b.GetExpireTime().AsTime()):
		return accessv1.Consideration_OBSTACLE_EXPIRED
	case b.GetRevokeTime() != nil && !q.at.Before(b.GetRevokeTime().AsTime()):
		return accessv1.Consideration_OBSTACLE_REVOKED
	}
	return accessv1.Consideration_OBSTACLE_UNSPECIFIED
}

// placeOf returns what a binding grants as far as the place goes.
func placeOf(b *accessv1.Binding) authz.Grant {
	return authz.Grant{Name: b.GetName(), Division: b.GetDivision(), Town: b.GetTown(), Department: b.GetDepartment()}
}

// disabledAt tells whether a principal was shut out at a moment, by the decisions taken until then.
func disabledAt(p *accessv1.Principal, at time.Time) (disabled bool) {
	for _, d := range p.GetDecisions() {
		if !d.GetDecideTime().AsTime().After(at) {
			disabled = d.GetVerb() == disable
		}
	}
	return disabled
}
