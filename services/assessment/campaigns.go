package assessment

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/notice"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// CreateCampaign implements the Assessment service.
func (s *Server) CreateCampaign(ctx context.Context, req *assessmentv1.CreateCampaignRequest) (*assessmentv1.Campaign, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*assessmentv1.Campaign, error) {
		c := record.New(req.GetCampaign(), "campaigns/"+req.GetCampaignId())
		c.State = CampaignLifecycle.Initial
		if err := s.checkAdopted(tx, c.GetIndicatorSet()); err != nil {
			return nil, err
		}
		return record.Create(tx, s.campaigns, c)
	})
}

// GetCampaign implements the Assessment service.
func (s *Server) GetCampaign(ctx context.Context, req *assessmentv1.GetCampaignRequest) (*assessmentv1.Campaign, error) {
	return record.Get(ctx, s.db, s.campaigns, req.GetName())
}

// ListCampaigns implements the Assessment service.
func (s *Server) ListCampaigns(ctx context.Context, req *assessmentv1.ListCampaignsRequest) (*assessmentv1.ListCampaignsResponse, error) {
	campaigns, next, err := record.List(ctx, s.db, s.campaigns, "campaigns/", req)
	if err != nil {
		return nil, err
	}
	return &assessmentv1.ListCampaignsResponse{Campaigns: campaigns, NextPageToken: next}, nil
}

// UpdateCampaign implements the Assessment service.
func (s *Server) UpdateCampaign(ctx context.Context, req *assessmentv1.UpdateCampaignRequest) (*assessmentv1.Campaign, error) {
	return record.Patch(ctx, s.db, s.campaigns, req, req.GetCampaign(), func(tx *journal.Tx, before, after *assessmentv1.Campaign) error {
		if before.GetState() != draft {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return s.checkAdopted(tx, after.GetIndicatorSet())
	})
}

// CollectCampaign implements the Assessment service. What the peers answer, or that one does not, is only told if the
// step is permitted.
func (s *Server) CollectCampaign(ctx context.Context, req *assessmentv1.CollectCampaignRequest) (*assessmentv1.Campaign, error) {
	found, problem := record.Ask(ctx, s.db, req, func() (*survey, error) { return s.surveyFor(ctx, req) })
	return s.stepCampaign(ctx, "collect", req, func(tx *journal.Tx, c *assessmentv1.Campaign) error {
		if problem != nil {
			return problem
		}
		if c.GetCollections() != found.collections { // what another call read since may be newer
			return fault.StaleETag(c.GetName(), c.GetEtag())
		}
		pinned, err := journal.Latest(tx, c.GetIndicatorSet())
		if err != nil {
			return err
		}
		if err := s.replaceScorecards(tx, c, found.cards); err != nil {
			return err
		}
		c.Collections++
		c.CollectTime = timestamppb.New(tx.Now())
		c.Pins = found.pins
		c.IndicatorSetEvidence = journal.EvidenceOf(pinned)
		c.TownCount = int32(len(found.cards)) // maxTowns bounds it
		return nil
	})
}

// surveyFor reads the facts for a campaign, unless the step would be refused anyway.
func (s *Server) surveyFor(ctx context.Context, req *assessmentv1.CollectCampaignRequest) (*survey, error) {
	c, err := record.Get(ctx, s.db, s.campaigns, req.GetName())
	if err != nil {
		return nil, err
	}
	if _, err := record.Next(CampaignLifecycle, "collect", c); err != nil {
		return nil, err
	}
	found, err := s.survey(ctx, c.GetPeriod())
	if err != nil {
		return nil, err
	}
	found.collections = c.GetCollections()
	return found, nil
}

// ScoreCampaign implements the Assessment service.
func (s *Server) ScoreCampaign(ctx context.Context, req *assessmentv1.ScoreCampaignRequest) (*assessmentv1.Campaign, error) {
	return s.stepCampaign(ctx, "score", req, func(tx *journal.Tx, c *assessmentv1.Campaign) error {
		set, err := record.Load(tx, s.sets, c.GetIndicatorSet())
		if err != nil {
			return err
		}
		compiled, err := compile(set)
		if err != nil {
			return err
		}
		cards, err := s.cardsOf(tx, c.GetName(), "")
		if err != nil {
			return err
		}
		c.ScoreTime = timestamppb.New(tx.Now())
		return s.saveScorecards(tx, compiled.Score(cards))
	})
}

// AnnounceCampaign implements the Assessment service.
func (s *Server) AnnounceCampaign(ctx context.Context, req *assessmentv1.AnnounceCampaignRequest) (*assessmentv1.Campaign, error) {
	days, err := notice.Days(req.GetNoticeWorkingDays())
	if err != nil {
		return nil, err
	}
	period, uncounted := record.Ask(ctx, s.db, req, func() (notice.Period, error) {
		return notice.Count(ctx, s.peers.TownJournal, civil.DateOf(s.db.Now()), days)
	})
	return s.stepCampaign(ctx, "announce", req, func(_ *journal.Tx, c *assessmentv1.Campaign) error {
		c.NoticeStartDate, c.NoticeEndDate, c.CalendarEvidence = period.First, period.Last, period.Calendars
		return uncounted
	})
}

// ConcludeCampaign implements the Assessment service.
func (s *Server) ConcludeCampaign(ctx context.Context, req *assessmentv1.ConcludeCampaignRequest) (*assessmentv1.Campaign, error) {
	return s.stepCampaign(ctx, "conclude", req, func(tx *journal.Tx, c *assessmentv1.Campaign) error {
		if err := notice.CheckOver(c.GetName(), "conclude", c.GetNoticeEndDate(), civil.DateOf(tx.Now())); err != nil {
			return err
		}
		for a, err := range s.appeals.ScanIndex(tx, appealsByCampaign.Name, c.GetName(), "") {
			if err != nil {
				return err
			}
			if a.GetState() == assessmentv1.Appeal_STATE_FILED {
				return appealOpen(c.GetName(), a.GetName())
			}
			if a.GetState() == assessmentv1.Appeal_STATE_ACCEPTED && a.GetCollection() == c.GetCollections() {
				return correctionDue(c.GetName(), a.GetName())
			}
		}
		return nil
	})
}

// ReopenCampaign implements the Assessment service. The facts stay; the scores are taken off the scorecards, and the
// journal keeps what they were.
func (s *Server) ReopenCampaign(ctx context.Context, req *assessmentv1.ReopenCampaignRequest) (*assessmentv1.Campaign, error) {
	return s.stepCampaign(ctx, "reopen", req, func(tx *journal.Tx, c *assessmentv1.Campaign) error {
		cards, err := s.cardsOf(tx, c.GetName(), "")
		if err != nil {
			return err
		}
		for i := range cards {
			cards[i] = scoring.Unscored(cards[i])
		}
		c.ScoreTime, c.NoticeStartDate, c.NoticeEndDate, c.CalendarEvidence = nil, nil, nil, nil
		return s.saveScorecards(tx, cards)
	})
}

// CancelCampaign implements the Assessment service.
func (s *Server) CancelCampaign(ctx context.Context, req *assessmentv1.CancelCampaignRequest) (*assessmentv1.Campaign, error) {
	return s.stepCampaign(ctx, "cancel", req, nil)
}

// stepCampaign takes one step in the life of a campaign. The rule, if there is one, says what more the step needs and what
// it brings.
func (s *Server) stepCampaign(ctx context.Context, verb string, req record.StepRequest, rule func(*journal.Tx, *assessmentv1.Campaign) error) (*assessmentv1.Campaign, error) {
	return record.Follow(ctx, s.db, s.campaigns, req, CampaignLifecycle, verb, rule)
}

// checkAdopted refuses an indicator set that no campaign may begin under.
func (s *Server) checkAdopted(r store.Reader, name string) error {
	set, err := record.Refer(r, s.sets, "campaign.indicator_set", name)
	if err != nil {
		return err
	}
	if set.GetState() != assessmentv1.IndicatorSet_STATE_ADOPTED {
		return setNotAdopted(set)
	}
	return nil
}

// replaceScorecards puts the scorecards of a collection in the place of those of the one before.
func (s *Server) replaceScorecards(tx *journal.Tx, c *assessmentv1.Campaign, cards []*assessmentv1.Scorecard) error {
	old, err := s.cardsOf(tx, c.GetName(), "")
	if err != nil {
		return err
	}
	before := map[string]*assessmentv1.Scorecard{}
	for _, card := range old {
		before[card.GetTown()] = card
	}
	for _, found := range cards {
		card := scoring.Unscored(found) // a copy: the transaction may run again
		card.Name = scorecardName(c.GetName(), card.GetTown())
		if was := before[card.GetTown()]; was != nil {
			card.CreateTime = was.GetCreateTime()
			_, err = record.Save(tx, s.scorecards, card)
			delete(before, card.GetTown())
		} else {
			_, err = record.Create(tx, s.scorecards, card)
		}
		if err != nil {
			return err
		}
	}
	for _, card := range old {
		if before[card.GetTown()] != nil {
			if err := s.scorecards.Delete(tx, card.GetName()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) saveScorecards(tx *journal.Tx, cards []*assessmentv1.Scorecard) error {
	for _, card := range cards {
		if _, err := record.Save(tx, s.scorecards, card); err != nil {
			return err
		}
	}
	return nil
}
