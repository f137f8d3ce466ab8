package assessment

import (
	"context"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/notice"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
)

// appealsByCampaign finds the appeals against the scorecards of a campaign.
var appealsByCampaign = store.Index[*assessmentv1.Appeal]{
	Name: "campaign",
	Keys: func(a *assessmentv1.Appeal) []string { return []string{campaignOf(a.GetScorecard())} },
}

// CreateAppeal implements the Assessment service.
func (s *Server) CreateAppeal(ctx context.Context, req *assessmentv1.CreateAppealRequest) (*assessmentv1.Appeal, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*assessmentv1.Appeal, error) {
		a := record.New(req.GetAppeal(), "appeals/"+req.GetAppealId())
		a.State = AppealLifecycle.Initial
		if division := authz.DivisionOf(a.GetScorecard()); division != authz.DivisionOf(a.GetName()) {
			return nil, fault.IdentifierMismatch("appeal_id", req.GetAppealId(), division)
		}
		if err := record.CheckDocuments("appeal.documents", a.GetDocuments()); err != nil {
			return nil, err
		}
		if _, err := record.Refer(tx, s.scorecards, "appeal.scorecard", a.GetScorecard()); err != nil {
			return nil, err
		}
		c, err := record.Load(tx, s.campaigns, campaignOf(a.GetScorecard()))
		if err != nil {
			return nil, err
		}
		if c.GetState() != announced || notice.Over(c.GetNoticeEndDate(), civil.DateOf(tx.Now())) {
			return nil, notOnNotice(c)
		}
		a.Collection = c.GetCollections()
		return record.Create(tx, s.appeals, a)
	})
}

// GetAppeal implements the Assessment service.
func (s *Server) GetAppeal(ctx context.Context, req *assessmentv1.GetAppealRequest) (*assessmentv1.Appeal, error) {
	return record.Get(ctx, s.db, s.appeals, req.GetName())
}

// ListAppeals implements the Assessment service.
func (s *Server) ListAppeals(ctx context.Context, req *assessmentv1.ListAppealsRequest) (*assessmentv1.ListAppealsResponse, error) {
	appeals, next, err := record.List(ctx, s.db, s.appeals, authz.Rows(ctx, "appeals", req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &assessmentv1.ListAppealsResponse{Appeals: appeals, NextPageToken: next}, nil
}

// UpdateAppeal implements the Assessment service.
func (s *Server) UpdateAppeal(ctx context.Context, req *assessmentv1.UpdateAppealRequest) (*assessmentv1.Appeal, error) {
	return record.Patch(ctx, s.db, s.appeals, req, req.GetAppeal(), func(_ *journal.Tx, before, after *assessmentv1.Appeal) error {
		if before.GetState() != assessmentv1.Appeal_STATE_FILED {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return record.CheckDocuments("appeal.documents", after.GetDocuments())
	})
}

// AcceptAppeal implements the Assessment service. From then on a collection is due that is newer than the newest.
func (s *Server) AcceptAppeal(ctx context.Context, req *assessmentv1.AcceptAppealRequest) (*assessmentv1.Appeal, error) {
	return s.stepAppeal(ctx, "accept", req, func(tx *journal.Tx, a *assessmentv1.Appeal) error {
		c, err := record.Load(tx, s.campaigns, campaignOf(a.GetScorecard()))
		if err != nil {
			return err
		}
		a.Collection = c.GetCollections()
		return nil
	})
}

// DismissAppeal implements the Assessment service.
func (s *Server) DismissAppeal(ctx context.Context, req *assessmentv1.DismissAppealRequest) (*assessmentv1.Appeal, error) {
	return s.stepAppeal(ctx, "dismiss", req, nil)
}

// WithdrawAppeal implements the Assessment service.
func (s *Server) WithdrawAppeal(ctx context.Context, req *assessmentv1.WithdrawAppealRequest) (*assessmentv1.Appeal, error) {
	return s.stepAppeal(ctx, "withdraw", req, nil)
}

func (s *Server) stepAppeal(ctx context.Context, verb string, req record.StepRequest, rule func(*journal.Tx, *assessmentv1.Appeal) error) (*assessmentv1.Appeal, error) {
	return record.Follow(ctx, s.db, s.appeals, req, AppealLifecycle, verb, rule)
}
