package project

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project/lights"
)

// CreateMilestone implements the ProjectTracking service.
func (s *Server) CreateMilestone(ctx context.Context, req *projectv1.CreateMilestoneRequest) (*projectv1.Milestone, error) {
	if err := record.CheckDate("milestone.due_date", req.GetMilestone().GetDueDate()); err != nil {
		return nil, err
	}
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.Milestone, error) {
		m := record.New(req.GetMilestone(), req.GetParent()+"/milestones/"+req.GetMilestoneId())
		m.State, m.OriginalDueDate = MilestoneLifecycle.Initial, m.GetDueDate()
		if err := s.reschedule(tx, m); err != nil {
			return nil, err
		}
		return record.Create(tx, s.milestones, m)
	})
}

// GetMilestone implements the ProjectTracking service.
func (s *Server) GetMilestone(ctx context.Context, req *projectv1.GetMilestoneRequest) (*projectv1.Milestone, error) {
	return record.Get(ctx, s.db, s.milestones, req.GetName())
}

// ListMilestones implements the ProjectTracking service.
func (s *Server) ListMilestones(ctx context.Context, req *projectv1.ListMilestonesRequest) (*projectv1.ListMilestonesResponse, error) {
	rows := authz.Rows(ctx, req.GetParent(), req.GetDivision())
	milestones, next, err := record.ListWhere(ctx, s.db, s.milestones, rows, req, func(m *projectv1.Milestone) bool {
		return matches(req.GetState(), m.GetState())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListMilestonesResponse{Milestones: milestones, NextPageToken: next}, nil
}

// UpdateMilestone implements the ProjectTracking service.
func (s *Server) UpdateMilestone(ctx context.Context, req *projectv1.UpdateMilestoneRequest) (*projectv1.Milestone, error) {
	return record.Patch(ctx, s.db, s.milestones, req, req.GetMilestone(), func(tx *journal.Tx, before, after *projectv1.Milestone) error {
		if before.GetState() != pending {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		if err := record.CheckDate("milestone.due_date", after.GetDueDate()); err != nil {
			return err
		}
		return s.reschedule(tx, after)
	})
}

// ReportMilestone implements the ProjectTracking service.
func (s *Server) ReportMilestone(ctx context.Context, req *projectv1.ReportMilestoneRequest) (*projectv1.Milestone, error) {
	return s.stepMilestone(ctx, req, "report", nil)
}

// AcceptMilestone implements the ProjectTracking service. The level of the inspection follows from who accepts, so that
// nobody can claim a higher one.
func (s *Server) AcceptMilestone(ctx context.Context, req *projectv1.AcceptMilestoneRequest) (*projectv1.Milestone, error) {
	return s.stepMilestone(ctx, req, "accept", func(m *projectv1.Milestone) error {
		if reporter := lastBy("report", m.GetDecisions()); reporter == authn.FromContext(ctx).Name {
			return samePrincipal(m.GetName(), reporter)
		}
		m.InspectionLevel = projectv1.Milestone_INSPECTION_LEVEL_CITY
		if own := authz.FromContext(ctx).Division; own == authn.DivisionPrefix(own) {
			m.InspectionLevel = projectv1.Milestone_INSPECTION_LEVEL_COUNTY
		}
		m.VerifiedInvestmentFen = req.GetVerifiedInvestmentFen()
		return nil
	})
}

// lastBy returns the principal that took a step last.
func lastBy(verb string, decisions []*typev1.Decision) (principal string) {
	for _, d := range decisions {
		if d.GetVerb() == verb {
			principal = d.GetPrincipal()
		}
	}
	return principal
}

// RejectMilestone implements the ProjectTracking service.
func (s *Server) RejectMilestone(ctx context.Context, req *projectv1.RejectMilestoneRequest) (*projectv1.Milestone, error) {
	return s.stepMilestone(ctx, req, "reject", nil)
}

// stepMilestone takes a step in the life of a milestone. What more there is to the step, more does.
func (s *Server) stepMilestone(ctx context.Context, req record.StepRequest, verb string, more func(*projectv1.Milestone) error) (*projectv1.Milestone, error) {
	return record.Follow(ctx, s.db, s.milestones, req, MilestoneLifecycle, verb, func(tx *journal.Tx, m *projectv1.Milestone) error {
		if more != nil {
			if err := more(m); err != nil {
				return err
			}
		}
		return s.reschedule(tx, m)
	})
}

// reschedule keeps on the project which of its milestones is due next, given that m is about to be stored as it is. The
// light of the project follows from it.
func (s *Server) reschedule(tx *journal.Tx, m *projectv1.Milestone) error {
	parent, _, _ := strings.Cut(m.GetName(), "/milestones/")
	p, err := s.going(tx, parent)
	if err != nil {
		return err
	}
	milestones := []*projectv1.Milestone{m}
	for other, err := range s.milestones.Scan(tx, parent+"/milestones/", "") {
		if err != nil {
			return err
		}
		if other.GetName() != m.GetName() {
			milestones = append(milestones, other)
		}
	}
	next := lights.Next(milestones)
	if next.GetName() == p.GetNextMilestone() && proto.Equal(next.GetDueDate(), p.GetNextDueDate()) {
		return nil
	}
	p.NextMilestone, p.NextDueDate = next.GetName(), next.GetDueDate()
	_, err = record.Save(tx, s.projects, p)
	return err
}
