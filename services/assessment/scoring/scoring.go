// Package scoring computes scorecards from facts. The same indicator set and the same facts give the same digits, on any
// machine and in any order of the towns: everything is whole numbers, and what is rounded is rounded where the contract
// says.
package scoring

import (
	"cmp"
	"math/big"
	"slices"

	"google.golang.org/protobuf/proto"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// whole is a share of 1, in parts per million.
const whole = 1_000_000

// Set is an indicator set whose expressions are compiled.
type Set struct {
	rules      *assessmentv1.IndicatorSet
	indicators []*Expression
	vetoes     []*Expression
	bonuses    []*Expression
}

// Score returns the scorecards with their points, in the order given. The scorecards themselves are not changed; all that
// is read of them are the facts, the field and the name of the town.
func (s *Set) Score(cards []*assessmentv1.Scorecard) []*assessmentv1.Scorecard {
	scored := make([]*assessmentv1.Scorecard, len(cards))
	values := make([]map[string]int64, len(cards))
	fields := map[townv1.Field][]int{}
	for i, card := range cards {
		scored[i] = Unscored(card)
		values[i] = factsOf(card)
		fields[card.GetField()] = append(fields[card.GetField()], i)
	}
	for i, ind := range s.rules.GetIndicators() {
		scores := make([]*assessmentv1.IndicatorScore, len(cards))
		for n := range cards {
			scores[n] = measure(ind, s.indicators[i], values[n])
			scored[n].IndicatorScores = append(scored[n].IndicatorScores, scores[n])
		}
		for _, members := range fields {
			normalise(ind, pick(scores, members))
		}
	}
	for n, card := range scored {
		s.settle(card, values[n])
	}
	for _, members := range fields {
		rank(pick(scored, members))
	}
	return scored
}

// Unscored returns a copy of a scorecard as it was collected: with its facts, without points.
func Unscored(card *assessmentv1.Scorecard) *assessmentv1.Scorecard {
	card = proto.Clone(card).(*assessmentv1.Scorecard)
	card.IndicatorScores, card.VetoOutcomes, card.BonusOutcomes = nil, nil, nil
	card.TotalHundredths, card.Vetoed, card.Rank, card.Tier = 0, false, 0, ""
	return card
}

func factsOf(card *assessmentv1.Scorecard) map[string]int64 {
	values := make(map[string]int64, len(card.GetFacts()))
	for _, f := range card.GetFacts() {
		values[f.GetFact()] = f.GetValue()
	}
	return values
}

func pick[T any](all []T, members []int) []T {
	some := make([]T, 0, len(members))
	for _, i := range members {
		some = append(some, all[i])
	}
	return some
}

// measure evaluates an indicator for one town.
func measure(ind *assessmentv1.Indicator, e *Expression, facts map[string]int64) *assessmentv1.IndicatorScore {
	score := &assessmentv1.IndicatorScore{
		Indicator:    ind.GetIndicatorId(),
		Expression:   ind.GetExpression(),
		WeightPoints: ind.GetWeightPoints(),
	}
	v, problem := e.Number(facts)
	score.Value, score.Problem = v, problem
	return score
}

// normalise turns the values of one indicator in one field into shares and points.
func normalise(ind *assessmentv1.Indicator, scores []*assessmentv1.IndicatorScore) {
	var values []int64
	for _, s := range scores {
		if s.GetProblem() == "" {
			values = append(values, s.GetValue())
		}
	}
	if len(values) == 0 {
		return
	}
	slices.Sort(values)
	for _, s := range scores {
		if s.GetProblem() != "" {
			continue
		}
		s.NormalisedPpm = int32(share(ind, s.GetValue(), values))
		s.PointsHundredths = Points(s.GetWeightPoints(), s.GetNormalisedPpm())
	}
}

// Points returns what a share of a weight is in hundredths of a point, rounded half up.
func Points(weightPoints, sharePpm int32) int32 {
	const divisor = whole / 100
	return int32((int64(weightPoints)*int64(sharePpm) + divisor/2) / divisor)
}

// share returns what a value earns, in parts per million, rounded down. The values are those of the field, in rising
// order, and the value is one of them.
func share(ind *assessmentv1.Indicator, v int64, values []int64) int64 {
	switch how := ind.GetNormalisation().(type) {
	case *assessmentv1.Indicator_Target:
		return attainment(v, how.Target.GetTargetValue(), how.Target.GetLowerBetter())
	case *assessmentv1.Indicator_MinMax:
		return between(v, values[0], values[len(values)-1], how.MinMax)
	case *assessmentv1.Indicator_StepTable:
		return step(v, how.StepTable.GetSteps())
	case *assessmentv1.Indicator_RankOrder:
		return order(v, values, how.RankOrder.GetLowerBetter())
	}
	return 0
}

func attainment(v, target int64, lowerBetter bool) int64 {
	switch {
	case lowerBetter && v <= target, !lowerBetter && v >= target:
		return whole
	case lowerBetter:
		return portion(target, v)
	case v <= 0:
		return 0
	}
	return portion(v, target)
}

func between(v, lowest, highest int64, how *assessmentv1.MinMax) int64 {
	if lowest == highest {
		return whole
	}
	floor := int64(how.GetFloorBp()) * 100
	above := difference(v, lowest)
	if how.GetLowerBetter() {
		above = difference(highest, v)
	}
	part := above.Mul(above, big.NewInt(whole-floor))
	return floor + part.Div(part, difference(highest, lowest)).Int64()
}

// difference returns a - b, which may take more than 64 bits.
func difference(a, b int64) *big.Int { return new(big.Int).Sub(big.NewInt(a), big.NewInt(b)) }

func step(v int64, steps []*assessmentv1.Step) int64 {
	var reached int64
	for _, s := range steps {
		if v >= s.GetReachValue() {
			reached = int64(s.GetShareBp()) * 100
		}
	}
	return reached
}

func order(v int64, values []int64, lowerBetter bool) int64 {
	n := int64(len(values))
	first, _ := slices.BinarySearch(values, v)
	place := int64(first) + 1
	if !lowerBetter {
		after, _ := slices.BinarySearchFunc(values, v, func(x, v int64) int {
			if x <= v {
				return -1
			}
			return 1
		})
		place = n - int64(after) + 1
	}
	return portion(n-place+1, n)
}

// portion returns a / b for 0 <= a <= b, 0 < b, in parts per million, rounded down.
func portion(a, b int64) int64 {
	p := new(big.Int).Mul(big.NewInt(a), big.NewInt(whole))
	return p.Div(p, big.NewInt(b)).Int64()
}

// settle adds up one town's points, and sets its vetoes, bonuses and tier.
func (s *Set) settle(card *assessmentv1.Scorecard, facts map[string]int64) {
	for _, score := range card.GetIndicatorScores() {
		card.TotalHundredths += score.GetPointsHundredths()
	}
	for i, v := range s.rules.GetVetoes() {
		strikes, problem := s.vetoes[i].Truth(facts)
		card.VetoOutcomes = append(card.VetoOutcomes, &assessmentv1.VetoOutcome{
			Veto: v.GetVetoId(), Strikes: strikes, Problem: problem,
		})
		card.Vetoed = card.Vetoed || strikes
	}
	for i, b := range s.rules.GetBonuses() {
		outcome := bonus(b, s.bonuses[i], facts)
		card.BonusOutcomes = append(card.BonusOutcomes, outcome)
		card.TotalHundredths += outcome.GetPointsHundredths()
	}
	card.TotalHundredths = max(0, card.GetTotalHundredths())
	card.Tier = s.tier(card)
}

func bonus(b *assessmentv1.Bonus, e *Expression, facts map[string]int64) *assessmentv1.BonusOutcome {
	outcome := &assessmentv1.BonusOutcome{Bonus: b.GetBonusId()}
	var points int64
	if e.IsTruth() {
		var holds bool
		if holds, outcome.Problem = e.Truth(facts); holds {
			points = int64(b.GetPointsHundredths())
		}
	} else {
		points, outcome.Problem = e.Number(facts)
	}
	most := int64(b.GetCapHundredths())
	outcome.PointsHundredths = int32(max(-most, min(most, points)))
	return outcome
}

func (s *Set) tier(card *assessmentv1.Scorecard) string {
	tiers := s.rules.GetTiers()
	if !card.GetVetoed() {
		for _, t := range tiers {
			if card.GetTotalHundredths() >= t.GetFloorHundredths() {
				return t.GetTierId()
			}
		}
	}
	return tiers[len(tiers)-1].GetTierId()
}

// rank gives the towns of one field their places: equal totals share the better place, and the next is passed over.
func rank(cards []*assessmentv1.Scorecard) {
	cards = slices.Clone(cards)
	slices.SortFunc(cards, InOrder)
	for i, c := range cards {
		switch {
		case c.GetVetoed():
			c.Rank = 0
		case i > 0 && cards[i-1].GetTotalHundredths() == c.GetTotalHundredths():
			c.Rank = cards[i-1].GetRank()
		default:
			c.Rank = int32(i) + 1
		}
	}
}

// InOrder orders the scorecards of one field by place: the higher total first, equal ones by the name of the town, those
// that are vetoed last.
func InOrder(a, b *assessmentv1.Scorecard) int {
	if a.GetVetoed() != b.GetVetoed() {
		if a.GetVetoed() {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(b.GetTotalHundredths(), a.GetTotalHundredths()), cmp.Compare(a.GetTown(), b.GetTown()))
}
