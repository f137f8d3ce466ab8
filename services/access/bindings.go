package access

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// maxBindingYears is the longest that a binding holds: then somebody has to look again whether it is still needed.
const maxBindingYears = 5

// bindingsByPrincipal finds the bindings of a principal.
var bindingsByPrincipal = store.Index[*accessv1.Binding]{
	Name: "principal",
	Keys: func(b *accessv1.Binding) []string { return []string{b.GetPrincipal()} },
}

// CreateBinding implements the AccessControl service.
func (s *Server) CreateBinding(ctx context.Context, req *accessv1.CreateBindingRequest) (*accessv1.Binding, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*accessv1.Binding, error) {
		b := record.New(req.GetBinding(), "bindings/"+req.GetBindingId())
		b.State = BindingLifecycle.Initial
		if b.GetStartTime() == nil {
			b.StartTime = timestamppb.New(tx.Now())
		}
		if isCaller(ctx, b.GetPrincipal()) {
			return nil, selfBinding()
		}
		if err := s.checkParties(tx, b); err != nil {
			return nil, err
		}
		if b.GetTown() != "" && !within(authz.DivisionOf(b.GetTown()), b.GetDivision()) {
			return nil, townOutsideDivision(b.GetTown(), b.GetDivision())
		}
		if err := checkBindingPeriod(tx.Now(), b.GetStartTime(), b.GetExpireTime()); err != nil {
			return nil, err
		}
		return record.Create(tx, s.bindings, b)
	})
}

// GetBinding implements the AccessControl service.
func (s *Server) GetBinding(ctx context.Context, req *accessv1.GetBindingRequest) (*accessv1.Binding, error) {
	return record.Get(ctx, s.db, s.bindings, req.GetName())
}

// ListBindings implements the AccessControl service.
func (s *Server) ListBindings(ctx context.Context, req *accessv1.ListBindingsRequest) (*accessv1.ListBindingsResponse, error) {
	var bindings []*accessv1.Binding
	var next string
	var err error
	if req.GetPrincipal() == "" {
		bindings, next, err = record.List(ctx, s.db, s.bindings, "bindings/", req)
	} else {
		bindings, next, err = record.ListIndex(ctx, s.db, s.bindings, bindingsByPrincipal.Name, req.GetPrincipal(), req)
	}
	if err != nil {
		return nil, err
	}
	return &accessv1.ListBindingsResponse{Bindings: bindings, NextPageToken: next}, nil
}

// RevokeBinding implements the AccessControl service. Anybody may give back what they were given.
func (s *Server) RevokeBinding(ctx context.Context, req *accessv1.RevokeBindingRequest) (*accessv1.Binding, error) {
	return record.Follow(ctx, s.db, s.bindings, req, BindingLifecycle, "revoke", func(tx *journal.Tx, b *accessv1.Binding) error {
		b.RevokeTime = timestamppb.New(tx.Now())
		return nil
	})
}

// checkParties refuses a binding of a principal or to a role that is not there, or of a principal that is shut out.
func (s *Server) checkParties(r store.Reader, b *accessv1.Binding) error {
	p, err := record.Refer(r, s.principals, "binding.principal", b.GetPrincipal())
	if err != nil {
		return err
	}
	if _, err := record.Refer(r, s.roles, "binding.role", b.GetRole()); err != nil {
		return err
	}
	return active(p)
}

// within tells whether a division is another or lies below it.
func within(division, other string) bool {
	return strings.HasPrefix(authn.DivisionPrefix(division), authn.DivisionPrefix(other))
}

func checkBindingPeriod(now time.Time, start, expire *timestamppb.Timestamp) error {
	begin, end := start.AsTime(), expire.AsTime()
	switch {
	case !start.IsValid():
		return periodInvalid("binding.start_time", "不是有效的时间", "is no time")
	case !expire.IsValid():
		return periodInvalid("binding.expire_time", "不是有效的时间", "is no time")
	case !end.After(now):
		return periodInvalid("binding.expire_time", "已经过去", "is over already")
	case !end.After(begin):
		return periodInvalid("binding.expire_time", "须晚于 start_time", "has to be after start_time")
	case end.After(begin.AddDate(maxBindingYears, 0, 0)):
		return periodInvalid("binding.expire_time", "授权的期限至多五年", "a binding holds for at most five years")
	}
	return nil
}
