package town

import (
	"context"
	"fmt"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreatePolicy implements the TownRegistry service.
func (s *Server) CreatePolicy(ctx context.Context, req *townv1.CreatePolicyRequest) (*townv1.Policy, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Policy, error) {
		if err := s.checkTown(tx, req.GetParent()); err != nil {
			return nil, err
		}
		p := record.New(req.GetPolicy(), req.GetParent()+"/policies/"+req.GetPolicyId())
		if err := completePolicy(tx, nil, p); err != nil {
			return nil, err
		}
		return record.Create(tx, s.policies, p)
	})
}

// GetPolicy implements the TownRegistry service.
func (s *Server) GetPolicy(ctx context.Context, req *townv1.GetPolicyRequest) (*townv1.Policy, error) {
	return record.Get(ctx, s.db, s.policies, req.GetName())
}

// ListPolicies implements the TownRegistry service.
func (s *Server) ListPolicies(ctx context.Context, req *townv1.ListPoliciesRequest) (*townv1.ListPoliciesResponse, error) {
	policies, next, err := record.List(ctx, s.db, s.policies, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListPoliciesResponse{Policies: policies, NextPageToken: next}, nil
}

// UpdatePolicy implements the TownRegistry service.
func (s *Server) UpdatePolicy(ctx context.Context, req *townv1.UpdatePolicyRequest) (*townv1.Policy, error) {
	return record.Patch(ctx, s.db, s.policies, req, req.GetPolicy(), completePolicy)
}

// completePolicy is the rule of what a policy may become. A measure of which no progress is told is planned.
func completePolicy(_ *journal.Tx, _, after *townv1.Policy) error {
	if err := record.CheckDate("policy.document.issue_date", after.GetDocument().GetIssueDate()); err != nil {
		return err
	}
	for i, m := range after.GetMeasures() {
		if err := record.CheckDate(fmt.Sprintf("policy.measures[%d].due_date", i), m.GetDueDate()); err != nil {
			return err
		}
		if m.GetProgress() == townv1.Measure_PROGRESS_UNSPECIFIED {
			m.Progress = townv1.Measure_PROGRESS_PLANNED
		}
	}
	return nil
}
