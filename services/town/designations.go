package town

import (
	"context"
	"errors"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/notice"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// designationsByBatch finds the designations of a batch.
var designationsByBatch = store.Index[*townv1.Designation]{
	Name: "batch",
	Keys: func(d *townv1.Designation) []string {
		if d.GetBatch() == "" {
			return nil
		}
		return []string{d.GetBatch()}
	},
}

// CreateDesignation implements the TownRegistry service.
func (s *Server) CreateDesignation(ctx context.Context, req *townv1.CreateDesignationRequest) (*townv1.Designation, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Designation, error) {
		if err := s.checkTown(tx, req.GetParent()); err != nil {
			return nil, err
		}
		d := record.New(req.GetDesignation(), req.GetParent()+"/designations/"+req.GetDesignationId())
		d.Level = levelOf(req.GetDesignationId())
		d.State = DesignationLifecycle.Initial
		if d.GetLevel() == townv1.Level_LEVEL_PROVINCIAL {
			municipal, err := s.holds(tx, municipalOf(req.GetParent()))
			if err != nil {
				return nil, err
			}
			if !municipal {
				return nil, municipalLevelRequired(req.GetParent())
			}
		}
		return record.Create(tx, s.designations, d)
	})
}

// GetDesignation implements the TownRegistry service.
func (s *Server) GetDesignation(ctx context.Context, req *townv1.GetDesignationRequest) (*townv1.Designation, error) {
	return record.Get(ctx, s.db, s.designations, req.GetName())
}

// ListDesignations implements the TownRegistry service.
func (s *Server) ListDesignations(ctx context.Context, req *townv1.ListDesignationsRequest) (*townv1.ListDesignationsResponse, error) {
	designations, next, err := record.List(ctx, s.db, s.designations, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListDesignationsResponse{Designations: designations, NextPageToken: next}, nil
}

// UpdateDesignation implements the TownRegistry service.
func (s *Server) UpdateDesignation(ctx context.Context, req *townv1.UpdateDesignationRequest) (*townv1.Designation, error) {
	return record.Patch(ctx, s.db, s.designations, req, req.GetDesignation(), func(_ *journal.Tx, before, _ *townv1.Designation) error {
		if before.GetState() != draft {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return nil
	})
}

// SubmitDesignation implements the TownRegistry service.
func (s *Server) SubmitDesignation(ctx context.Context, req *townv1.SubmitDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "submit", req, nil)
}

// RecommendDesignation implements the TownRegistry service.
func (s *Server) RecommendDesignation(ctx context.Context, req *townv1.RecommendDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "recommend", req, nil)
}

// ReviewDesignation implements the TownRegistry service.
func (s *Server) ReviewDesignation(ctx context.Context, req *townv1.ReviewDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "review", req, nil)
}

// AnnounceDesignation implements the TownRegistry service. The last day of the notice is reckoned once, here: it stays
// when the calendar is corrected later.
func (s *Server) AnnounceDesignation(ctx context.Context, req *townv1.AnnounceDesignationRequest) (*townv1.Designation, error) {
	days, err := notice.Days(req.GetNoticeWorkingDays())
	if err != nil {
		return nil, err
	}
	return s.stepDesignation(ctx, "announce", req, func(tx *journal.Tx, d *townv1.Designation) (err error) {
		d.NoticeStartDate = civil.DateOf(tx.Now())
		d.NoticeEndDate, err = notice.LastDay(d.GetNoticeStartDate(), days, func(year int32) (notice.Holidays, error) {
			return s.calendars.Get(tx, calendarName(year))
		})
		return err
	})
}

// DesignateTown implements the TownRegistry service.
func (s *Server) DesignateTown(ctx context.Context, req *townv1.DesignateTownRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "designate", req, func(tx *journal.Tx, d *townv1.Designation) error {
		if err := notice.CheckOver(d.GetName(), "designate", d.GetNoticeEndDate(), civil.DateOf(tx.Now())); err != nil {
			return err
		}
		batch, err := record.Refer(tx, s.batches, "batch", req.GetBatch())
		if err != nil {
			return err
		}
		if batch.GetLevel() != d.GetLevel() {
			return batchLevelMismatch(batch, d.GetLevel())
		}
		d.Batch = batch.GetName()
		d.DocumentNumber = batch.GetDocument().GetNumber()
		d.TermStartDate = batch.GetEffectiveDate()
		d.TermEndDate = civil.AddDays(civil.AddYears(batch.GetEffectiveDate(), int(batch.GetTermYears())), -1)
		return nil
	})
}

// WarnDesignation implements the TownRegistry service.
func (s *Server) WarnDesignation(ctx context.Context, req *townv1.WarnDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "warn", req, nil)
}

// RestoreDesignation implements the TownRegistry service.
func (s *Server) RestoreDesignation(ctx context.Context, req *townv1.RestoreDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "restore", req, nil)
}

// RevokeDesignation implements the TownRegistry service.
func (s *Server) RevokeDesignation(ctx context.Context, req *townv1.RevokeDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "revoke", req, nil)
}

// LapseDesignation implements the TownRegistry service.
func (s *Server) LapseDesignation(ctx context.Context, req *townv1.LapseDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "lapse", req, func(tx *journal.Tx, d *townv1.Designation) error {
		if civil.Compare(civil.DateOf(tx.Now()), d.GetTermEndDate()) <= 0 {
			return termRunning(d.GetName(), d.GetTermEndDate())
		}
		return nil
	})
}

// ReturnDesignation implements the TownRegistry service.
func (s *Server) ReturnDesignation(ctx context.Context, req *townv1.ReturnDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "return", req, nil)
}

// RejectDesignation implements the TownRegistry service.
func (s *Server) RejectDesignation(ctx context.Context, req *townv1.RejectDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "reject", req, nil)
}

// WithdrawDesignation implements the TownRegistry service.
func (s *Server) WithdrawDesignation(ctx context.Context, req *townv1.WithdrawDesignationRequest) (*townv1.Designation, error) {
	return s.stepDesignation(ctx, "withdraw", req, nil)
}

// designationRule says what more a step needs than the right state, and changes the designation by what it brings.
type designationRule func(*journal.Tx, *townv1.Designation) error

// stepDesignation takes one step in the life of a designation; a nil rule adds nothing.
func (s *Server) stepDesignation(ctx context.Context, verb string, req record.StepRequest, rule designationRule) (*townv1.Designation, error) {
	return record.Follow(ctx, s.db, s.designations, req, DesignationLifecycle, verb, rule)
}

// holds tells whether one of these designations is there and holds. A warning does not end it, and neither does the end
// of its term: that is for the city to decide, by letting it lapse.
func (s *Server) holds(r store.Reader, names ...string) (bool, error) {
	for _, name := range names {
		d, err := s.designations.Get(r, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil || d.GetState() == designated || d.GetState() == warned {
			return err == nil, err
		}
	}
	return false, nil
}

// The identifier of a designation is its level.
func municipalOf(town string) string  { return town + "/designations/municipal" }
func provincialOf(town string) string { return town + "/designations/provincial" }

func levelOf(id string) townv1.Level {
	if id == "provincial" {
		return townv1.Level_LEVEL_PROVINCIAL
	}
	return townv1.Level_LEVEL_MUNICIPAL
}

func levelID(l townv1.Level) string {
	if l == townv1.Level_LEVEL_PROVINCIAL {
		return "provincial"
	}
	return "municipal"
}
