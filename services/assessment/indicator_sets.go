package assessment

import (
	"context"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// CreateIndicatorSet implements the Assessment service.
func (s *Server) CreateIndicatorSet(ctx context.Context, req *assessmentv1.CreateIndicatorSetRequest) (*assessmentv1.IndicatorSet, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*assessmentv1.IndicatorSet, error) {
		set := record.New(req.GetIndicatorSet(), "indicatorSets/"+req.GetIndicatorSetId())
		set.State = IndicatorSetLifecycle.Initial
		set.Version = 1
		if set.GetPredecessor() != "" {
			before, err := record.Refer(tx, s.sets, "indicator_set.predecessor", set.GetPredecessor())
			if err != nil {
				return nil, err
			}
			set.Version = before.GetVersion() + 1
		}
		if err := checkSet(set); err != nil {
			return nil, err
		}
		return record.Create(tx, s.sets, set)
	})
}

// GetIndicatorSet implements the Assessment service.
func (s *Server) GetIndicatorSet(ctx context.Context, req *assessmentv1.GetIndicatorSetRequest) (*assessmentv1.IndicatorSet, error) {
	return record.Get(ctx, s.db, s.sets, req.GetName())
}

// ListIndicatorSets implements the Assessment service.
func (s *Server) ListIndicatorSets(ctx context.Context, req *assessmentv1.ListIndicatorSetsRequest) (*assessmentv1.ListIndicatorSetsResponse, error) {
	sets, next, err := record.List(ctx, s.db, s.sets, "indicatorSets/", req)
	if err != nil {
		return nil, err
	}
	return &assessmentv1.ListIndicatorSetsResponse{IndicatorSets: sets, NextPageToken: next}, nil
}

// UpdateIndicatorSet implements the Assessment service.
func (s *Server) UpdateIndicatorSet(ctx context.Context, req *assessmentv1.UpdateIndicatorSetRequest) (*assessmentv1.IndicatorSet, error) {
	return record.Patch(ctx, s.db, s.sets, req, req.GetIndicatorSet(), func(_ *journal.Tx, before, after *assessmentv1.IndicatorSet) error {
		if before.GetState() != assessmentv1.IndicatorSet_STATE_DRAFT {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return checkSet(after)
	})
}

// AdoptIndicatorSet implements the Assessment service. The set is checked once more: the facts that a release knows may
// have changed since it was drawn up.
func (s *Server) AdoptIndicatorSet(ctx context.Context, req *assessmentv1.AdoptIndicatorSetRequest) (*assessmentv1.IndicatorSet, error) {
	return record.Follow(ctx, s.db, s.sets, req, IndicatorSetLifecycle, "adopt", func(_ *journal.Tx, set *assessmentv1.IndicatorSet) error {
		return checkSet(set)
	})
}

// RetireIndicatorSet implements the Assessment service.
func (s *Server) RetireIndicatorSet(ctx context.Context, req *assessmentv1.RetireIndicatorSetRequest) (*assessmentv1.IndicatorSet, error) {
	return record.Follow(ctx, s.db, s.sets, req, IndicatorSetLifecycle, "retire", nil)
}

// checkSet enters the tiers in national use where none are given, and refuses a set that cannot be scored by.
func checkSet(set *assessmentv1.IndicatorSet) error {
	if len(set.GetTiers()) == 0 {
		set.Tiers = scoring.DefaultTiers()
	}
	_, err := compile(set)
	return err
}

// compile compiles an indicator set; what is wrong with it is a fault that callers may see.
func compile(set *assessmentv1.IndicatorSet) (*scoring.Set, error) {
	compiled, err := scoring.Compile(set)
	return compiled, setFault(err)
}
