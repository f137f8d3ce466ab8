package fund

import (
	"context"
	"errors"
	"slices"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/notice"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/grant"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// CreateApplication implements the SpecialFund service.
func (s *Server) CreateApplication(ctx context.Context, req *fundv1.CreateApplicationRequest) (*fundv1.Application, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Application, error) {
		a := record.New(req.GetApplication(), "applications/"+req.GetApplicationId())
		a.State = ApplicationLifecycle.Initial
		call, err := record.Refer(tx, s.calls, "application.call", a.GetCall())
		if err != nil {
			return nil, err
		}
		line, err := record.Load(tx, s.lines, call.GetLine())
		if err != nil {
			return nil, err
		}
		a.Action = line.GetAction()
		if err := s.checkApplication(tx, a); err != nil {
			return nil, err
		}
		return record.Create(tx, s.applications, a)
	})
}

// GetApplication implements the SpecialFund service.
func (s *Server) GetApplication(ctx context.Context, req *fundv1.GetApplicationRequest) (*fundv1.Application, error) {
	return record.Get(ctx, s.db, s.applications, req.GetName())
}

// ListApplications implements the SpecialFund service.
func (s *Server) ListApplications(ctx context.Context, req *fundv1.ListApplicationsRequest) (*fundv1.ListApplicationsResponse, error) {
	answers := func(a *fundv1.Application) bool { return req.GetCall() == "" || a.GetCall() == req.GetCall() }
	rows, next, err := record.ListWhere(ctx, s.db, s.applications, authz.Rows(ctx, "applications", req.GetDivision()), req, answers)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListApplicationsResponse{Applications: rows, NextPageToken: next}, nil
}

// UpdateApplication implements the SpecialFund service.
func (s *Server) UpdateApplication(ctx context.Context, req *fundv1.UpdateApplicationRequest) (*fundv1.Application, error) {
	return record.Patch(ctx, s.db, s.applications, req, req.GetApplication(), func(tx *journal.Tx, before, after *fundv1.Application) error {
		if before.GetState() != draft {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return s.checkApplication(tx, after)
	})
}

// checkApplication holds a draft against the rules that concern more than one field or more than one application.
func (s *Server) checkApplication(r store.Reader, a *fundv1.Application) error {
	if err := record.CheckDivision("application.town", a.GetTown(), a.GetName()); err != nil {
		return err
	}
	if err := record.CheckDivision("application.project", a.GetProject(), a.GetName()); err != nil {
		return err
	}
	if err := record.CheckCreditCode("application.enterprise_code", a.GetEnterpriseCode()); err != nil {
		return err
	}
	for _, sha256 := range a.GetEvidenceSha256S() {
		if other, err := s.another(r, applicationsByEvidence.Name, sha256, a); err != nil {
			return err
		} else if other != "" {
			return duplicateEvidence(other, sha256)
		}
	}
	if other, err := s.another(r, applicationsByPurpose.Name, purpose(a), a); err != nil {
		return err
	} else if other != "" {
		return duplicateProject(other, a.GetProject(), a.GetAction())
	}
	return nil
}

// another returns the name of an application other than this one under a value of an index, empty if there is none.
func (s *Server) another(r store.Reader, index, value string, than *fundv1.Application) (string, error) {
	for a, err := range s.applications.ScanIndex(r, index, value, "") {
		if err != nil {
			return "", err
		}
		if a.GetName() != than.GetName() {
			return a.GetName(), nil
		}
	}
	return "", nil
}

// SubmitApplication implements the SpecialFund service.
func (s *Server) SubmitApplication(ctx context.Context, req *fundv1.SubmitApplicationRequest) (*fundv1.Application, error) {
	return record.Follow(ctx, s.db, s.applications, req, ApplicationLifecycle, "submit", func(tx *journal.Tx, a *fundv1.Application) error {
		c, err := record.Load(tx, s.calls, a.GetCall())
		if err != nil {
			return err
		}
		today := civil.DateOf(tx.Now())
		if c.GetState() != fundv1.Call_STATE_OPEN || civil.Compare(today, c.GetOpenDate()) < 0 || civil.Compare(today, c.GetCloseDate()) > 0 {
			return callNotOpen(c, lifecycle.Name(c.GetState()))
		}
		return nil
	})
}

// CheckApplication implements the SpecialFund service.
func (s *Server) CheckApplication(ctx context.Context, req *fundv1.CheckApplicationRequest) (*fundv1.Application, error) {
	return record.Follow(ctx, s.db, s.applications, req, ApplicationLifecycle, "check", func(tx *journal.Tx, a *fundv1.Application) error {
		c, err := record.Load(tx, s.calls, a.GetCall())
		if err != nil {
			return err
		}
		if c.GetBasis() == fundv1.Call_BASIS_VERIFIED && req.GetVerifiedInvestmentFen() == 0 {
			return verifiedInvestmentRequired()
		}
		a.VerifiedInvestmentFen = req.GetVerifiedInvestmentFen()
		return nil
	})
}

// ReviewApplication implements the SpecialFund service.
func (s *Server) ReviewApplication(ctx context.Context, req *fundv1.ReviewApplicationRequest) (*fundv1.Application, error) {
	return record.Follow(ctx, s.db, s.applications, req, ApplicationLifecycle, "review", func(tx *journal.Tx, a *fundv1.Application) error {
		points, err := countedPoints(req.GetScores())
		if err != nil {
			return err
		}
		a.Scores, a.AverageScore = req.GetScores(), grant.Average(points)
		return nil
	})
}

// countedPoints returns what the experts gave that are not recused. Each is named once, and at least one counts.
func countedPoints(scores []*fundv1.ExpertScore) (points []int32, err error) {
	named := map[string]bool{}
	for _, score := range scores {
		if named[score.GetExpert()] {
			return nil, scoresRequired("专家 "+score.GetExpert()+" 出现两次", score.GetExpert()+" is named twice")
		}
		named[score.GetExpert()] = true
		if !score.GetRecused() {
			points = append(points, score.GetPoints())
		}
	}
	if len(points) == 0 {
		return nil, scoresRequired("所有专家均已回避", "every expert is recused")
	}
	return points, nil
}

// AnnounceApplication implements the SpecialFund service. What the town registry answers, or that it does not, is only told
// if the step is permitted.
func (s *Server) AnnounceApplication(ctx context.Context, req *fundv1.AnnounceApplicationRequest) (*fundv1.Application, error) {
	days, err := notice.Days(req.GetNoticeWorkingDays())
	if err != nil {
		return nil, err
	}
	period, uncounted := record.Ask(ctx, s.db, req, func() (notice.Period, error) {
		return notice.Count(ctx, s.town, civil.DateOf(s.db.Now()), days)
	})
	return record.Follow(ctx, s.db, s.applications, req, ApplicationLifecycle, "announce", func(_ *journal.Tx, a *fundv1.Application) error {
		a.NoticeStartDate, a.NoticeEndDate, a.CalendarEvidence = period.First, period.Last, period.Calendars
		return uncounted
	})
}

// ApproveApplication implements the SpecialFund service.
func (s *Server) ApproveApplication(ctx context.Context, req *fundv1.ApproveApplicationRequest) (*fundv1.Application, error) {
	return record.Follow(ctx, s.db, s.applications, req, ApplicationLifecycle, "approve", func(tx *journal.Tx, a *fundv1.Application) error {
		if err := notice.CheckOver(a.GetName(), "approve", a.GetNoticeEndDate(), civil.DateOf(tx.Now())); err != nil {
			return err
		}
		c, err := record.Load(tx, s.calls, a.GetCall())
		if err != nil {
			return err
		}
		if err := s.checkAdopted(tx, budgetOf(c.GetLine())); err != nil {
			return err
		}
		if a.ApprovedFen, err = s.permitted(tx, c, a, req.GetAmountFen()); err != nil {
			return err
		}
		return s.post(ctx, tx, ledger.Reserve, c.GetLine(), a.GetName(), a.GetApprovedFen())
	})
}

// permitted returns how much of what is wanted, or of everything if that is 0, a call permits an application.
func (s *Server) permitted(r store.Reader, c *fundv1.Call, a *fundv1.Application, wantedFen int64) (int64, error) {
	had, err := s.granted(r, a)
	if err != nil {
		return 0, err
	}
	investment := a.GetEligibleInvestmentFen()
	if c.GetBasis() == fundv1.Call_BASIS_VERIFIED {
		investment = min(investment, a.GetVerifiedInvestmentFen())
	}
	rate := c.GetRateBp()
	if slices.Contains(c.GetKeyTowns(), a.GetTown()) {
		rate += c.GetKeyTownExtraBp()
	}
	amount, err := grant.Limits{
		grant.Request:        a.GetRequestedFen(),
		grant.Rate:           grant.Share(investment, rate),
		grant.ApplicationCap: c.GetCapPerApplicationFen(),
		grant.EnterpriseCap:  c.GetCapPerEnterpriseFen() - had,
	}.Amount(wantedFen)
	var exceeded *grant.Exceeded
	if errors.As(err, &exceeded) {
		return 0, limitExceeded(exceeded)
	}
	return amount, err
}

// granted returns what the enterprise of an application has under its call: what was approved, less what was cut of it.
func (s *Server) granted(r store.Reader, of *fundv1.Application) (sum int64, err error) {
	for a, err := range s.applications.ScanIndex(r, applicationsGranted.Name, recipient(of), "") {
		if err != nil {
			return 0, err
		}
		has := a.GetApprovedFen()
		if a.GetAward() != "" {
			award, err := record.Load(r, s.awards, a.GetAward())
			if err != nil {
				return 0, err
			}
			has -= award.GetCutFen()
		}
		if sum, err = ledger.Add(sum, has); err != nil {
			return 0, postingFault(err)
		}
	}
	return sum, nil
}

// AwardApplication implements the SpecialFund service.
func (s *Server) AwardApplication(ctx context.Context, req *fundv1.AwardApplicationRequest) (*fundv1.Award, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Award, error) {
		a, err := record.Load(tx, s.applications, req.GetName())
		if err != nil {
			return nil, err
		}
		if err := record.CheckETag(a, req.GetEtag()); err != nil {
			return nil, err
		}
		if err := record.Advance(ctx, tx, req, ApplicationLifecycle, "award", a); err != nil {
			return nil, err
		}
		c, err := record.Load(tx, s.calls, a.GetCall())
		if err != nil {
			return nil, err
		}
		award, err := s.makeAward(tx, c, a)
		if err != nil {
			return nil, err
		}
		a.Award = award.GetName()
		if _, err := record.Save(tx, s.applications, a); err != nil {
			return nil, err
		}
		return award, s.post(ctx, tx, ledger.Award, award.GetLine(), award.GetName(), award.GetAmountFen())
	})
}

// ReturnApplication implements the SpecialFund service. What the county and the experts found is gone with it: it is found
// anew.
func (s *Server) ReturnApplication(ctx context.Context, req *fundv1.ReturnApplicationRequest) (*fundv1.Application, error) {
	return record.Step(ctx, s.db, s.applications, req, func(tx *journal.Tx, a *fundv1.Application) error {
		a.VerifiedInvestmentFen, a.Scores, a.AverageScore = 0, nil, ""
		return record.Advance(ctx, tx, req, ApplicationLifecycle, "return", a)
	})
}

// RejectApplication implements the SpecialFund service.
func (s *Server) RejectApplication(ctx context.Context, req *fundv1.RejectApplicationRequest) (*fundv1.Application, error) {
	return record.Follow(ctx, s.db, s.applications, req, ApplicationLifecycle, "reject", nil)
}

// WithdrawApplication implements the SpecialFund service.
func (s *Server) WithdrawApplication(ctx context.Context, req *fundv1.WithdrawApplicationRequest) (*fundv1.Application, error) {
	return record.Step(ctx, s.db, s.applications, req, func(tx *journal.Tx, a *fundv1.Application) error {
		was := a.GetState()
		if err := record.Advance(ctx, tx, req, ApplicationLifecycle, "withdraw", a); err != nil {
			return err
		}
		if was != approved {
			return nil
		}
		c, err := record.Load(tx, s.calls, a.GetCall())
		if err != nil {
			return err
		}
		return s.post(ctx, tx, ledger.Release, c.GetLine(), a.GetName(), a.GetApprovedFen())
	})
}
