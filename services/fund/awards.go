package fund

import (
	"context"
	"errors"
	"fmt"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/fund/grant"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// makeAward stores the award of an approved application, and its tranches as the call plans them.
func (s *Server) makeAward(tx *journal.Tx, c *fundv1.Call, a *fundv1.Application) (*fundv1.Award, error) {
	award, err := record.Create(tx, s.awards, &fundv1.Award{
		Name:           "awards/" + lastID(a.GetName()),
		Application:    a.GetName(),
		Call:           c.GetName(),
		Line:           c.GetLine(),
		Town:           a.GetTown(),
		Project:        a.GetProject(),
		EnterpriseCode: a.GetEnterpriseCode(),
		Title:          a.GetTitle(),
		AmountFen:      a.GetApprovedFen(),
		Decisions:      a.GetDecisions()[len(a.GetDecisions())-1:],
	})
	if err != nil {
		return nil, err
	}
	var shares []int32
	for _, plan := range c.GetTranchePlan() {
		shares = append(shares, plan.GetShareBp())
	}
	for i, amount := range grant.Split(award.GetAmountFen(), shares) {
		if amount == 0 {
			continue
		}
		plan := c.GetTranchePlan()[i]
		t := &fundv1.Tranche{
			Name:      fmt.Sprintf("%s/tranches/%d", award.GetName(), i+1),
			State:     TrancheLifecycle.Initial,
			Title:     plan.GetTitle(),
			ShareBp:   plan.GetShareBp(),
			AmountFen: amount,
		}
		if plan.GetMilestone() != "" {
			t.Milestone = award.GetProject() + "/milestones/" + plan.GetMilestone()
		}
		if _, err := record.Create(tx, s.tranches, t); err != nil {
			return nil, err
		}
	}
	return award, nil
}

// GetAward implements the SpecialFund service.
func (s *Server) GetAward(ctx context.Context, req *fundv1.GetAwardRequest) (*fundv1.Award, error) {
	return record.Get(ctx, s.db, s.awards, req.GetName())
}

// ListAwards implements the SpecialFund service.
func (s *Server) ListAwards(ctx context.Context, req *fundv1.ListAwardsRequest) (*fundv1.ListAwardsResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.awards, authz.Rows(ctx, "awards", req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListAwardsResponse{Awards: rows, NextPageToken: next}, nil
}

// UpdateAward implements the SpecialFund service.
func (s *Server) UpdateAward(ctx context.Context, req *fundv1.UpdateAwardRequest) (*fundv1.Award, error) {
	return record.Patch(ctx, s.db, s.awards, req, req.GetAward(), nil)
}

// GetTranche implements the SpecialFund service.
func (s *Server) GetTranche(ctx context.Context, req *fundv1.GetTrancheRequest) (*fundv1.Tranche, error) {
	return record.Get(ctx, s.db, s.tranches, req.GetName())
}

// ListTranches implements the SpecialFund service.
func (s *Server) ListTranches(ctx context.Context, req *fundv1.ListTranchesRequest) (*fundv1.ListTranchesResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.tranches, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListTranchesResponse{Tranches: rows, NextPageToken: next}, nil
}

// ProveTranche implements the SpecialFund service.
func (s *Server) ProveTranche(ctx context.Context, req *fundv1.ProveTrancheRequest) (*fundv1.Tranche, error) {
	evidence, unproven := record.Ask(ctx, s.db, req, func() (*typev1.Evidence, error) {
		return s.evidence(ctx, req.GetName())
	})
	return record.Follow(ctx, s.db, s.tranches, req, TrancheLifecycle, "prove", func(tx *journal.Tx, t *fundv1.Tranche) error {
		if unproven != nil {
			return unproven
		}
		t.Evidence = evidence
		award, err := record.Load(tx, s.awards, awardOf(t.GetName()))
		if err != nil {
			return err
		}
		return s.post(ctx, tx, ledger.Prove, award.GetLine(), t.GetName(), t.GetAmountFen())
	})
}

// evidence asks the project service whether the condition of a tranche is met, and returns the record that proves it. It
// is nil for a tranche without a condition.
func (s *Server) evidence(ctx context.Context, tranche string) (*typev1.Evidence, error) {
	t, err := record.Get(ctx, s.db, s.tranches, tranche)
	if err != nil || t.GetMilestone() == "" {
		return nil, err
	}
	change, err := journal.Ask(ctx, s.project, "project", t.GetMilestone())
	if errors.Is(err, store.ErrNotFound) {
		return nil, milestoneNotAccepted(t.GetMilestone(), missing)
	}
	if err != nil {
		return nil, err
	}
	m := &projectv1.Milestone{}
	if err := change.GetAfter().UnmarshalTo(m); err != nil {
		return nil, fmt.Errorf("%s as the project service tells it: %w", t.GetMilestone(), err)
	}
	if m.GetState() != projectv1.Milestone_STATE_ACCEPTED {
		return nil, milestoneNotAccepted(t.GetMilestone(), lifecycle.Name(m.GetState()))
	}
	return journal.EvidenceOf(change), nil
}

// missing is where a milestone stands that the project service does not have.
const missing = "MISSING"

// CutTranche implements the SpecialFund service.
func (s *Server) CutTranche(ctx context.Context, req *fundv1.CutTrancheRequest) (*fundv1.Tranche, error) {
	return record.Step(ctx, s.db, s.tranches, req, func(tx *journal.Tx, t *fundv1.Tranche) error {
		move := ledger.CutPending
		if t.GetState() == fundv1.Tranche_STATE_PAYABLE {
			move = ledger.CutPayable
		}
		if err := record.Advance(ctx, tx, req, TrancheLifecycle, "cut", t); err != nil {
			return err
		}
		if t.GetDisbursement() != "" {
			return disbursementStands(t.GetName(), t.GetDisbursement())
		}
		award, err := record.Load(tx, s.awards, awardOf(t.GetName()))
		if err != nil {
			return err
		}
		award.CutFen += t.GetAmountFen() // a part of the award, which fits
		if _, err := record.Save(tx, s.awards, award); err != nil {
			return err
		}
		return s.post(ctx, tx, move, award.GetLine(), t.GetName(), t.GetAmountFen())
	})
}
