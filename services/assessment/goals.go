package assessment

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreateGoal implements the Assessment service.
func (s *Server) CreateGoal(ctx context.Context, req *assessmentv1.CreateGoalRequest) (*assessmentv1.Goal, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*assessmentv1.Goal, error) {
		return record.Create(tx, s.goals, record.New(req.GetGoal(), "goals/"+req.GetGoalId()))
	})
}

// GetGoal implements the Assessment service.
func (s *Server) GetGoal(ctx context.Context, req *assessmentv1.GetGoalRequest) (*assessmentv1.Goal, error) {
	return record.Get(ctx, s.db, s.goals, req.GetName())
}

// ListGoals implements the Assessment service.
func (s *Server) ListGoals(ctx context.Context, req *assessmentv1.ListGoalsRequest) (*assessmentv1.ListGoalsResponse, error) {
	goals, next, err := record.List(ctx, s.db, s.goals, "goals/", req)
	if err != nil {
		return nil, err
	}
	return &assessmentv1.ListGoalsResponse{Goals: goals, NextPageToken: next}, nil
}

// UpdateGoal implements the Assessment service.
func (s *Server) UpdateGoal(ctx context.Context, req *assessmentv1.UpdateGoalRequest) (*assessmentv1.Goal, error) {
	return record.Patch(ctx, s.db, s.goals, req, req.GetGoal(), nil)
}

// EvaluateGoal implements the Assessment service.
func (s *Server) EvaluateGoal(ctx context.Context, req *assessmentv1.EvaluateGoalRequest) (*assessmentv1.EvaluateGoalResponse, error) {
	goal, err := record.Get(ctx, s.db, s.goals, req.GetName())
	if err != nil {
		return nil, err
	}
	var designations []*townv1.Designation
	pin, err := steady(ctx, s.townSource(), func(ctx context.Context) (err error) {
		designations, err = s.readDesignations(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	towns := counted(goal.GetMetric(), designations)
	n := int64(len(towns))
	return &assessmentv1.EvaluateGoalResponse{
		Goal:         goal,
		CurrentValue: n,
		Reached:      reached(goal, n),
		AttainmentBp: n * 10_000 / goal.GetTargetValue(),
		Towns:        towns,
		Pin:          pin,
		EvaluateTime: timestamppb.New(s.db.Now()),
	}, nil
}

// counted returns the towns that a metric counts, in the order of their names.
func counted(metric assessmentv1.Goal_Metric, designations []*townv1.Designation) (towns []string) {
	level := townv1.Level_LEVEL_MUNICIPAL
	if metric == assessmentv1.Goal_METRIC_PROVINCIAL_TOWNS {
		level = townv1.Level_LEVEL_PROVINCIAL
	}
	for _, d := range designations {
		if holds(d) && d.GetLevel() == level {
			towns = append(towns, townOf(d.GetName()))
		}
	}
	return towns
}

func reached(goal *assessmentv1.Goal, n int64) bool {
	if goal.GetComparator() == assessmentv1.Goal_COMPARATOR_AT_MOST {
		return n <= goal.GetTargetValue()
	}
	return n >= goal.GetTargetValue()
}
