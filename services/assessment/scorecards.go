package assessment

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// scorecardName names the scorecard of a town: it bears the identifier of the town.
func scorecardName(campaign, town string) string {
	return campaign + "/scorecards/" + strings.TrimPrefix(town, "towns/")
}

// campaignOf returns the campaign of a scorecard, by its name.
func campaignOf(scorecard string) string {
	campaign, _, _ := strings.Cut(scorecard, "/scorecards/")
	return campaign
}

// GetScorecard implements the Assessment service.
func (s *Server) GetScorecard(ctx context.Context, req *assessmentv1.GetScorecardRequest) (*assessmentv1.Scorecard, error) {
	return record.Get(ctx, s.db, s.scorecards, req.GetName())
}

// ListScorecards implements the Assessment service.
func (s *Server) ListScorecards(ctx context.Context, req *assessmentv1.ListScorecardsRequest) (*assessmentv1.ListScorecardsResponse, error) {
	prefix := scorecardName(req.GetParent(), authz.Scope(ctx, req.GetDivision()))
	cards, next, err := record.List(ctx, s.db, s.scorecards, prefix, req)
	if err != nil {
		return nil, err
	}
	return &assessmentv1.ListScorecardsResponse{Scorecards: cards, NextPageToken: next}, nil
}

// RankScorecards implements the Assessment service.
func (s *Server) RankScorecards(ctx context.Context, req *assessmentv1.RankScorecardsRequest) (*assessmentv1.RankScorecardsResponse, error) {
	_, cards, err := s.result(ctx, req.GetParent(), authz.Scope(ctx, req.GetDivision()))
	if err != nil {
		return nil, err
	}
	byField := map[townv1.Field][]*assessmentv1.Scorecard{}
	for _, card := range cards {
		byField[card.GetField()] = append(byField[card.GetField()], card)
	}
	res := &assessmentv1.RankScorecardsResponse{}
	for field, cards := range byField {
		slices.SortFunc(cards, scoring.InOrder)
		ranking := &assessmentv1.Ranking{Field: field}
		for _, c := range cards {
			ranking.Towns = append(ranking.Towns, &assessmentv1.RankedTown{
				Rank: c.GetRank(), Town: c.GetTown(), TitleZh: c.GetTitleZh(), TitleEn: c.GetTitleEn(),
				TotalHundredths: c.GetTotalHundredths(), Tier: c.GetTier(), Vetoed: c.GetVetoed(),
			})
		}
		res.Rankings = append(res.Rankings, ranking)
	}
	slices.SortFunc(res.Rankings, func(a, b *assessmentv1.Ranking) int { return int(a.GetField()) - int(b.GetField()) })
	return res, nil
}

// RecommendConsequences implements the Assessment service.
func (s *Server) RecommendConsequences(ctx context.Context, req *assessmentv1.RecommendConsequencesRequest) (*assessmentv1.RecommendConsequencesResponse, error) {
	c, cards, err := s.result(ctx, req.GetName(), authz.Scope(ctx, req.GetDivision()))
	if err != nil {
		return nil, err
	}
	set, err := s.pinnedSet(ctx, c)
	if err != nil {
		return nil, err
	}
	res := &assessmentv1.RecommendConsequencesResponse{}
	for _, card := range cards {
		res.Consequences = append(res.Consequences, scoring.Consequences(set, card)...)
	}
	return res, nil
}

// maxDifferences bounds the answer of VerifyScorecard.
const maxDifferences = 100

// VerifyScorecard implements the Assessment service. All towns of the campaign are scored again, since shares and places
// depend on the others.
func (s *Server) VerifyScorecard(ctx context.Context, req *assessmentv1.VerifyScorecardRequest) (*assessmentv1.VerifyScorecardResponse, error) {
	c, cards, err := s.result(ctx, campaignOf(req.GetName()), "")
	if err != nil {
		return nil, err
	}
	set, err := s.pinnedSet(ctx, c)
	if err != nil {
		return nil, err
	}
	compiled, err := compile(set)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(cards, func(c *assessmentv1.Scorecard) bool { return c.GetName() == req.GetName() })
	if i < 0 {
		return nil, fault.NotFound(req.GetName())
	}
	computed := compiled.Score(cards)[i]
	differences := scoring.Differences(cards[i], computed, maxDifferences)
	return &assessmentv1.VerifyScorecardResponse{
		Equal: len(differences) == 0, Differences: differences, Computed: computed,
	}, nil
}

// result reads a campaign that is scored, and the scorecards of the towns whose identifiers begin with scope.
func (s *Server) result(ctx context.Context, campaign, scope string) (c *assessmentv1.Campaign, cards []*assessmentv1.Scorecard, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		if c, err = record.Load(r, s.campaigns, campaign); err != nil {
			return err
		}
		switch c.GetState() {
		case scored, announced, final:
		default:
			return notScored(c)
		}
		cards, err = s.cardsOf(r, campaign, scope)
		return err
	})
	return c, cards, err
}

// cardsOf reads the scorecards of a campaign, in the order of their names: all, or those of the towns whose identifiers
// begin with scope.
func (s *Server) cardsOf(r store.Reader, campaign, scope string) ([]*assessmentv1.Scorecard, error) {
	var cards []*assessmentv1.Scorecard
	for card, err := range s.scorecards.Scan(r, scorecardName(campaign, scope), "") {
		if err != nil {
			return nil, err
		}
		cards = append(cards, card)
	}
	return cards, nil
}

// pinnedSet reads the indicator set of a campaign as it stood at the collection, from the journal.
func (s *Server) pinnedSet(ctx context.Context, c *assessmentv1.Campaign) (*assessmentv1.IndicatorSet, error) {
	pin := c.GetIndicatorSetEvidence()
	change, err := s.db.At(ctx, pin.GetResource(), pin.GetRevision())
	if errors.As(err, new(*journal.CorruptError)) || errors.As(err, new(*journal.PrunedError)) {
		return nil, pinBroken(pin)
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(change.GetHash(), pin.GetHash()) {
		return nil, pinBroken(pin)
	}
	set := &assessmentv1.IndicatorSet{}
	return set, change.GetAfter().UnmarshalTo(set)
}
