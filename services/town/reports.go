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
		municipal, err := s.holds(tx, municipalOf(town))
		if err != nil {
			return nil, err
		}
		provincial, err := s.holds(tx, provincialOf(town))
		if err != nil {
			return nil, err
		}
		if !municipal && !provincial {
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
	reports, next, err := record.ListWhere(ctx, s.db, s.reports, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req, ofPeriod)
	if err != nil {
		return nil, err
	}
	return &townv1.ListReportsResponse{Reports: reports, NextPageToken: next}, nil
}

// UpdateReport implements the TownRegistry service.
func (s *Server) UpdateReport(ctx context.Context, req *townv1.UpdateReportRequest) (*townv1.Report, error) {
	return record.Patch(ctx, s.db, s.reports, req, req.GetReport(), func(_ *journal.Tx, before, _ *townv1.Report) error {
		if before.GetState() != townv1.Report_STATE_DRAFT {
			return notADraft(before.GetName(), before.GetState())
		}
		return nil
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
		return s.publish(tx, r, r.GetFigures(), req.GetStatus(), "")
	})
}

// ReviseReport implements the TownRegistry service. What was drafted and what was published before stays as it was.
func (s *Server) ReviseReport(ctx context.Context, req *townv1.ReviseReportRequest) (*townv1.Report, error) {
	return s.stepReport(ctx, "revise", req, func(tx *journal.Tx, r *townv1.Report) error {
		return s.publish(tx, r, req.GetFigures(), req.GetStatus(), req.GetReason())
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

// stepReport takes one step of the lifecycle and records who took it. The rule, if there is one, says what the step
// brings.
func (s *Server) stepReport(ctx context.Context, verb string, req record.StepRequest, rule func(*journal.Tx, *townv1.Report) error) (*townv1.Report, error) {
	return record.Step(ctx, s.db, s.reports, req, func(tx *journal.Tx, r *townv1.Report) error {
		next, err := advance(ReportLifecycle, r.GetState(), verb, req)
		if err != nil {
			return err
		}
		if rule != nil {
			if err := rule(tx, r); err != nil {
				return err
			}
		}
		r.State = next
		r.Decisions = append(r.Decisions, record.Decide(ctx, tx, verb, req))
		return nil
	})
}

// publish makes figures those that hold, for the report and in the totals.
func (s *Server) publish(tx *journal.Tx, r *townv1.Report, figures *townv1.Figures, status townv1.Publication_Status, reason string) error {
	if status == townv1.Publication_STATUS_UNSPECIFIED {
		status = townv1.Publication_STATUS_NORMAL
	}
	town, err := record.Load(tx, s.towns, townOf(r.GetName()))
	if err != nil {
		return err
	}
	if err := s.recount(tx, r.GetPeriod(), town, inForce(r), figures); err != nil {
		return err
	}
	r.Publications = append(r.Publications, &townv1.Publication{
		Figures: figures, Status: status, PublishTime: timestamppb.New(tx.Now()), Reason: reason,
	})
	return nil
}

// inForce returns the published figures that hold, nil if none were published.
func inForce(r *townv1.Report) *townv1.Figures {
	if n := len(r.GetPublications()); n > 0 {
		return r.GetPublications()[n-1].GetFigures()
	}
	return nil
}
