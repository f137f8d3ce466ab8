package project

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project/tally"
)

// CreateProgressReport implements the ProjectTracking service.
func (s *Server) CreateProgressReport(ctx context.Context, req *projectv1.CreateProgressReportRequest) (*projectv1.ProgressReport, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.ProgressReport, error) {
		if _, err := s.going(tx, req.GetParent()); err != nil {
			return nil, err
		}
		month := req.GetProgressReportId()
		if month > civil.Text(civil.DateOf(tx.Now())) { // `2023-07` comes before `2023-07-01` and after all of June
			return nil, monthNotBegun(month)
		}
		r := record.New(req.GetProgressReport(), req.GetParent()+"/progressReports/"+month)
		r.Month, r.State = month, ProgressReportLifecycle.Initial
		return record.Create(tx, s.reports, r)
	})
}

// GetProgressReport implements the ProjectTracking service.
func (s *Server) GetProgressReport(ctx context.Context, req *projectv1.GetProgressReportRequest) (*projectv1.ProgressReport, error) {
	return record.Get(ctx, s.db, s.reports, req.GetName())
}

// ListProgressReports implements the ProjectTracking service.
func (s *Server) ListProgressReports(ctx context.Context, req *projectv1.ListProgressReportsRequest) (*projectv1.ListProgressReportsResponse, error) {
	reports, next, err := record.List(ctx, s.db, s.reports, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &projectv1.ListProgressReportsResponse{ProgressReports: reports, NextPageToken: next}, nil
}

// UpdateProgressReport implements the ProjectTracking service.
func (s *Server) UpdateProgressReport(ctx context.Context, req *projectv1.UpdateProgressReportRequest) (*projectv1.ProgressReport, error) {
	return record.Patch(ctx, s.db, s.reports, req, req.GetProgressReport(), func(tx *journal.Tx, before, _ *projectv1.ProgressReport) error {
		if before.GetState() != submitted {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		_, err := s.going(tx, projectOf(before))
		return err
	})
}

// VerifyProgressReport implements the ProjectTracking service.
func (s *Server) VerifyProgressReport(ctx context.Context, req *projectv1.VerifyProgressReportRequest) (*projectv1.ProgressReport, error) {
	return record.Follow(ctx, s.db, s.reports, req, ProgressReportLifecycle, "verify", s.invest)
}

// invest adds what a report says to the sums of its project.
func (s *Server) invest(tx *journal.Tx, r *projectv1.ProgressReport) error {
	p, err := s.going(tx, projectOf(r))
	if err != nil {
		return err
	}
	before := proto.Clone(p).(*projectv1.Project)
	if p.ActualInvestmentFen, err = tally.Add(tally.Actual, p.GetActualInvestmentFen(), r.GetActualInvestmentFen()); err != nil {
		return sumFault(err)
	}
	if p.ScheduledInvestmentFen, err = tally.Add(tally.Scheduled, p.GetScheduledInvestmentFen(), r.GetPlannedInvestmentFen()); err != nil {
		return sumFault(err)
	}
	if err := s.count(tx, before, p, ""); err != nil {
		return err
	}
	_, err = record.Save(tx, s.projects, p)
	return err
}

// projectOf returns the name of the project that a report is of.
func projectOf(r *projectv1.ProgressReport) string {
	parent, _, _ := strings.Cut(r.GetName(), "/progressReports/")
	return parent
}
