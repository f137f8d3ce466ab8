package scoring

import (
	"errors"
	"fmt"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
)

// WeightsError says that the weights do not add up to 100 points.
type WeightsError struct{ Sum int32 }

func (e *WeightsError) Error() string {
	return fmt.Sprintf("the weights add up to %d points, not 100", e.Sum)
}

// RepeatedError says that two parts of a set have one identifier.
type RepeatedError struct{ Item string }

func (e *RepeatedError) Error() string { return e.Item + " is there twice" }

// StepsError says that the steps of an indicator do not rise.
type StepsError struct{ Item string }

func (e *StepsError) Error() string { return "the steps of " + e.Item + " do not rise" }

// TiersError says that the tiers do not fall, or do not reach down to 0.
type TiersError struct{ Tier string }

func (e *TiersError) Error() string {
	return "tier " + e.Tier + ": tiers fall from the first to the last, which begins at 0"
}

// MeasureError says that a fund weight stands where it does not belong, or is missing.
type MeasureError struct{ Tier string }

func (e *MeasureError) Error() string {
	return "tier " + e.Tier + ": a fund weight belongs to the measure of that kind, and to no other"
}

// Compile checks an indicator set, and compiles its expressions. The names of the facts they use are entered in it. What
// is wrong is one of the errors of this package.
func Compile(rules *assessmentv1.IndicatorSet) (*Set, error) {
	if err := checkParts(rules); err != nil {
		return nil, err
	}
	language, err := NewLanguage()
	if err != nil {
		return nil, err
	}
	s := &Set{rules: rules}
	for _, i := range rules.GetIndicators() {
		e, err := language.compile("indicators/"+i.GetIndicatorId(), i.GetExpression(), kindNumber)
		if err != nil {
			return nil, err
		}
		i.Facts = e.Facts()
		s.indicators = append(s.indicators, e)
	}
	for _, v := range rules.GetVetoes() {
		e, err := language.compile("vetoes/"+v.GetVetoId(), v.GetExpression(), kindTruth)
		if err != nil {
			return nil, err
		}
		v.Facts = e.Facts()
		s.vetoes = append(s.vetoes, e)
	}
	for _, b := range rules.GetBonuses() {
		e, err := language.compile("bonuses/"+b.GetBonusId(), b.GetExpression(), kindAny)
		if err != nil {
			return nil, err
		}
		b.Facts = e.Facts()
		s.bonuses = append(s.bonuses, e)
	}
	return s, nil
}

// What an expression has to give.
type kind int

const (
	kindAny kind = iota
	kindNumber
	kindTruth
)

func (l *Language) compile(item, text string, wanted kind) (*Expression, error) {
	e, err := l.Compile(text)
	var wrong *ExpressionError
	if errors.As(err, &wrong) {
		wrong.Item = item
	}
	if err != nil {
		return nil, err
	}
	switch {
	case wanted == kindNumber && e.IsTruth():
		return nil, &ExpressionError{Item: item, Line: 1, Column: 1, Problem: "gives yes or no, and a whole number is wanted"}
	case wanted == kindTruth && !e.IsTruth():
		return nil, &ExpressionError{Item: item, Line: 1, Column: 1, Problem: "gives a whole number, and yes or no is wanted"}
	}
	return e, nil
}

func checkParts(rules *assessmentv1.IndicatorSet) error {
	seen := map[string]bool{}
	again := func(item string) error {
		if seen[item] {
			return &RepeatedError{Item: item}
		}
		seen[item] = true
		return nil
	}
	var sum int32
	for _, i := range rules.GetIndicators() {
		item := "indicators/" + i.GetIndicatorId()
		if err := again(item); err != nil {
			return err
		}
		if !rise(i.GetStepTable().GetSteps()) {
			return &StepsError{Item: item}
		}
		sum += i.GetWeightPoints()
	}
	if sum != 100 {
		return &WeightsError{Sum: sum}
	}
	for _, v := range rules.GetVetoes() {
		if err := again("vetoes/" + v.GetVetoId()); err != nil {
			return err
		}
	}
	for _, b := range rules.GetBonuses() {
		if err := again("bonuses/" + b.GetBonusId()); err != nil {
			return err
		}
	}
	for _, t := range rules.GetTiers() {
		if err := again("tiers/" + t.GetTierId()); err != nil {
			return err
		}
	}
	return checkTiers(rules.GetTiers())
}

func rise(steps []*assessmentv1.Step) bool {
	for i := 1; i < len(steps); i++ {
		if steps[i].GetReachValue() <= steps[i-1].GetReachValue() {
			return false
		}
	}
	return true
}

func checkTiers(tiers []*assessmentv1.Tier) error {
	if len(tiers) == 0 {
		return &TiersError{}
	}
	for i, t := range tiers {
		last := i == len(tiers)-1
		if last != (t.GetFloorHundredths() == 0) || i > 0 && t.GetFloorHundredths() >= tiers[i-1].GetFloorHundredths() {
			return &TiersError{Tier: t.GetTierId()}
		}
		for _, m := range t.GetMeasures() {
			if (m.GetKind() == assessmentv1.Measure_KIND_FUND_WEIGHT) != (m.GetFundWeightBp() != 0) {
				return &MeasureError{Tier: t.GetTierId()}
			}
		}
	}
	return nil
}

// DefaultTiers are the tiers in national use: 90, 80 and 60 points. The measures are those that the programme's
// assessment knows: the best are put forward, the worst are warned.
func DefaultTiers() []*assessmentv1.Tier {
	measures := func(kinds ...assessmentv1.Measure_Kind) (out []*assessmentv1.Measure) {
		for _, k := range kinds {
			out = append(out, &assessmentv1.Measure{Kind: k})
		}
		return out
	}
	return []*assessmentv1.Tier{
		{TierId: "excellent", TitleZh: "优秀", TitleEn: "Excellent", FloorHundredths: 9000, Measures: measures(assessmentv1.Measure_KIND_PROMOTE)},
		{TierId: "good", TitleZh: "良好", TitleEn: "Good", FloorHundredths: 8000},
		{TierId: "qualified", TitleZh: "合格", TitleEn: "Qualified", FloorHundredths: 6000},
		{TierId: "unqualified", TitleZh: "不合格", TitleEn: "Unqualified", Measures: measures(assessmentv1.Measure_KIND_WARN)},
	}
}
