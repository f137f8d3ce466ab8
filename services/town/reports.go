package town

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreateReport implements the TownRegistry service.
func (s *Server) CreateReport(ctx context.Context, req *townv1.CreateReportRequest) (*townv1.Report, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Report, error) {
		town := req.GetParent()
		if err := s.checkTown(tx, town); err != nil {
			return nil, err
		}
		held, err := s.holds(tx, municipalOf(town), provincialOf(town))
		if err != nil {
			return nil, err
		}
		if !held {
			return nil, townNotDesignated(town)
		}
		r := record.New(req.GetReport(), town+"/reports/"+req.GetReportId())
		r.Period = req.GetReportId()
		r.State = ReportLifecycle.Initial
		return record.Create(tx, s.reports, r)
	})
}

// GetReport implements the TownRegistry service.
func (s *Server) GetReport(ctx context.Context, req *townv1.GetReportRequest) (*townv1.Report, error) {
	return record.Get(ctx, s.db, s.reports, req.GetName())
}

// ListReports implements the TownRegistry service.
func (s *Server) ListReports(ctx context.Context, req *townv1.ListReportsRequest) (*townv1.ListReportsResponse, error) {
	ofPeriod := func(r *townv1.Report) bool { return req.GetPeriod() == "" || r.GetPeriod() == req.GetPeriod() }
	rows := authz.Rows(ctx, req.GetParent(), req.GetDivision())
	reports, next, err := record.ListWhere(ctx, s.db, s.reports, rows, req, ofPeriod)
	if err != nil {
		return nil, err
	}
	return &townv1.ListReportsResponse{Reports: reports, NextPageToken: next}, nil
}

// UpdateReport implements the TownRegistry service.
func (s *Server) UpdateReport(ctx context.Context, req *townv1.UpdateReportRequest) (*townv1.Report, error) {
	return record.Patch(ctx, s.db, s.reports, req, req.GetReport(), func(_ *journal.Tx, before, _ *townv1.Report) error {
		switch before.GetState() {
		case townv1.Report_STATE_DRAFT:
			return nil
		case townv1.Report_STATE_PUBLISHED:
			return figurePublished(before.GetName())
		}
		return record.NotEditable(before.GetName(), before.GetState())
	})
}

// SubmitReport implements the TownRegistry service.
func (s *Server) SubmitReport(ctx context.Context, req *townv1.SubmitReportRequest) (*townv1.Report, error) {
	return s.stepReport(ctx, "submit", req, nil)
}

// VerifyReport implements the TownRegistry service.
func (s *Server) VerifyReport(ctx context.Context, req *townv1.VerifyReportRequest) (*townv1.Report, error) {
	return s.stepReport(ctx, "verify", req, nil)
}

// PublishReport implements the TownRegistry service.
func (s *Server) PublishReport(ctx context.Context, req *townv1.PublishReportRequest) (*townv1.Report, error) {
	return s.stepReport(ctx, "publish", req, func(tx *journal.Tx, r *townv1.Report) error {
		return s.publish(tx, r, &townv1.Publication{Figures: r.GetFigures(), Status: req.GetStatus()})
	})
}

// ReviseReport implements the TownRegistry service. What was drafted and what was published before stays as it was.
func (s *Server) ReviseReport(ctx context.Context, req *townv1.ReviseReportRequest) (*townv1.Report, error) {
	return s.stepReport(ctx, "revise", req, func(tx *journal.Tx, r *townv1.Report) error {
		return s.publish(tx, r, &townv1.Publication{Figures: req.GetFigures(), Status: req.GetStatus(), Reason: req.GetReason()})
	})
}

// ReturnReport implements the TownRegistry service.
func (s *Server) ReturnReport(ctx context.Context, req *townv1.ReturnReportRequest) (*townv1.Report, error) {
	return s.stepReport(ctx, "return", req, nil)
}

// SummarizeReports implements the TownRegistry service.
func (s *Server) SummarizeReports(ctx context.Context, req *townv1.SummarizeReportsRequest) (*townv1.SummarizeReportsResponse, error) {
	return s.summarize(ctx, req.GetPeriod(), authz.Scope(ctx, req.GetDivision()))
}

// reportRule changes a report by what a step brings.
type reportRule func(*journal.Tx, *townv1.Report) error

// stepReport takes one step in the life of a report; a nil rule brings nothing.
func (s *Server) stepReport(ctx context.Context, verb string, req record.StepRequest, rule reportRule) (*townv1.Report, error) {
	return record.Follow(ctx, s.db, s.reports, req, ReportLifecycle, verb, rule)
}

// publish makes the figures of a publication those in force, for the report and in the totals.
func (s *Server) publish(tx *journal.Tx, r *townv1.Report, p *townv1.Publication) error {
	if p.GetStatus() == townv1.Publication_STATUS_UNSPECIFIED {
		p.Status = townv1.Publication_STATUS_NORMAL
	}
	p.PublishTime = timestamppb.New(tx.Now())
	town, err := record.Load(tx, s.towns, townOf(r.GetName()))
	if err != nil {
		return err
	}
	if err := s.recount(tx, r.GetPeriod(), town, inForce(r), p.GetFigures()); err != nil {
		return err
	}
	r.Publications = append(r.Publications, p)
	return nil
}

// inForce returns the published figures that hold, nil if none were published.
func inForce(r *townv1.Report) *townv1.Figures {
	if n := len(r.GetPublications()); n > 0 {
		return r.GetPublications()[n-1].GetFigures()
	}
	return nil
}
