package scoring

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// standard is a set that uses every normalisation, a veto, and both kinds of bonus.
func standard() *assessmentv1.IndicatorSet {
	return &assessmentv1.IndicatorSet{
		Indicators: []*assessmentv1.Indicator{
			{IndicatorId: "output", WeightPoints: 40, Expression: "output_value_fen",
				Normalisation: &assessmentv1.Indicator_MinMax{MinMax: &assessmentv1.MinMax{FloorBp: 6000}}},
			{IndicatorId: "tax-rate", WeightPoints: 20, Expression: "ratio_ppm(tax_fen, revenue_fen)",
				Normalisation: &assessmentv1.Indicator_Target{Target: &assessmentv1.TargetAttainment{TargetValue: 50_000}}},
			{IndicatorId: "people", WeightPoints: 15, Expression: "employees_persons",
				Normalisation: &assessmentv1.Indicator_RankOrder{RankOrder: &assessmentv1.RankOrder{}}},
			{IndicatorId: "research", WeightPoints: 25, Expression: "research_fen / 100",
				Normalisation: &assessmentv1.Indicator_StepTable{StepTable: &assessmentv1.StepTable{Steps: []*assessmentv1.Step{
					{ReachValue: 1, ShareBp: 3000}, {ReachValue: 500, ShareBp: 7777}, {ReachValue: 900, ShareBp: 10000}}}}},
		},
		Vetoes: []*assessmentv1.Veto{{VetoId: "no-report", Expression: "report_published == 0"}},
		Bonuses: []*assessmentv1.Bonus{
			{BonusId: "giants", Expression: "little_giants * 50", CapHundredths: 200},
			{BonusId: "demands", Expression: "demanded_fen > 0", PointsHundredths: -500, CapHundredths: 300},
		},
		Tiers: DefaultTiers(),
	}
}

func card(town string, field townv1.Field, facts map[string]int64) *assessmentv1.Scorecard {
	c := &assessmentv1.Scorecard{Name: "campaigns/2022-annual/scorecards/" + town, Town: "towns/" + town, Field: field}
	for _, f := range Facts() {
		if v, ok := facts[f.Name]; ok {
			c.Facts = append(c.Facts, &assessmentv1.Fact{Fact: f.Name, Value: v, Unit: f.Unit})
		}
	}
	return c
}

func compile(t testing.TB, rules *assessmentv1.IndicatorSet) *Set {
	t.Helper()
	s, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// drawCards draws towns with few different figures, so that ties happen, and with facts left out.
func drawCards(t *rapid.T) []*assessmentv1.Scorecard {
	value := rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 1000), rapid.Int64Range(math.MaxInt64-3, math.MaxInt64))
	var cards []*assessmentv1.Scorecard
	for i := range rapid.IntRange(1, 12).Draw(t, "towns") {
		facts := map[string]int64{}
		for _, name := range []string{"output_value_fen", "tax_fen", "revenue_fen", "employees_persons", "research_fen", "little_giants", "demanded_fen"} {
			if rapid.IntRange(0, 9).Draw(t, name+" is there") > 0 {
				facts[name] = value.Draw(t, name)
			}
		}
		facts["report_published"] = int64(rapid.SampledFrom([]int{0, 1, 1, 1, 1}).Draw(t, "published"))
		cards = append(cards, card(fmt.Sprintf("140525-town-%02d", i), townv1.Field(rapid.IntRange(1, 3).Draw(t, "field")), facts))
	}
	return cards
}

func TestScoresHold(t *testing.T) {
	set := compile(t, standard())
	rapid.Check(t, func(t *rapid.T) {
		cards := drawCards(t)
		scored := set.Score(cards)
		for i, c := range scored {
			checkSums(t, c)
			if want := place(scored, c); c.GetRank() != want {
				t.Errorf("%s has place %d, the model says %d", c.GetTown(), c.GetRank(), want)
			}
			if !proto.Equal(Unscored(c), cards[i]) {
				t.Errorf("scoring changed what was collected for %s", c.GetTown())
			}
		}
		for i, again := range set.Score(scored) {
			if !proto.Equal(again, scored[i]) {
				t.Errorf("scoring %s again gives something else", again.GetTown())
			}
		}
	})
}

func checkSums(t *rapid.T, c *assessmentv1.Scorecard) {
	var sum int32
	for _, s := range c.GetIndicatorScores() {
		if s.GetPointsHundredths() < 0 || s.GetPointsHundredths() > s.GetWeightPoints()*100 || s.GetNormalisedPpm() > whole {
			t.Errorf("%s: %v is beyond its weight", c.GetTown(), s)
		}
		if s.GetProblem() != "" && (s.GetPointsHundredths() != 0 || s.GetValue() != 0) {
			t.Errorf("%s: %v has points without a value", c.GetTown(), s)
		}
		sum += s.GetPointsHundredths()
	}
	for _, b := range c.GetBonusOutcomes() {
		sum += b.GetPointsHundredths()
	}
	if want := max(0, sum); c.GetTotalHundredths() != want {
		t.Errorf("%s has a total of %d, its parts add up to %d", c.GetTown(), c.GetTotalHundredths(), want)
	}
}

// place is the plainest way to say what a rank is.
func place(all []*assessmentv1.Scorecard, of *assessmentv1.Scorecard) int32 {
	if of.GetVetoed() {
		return 0
	}
	better := int32(0)
	for _, c := range all {
		if c.GetField() == of.GetField() && !c.GetVetoed() && c.GetTotalHundredths() > of.GetTotalHundredths() {
			better++
		}
	}
	return better + 1
}

func TestOrderOfTownsAltersNothing(t *testing.T) {
	set := compile(t, standard())
	rapid.Check(t, func(t *rapid.T) {
		cards := drawCards(t)
		want := map[string]*assessmentv1.Scorecard{}
		for _, c := range set.Score(cards) {
			want[c.GetTown()] = c
		}
		shuffled := slices.Clone(cards)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		for _, c := range set.Score(shuffled) {
			if !proto.Equal(c, want[c.GetTown()]) {
				t.Errorf("in another order %s gets %v instead of %v", c.GetTown(), c, want[c.GetTown()])
			}
		}
	})
}

func TestMoreIsNeverWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64(), 2, 10).Draw(t, "values")
		slices.Sort(values)
		for _, ind := range standard().GetIndicators() {
			for i := 1; i < len(values); i++ {
				if a, b := share(ind, values[i-1], values), share(ind, values[i], values); a > b {
					t.Errorf("%s: %d earns %d and %d earns %d", ind.GetIndicatorId(), values[i-1], a, values[i], b)
				}
			}
		}
	})
}

func TestWeightsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := standard()
		var sum int32
		for _, i := range rules.GetIndicators() {
			i.WeightPoints = rapid.Int32Range(24, 26).Draw(t, i.GetIndicatorId())
			sum += i.GetWeightPoints()
		}
		_, err := Compile(rules)
		var weights *WeightsError
		if wrong := errors.As(err, &weights); wrong != (sum != 100) || wrong && weights.Sum != sum {
			t.Errorf("weights of %d: %v", sum, err)
		}
	})
}

func TestRatioRoundsDown(t *testing.T) {
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	e, err := language.Compile("ratio_ppm(tax_fen, revenue_fen)")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		got, problem := e.Number(map[string]int64{"tax_fen": a, "revenue_fen": b})
		if b == 0 {
			if problem != "division by zero" {
				t.Errorf("%d / 0 = %d, %q", a, got, problem)
			}
			return
		}
		exact := new(big.Rat).Mul(new(big.Rat).SetFrac(big.NewInt(a), big.NewInt(b)), big.NewRat(whole, 1))
		if problem != "" {
			limit := new(big.Rat).SetInt64(math.MaxInt64)
			if exact.Abs(exact).Cmp(limit) < 0 {
				t.Errorf("%d / %d: %s", a, b, problem)
			}
			return
		}
		low, high := new(big.Rat).SetInt64(got), new(big.Rat).SetInt64(got)
		high.Add(high, big.NewRat(1, 1))
		if low.Cmp(exact) > 0 || high.Cmp(exact) <= 0 {
			t.Errorf("%d / %d = %d ppm, exactly %s", a, b, got, exact.FloatString(3))
		}
	})
}

func TestShares(t *testing.T) {
	target := func(v int64, lower bool) *assessmentv1.Indicator {
		return &assessmentv1.Indicator{Normalisation: &assessmentv1.Indicator_Target{
			Target: &assessmentv1.TargetAttainment{TargetValue: v, LowerBetter: lower}}}
	}
	minMax := func(floor int32, lower bool) *assessmentv1.Indicator {
		return &assessmentv1.Indicator{Normalisation: &assessmentv1.Indicator_MinMax{
			MinMax: &assessmentv1.MinMax{FloorBp: floor, LowerBetter: lower}}}
	}
	order := func(lower bool) *assessmentv1.Indicator {
		return &assessmentv1.Indicator{Normalisation: &assessmentv1.Indicator_RankOrder{RankOrder: &assessmentv1.RankOrder{LowerBetter: lower}}}
	}
	steps := standard().GetIndicators()[3]
	for _, c := range []struct {
		name   string
		how    *assessmentv1.Indicator
		v      int64
		values []int64
		want   int64
	}{
		{"half of the target", target(10, false), 5, []int64{5}, 500_000},
		{"a third of the target is rounded down", target(3, false), 1, []int64{1}, 333_333},
		{"beyond the target is the whole", target(10, false), 11, []int64{11}, whole},
		{"a loss earns nothing", target(10, false), -5, []int64{-5}, 0},
		{"under a target that is a ceiling", target(10, true), 9, []int64{9}, whole},
		{"twice a target that is a ceiling", target(10, true), 20, []int64{20}, 500_000},
		{"lowest of the field", minMax(0, false), 1, []int64{1, 2, 5}, 0},
		{"between", minMax(0, false), 2, []int64{1, 2, 5}, 250_000},
		{"between above a floor", minMax(6000, false), 2, []int64{1, 2, 5}, 700_000},
		{"between where less is better", minMax(0, true), 2, []int64{1, 2, 5}, 750_000},
		{"all equal", minMax(0, false), 2, []int64{2, 2}, whole},
		{"the widest field", minMax(0, false), 0, []int64{math.MinInt64, 0, math.MaxInt64}, 500_000},
		{"below the first step", steps, 0, []int64{0}, 0},
		{"on a step", steps, 500, []int64{500}, 777_700},
		{"first of three", order(false), 5, []int64{1, 2, 5}, whole},
		{"last of three", order(false), 1, []int64{1, 2, 5}, 333_333},
		{"last of three where less is better", order(true), 5, []int64{1, 2, 5}, 333_333},
		{"two share the first place", order(false), 5, []int64{1, 5, 5}, whole},
		{"after two that share the first", order(false), 1, []int64{1, 5, 5}, 333_333},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := share(c.how, c.v, c.values); got != c.want {
				t.Errorf("%d among %v earns %d ppm, want %d", c.v, c.values, got, c.want)
			}
		})
	}
}

func TestPointsRoundHalfUp(t *testing.T) {
	for _, c := range []struct{ weight, ppm, want int32 }{
		{100, whole, 10000}, {1, 4_999, 0}, {1, 5_000, 1}, {1, 14_999, 1}, {1, 15_000, 2}, {3, 333_333, 100}, {7, 0, 0},
	} {
		if got := Points(c.weight, c.ppm); got != c.want {
			t.Errorf("%d points at %d ppm are %d hundredths, want %d", c.weight, c.ppm, got, c.want)
		}
	}
}

func TestExpressionsRefused(t *testing.T) {
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, problem string }{
		{"a fact that is not there", "output_value", "undeclared reference"},
		{"half an expression", "tax_fen +", "Syntax error"},
		{"a fraction", "tax_fen > 1 && 1.5 > 1.0", "not double"},
		{"a fraction made on the way", "int(double(tax_fen) / 3.0)", "not double"},
		{"a text", "size('abc')", "not string"},
		{"a list", "[1, 2][0]", "not list"},
		{"a loop", "[1].all(x, x > 0)", "undeclared reference"},
		{"numbers with yes or no", "tax_fen + (tax_fen > 1)", "no matching overload"},
		{"what is not known until it runs", "dyn(tax_fen)", "not dyn"},
		{"too long", strings.Repeat("1+", 600) + "1", "size"},
		{"nothing", "", "Syntax error"},
		{"too deep", strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), "recursion"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := language.Compile(c.text)
			var wrong *ExpressionError
			if !errors.As(err, &wrong) || !strings.Contains(wrong.Problem, c.problem) {
				t.Fatalf("%s: %v, want a problem with %q", c.text, err, c.problem)
			}
			if wrong.Line < 1 || wrong.Column < 1 {
				t.Errorf("%v is nowhere", wrong)
			}
		})
	}
}

func TestExpressions(t *testing.T) {
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]int64{"tax_fen": 7, "revenue_fen": -2, "report_published": 1, "exports_fen": 0}
	for _, c := range []struct {
		text    string
		number  int64
		truth   bool
		problem string
	}{
		{text: "tax_fen + 2 * revenue_fen", number: 3},
		{text: "tax_fen / revenue_fen", number: -3},
		{text: "-tax_fen % 4", number: -3},
		{text: "ratio_ppm(revenue_fen, tax_fen)", number: -285_715},
		{text: "smaller(tax_fen, revenue_fen) - larger(tax_fen, revenue_fen)", number: -9},
		{text: "report_published == 1 ? tax_fen : 0", number: 7},
		{text: "larger(revenue_fen, 0) * 10", number: 0},
		{text: "tax_fen > 5 && !(revenue_fen >= 0)", truth: true},
		{text: "exports_fen == 0 || tax_fen / exports_fen > 1", truth: true},
		{text: "tax_fen / exports_fen", problem: "division by zero"},
		{text: "tax_fen % exports_fen", problem: "division by zero"},
		{text: "ratio_ppm(tax_fen, exports_fen)", problem: "division by zero"},
		{text: "9223372036854775807 + tax_fen", problem: "beyond 64 bits"},
		{text: "-(-9223372036854775808 + exports_fen)", problem: "beyond 64 bits"},
		{text: "ratio_ppm(9223372036854775807, tax_fen)", problem: "beyond 64 bits"},
		{text: "research_fen + output_value_fen", problem: "missing: output_value_fen, research_fen"},
		{text: "true || research_fen > 0", problem: "missing: research_fen"},
	} {
		t.Run(c.text, func(t *testing.T) {
			e, err := language.Compile(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if e.IsTruth() {
				if got, problem := e.Truth(facts); got != c.truth || problem != c.problem {
					t.Errorf("gives %v, %q", got, problem)
				}
				return
			}
			if got, problem := e.Number(facts); got != c.number || problem != c.problem {
				t.Errorf("gives %d, %q", got, problem)
			}
		})
	}
}

func TestExpressionErrorSaysWhere(t *testing.T) {
	rules := standard()
	rules.Indicators[1].Expression = "tax_fen +\n  outputs"
	_, err := Compile(rules)
	var wrong *ExpressionError
	if !errors.As(err, &wrong) || wrong.Item != "indicators/tax-rate" || wrong.Line != 2 || wrong.Column != 3 {
		t.Errorf("got %v", err)
	}
}

func TestSetsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(*assessmentv1.IndicatorSet)
		target any
	}{
		{"two indicators of one name", func(s *assessmentv1.IndicatorSet) { s.Indicators[1].IndicatorId = "output" }, new(*RepeatedError)},
		{"a veto that gives a number", func(s *assessmentv1.IndicatorSet) { s.Vetoes[0].Expression = "tax_fen" }, new(*ExpressionError)},
		{"an indicator that gives yes or no", func(s *assessmentv1.IndicatorSet) { s.Indicators[0].Expression = "tax_fen > 0" }, new(*ExpressionError)},
		{"steps that fall", func(s *assessmentv1.IndicatorSet) {
			steps := s.Indicators[3].GetStepTable().GetSteps()
			slices.Reverse(steps)
		}, new(*StepsError)},
		{"tiers that rise", func(s *assessmentv1.IndicatorSet) { s.Tiers[0].FloorHundredths = 10 }, new(*TiersError)},
		{"tiers that do not reach down", func(s *assessmentv1.IndicatorSet) { s.Tiers[3].FloorHundredths = 1 }, new(*TiersError)},
		{"no tiers", func(s *assessmentv1.IndicatorSet) { s.Tiers = nil }, new(*TiersError)},
		{"a warning with a fund weight", func(s *assessmentv1.IndicatorSet) { s.Tiers[3].Measures[0].FundWeightBp = 5000 }, new(*MeasureError)},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := standard()
			c.spoil(rules)
			if _, err := Compile(rules); !errors.As(err, c.target) {
				t.Errorf("got %v, want %T", err, c.target)
			}
		})
	}
}

func TestTownWithoutAFigure(t *testing.T) {
	set := compile(t, standard())
	full := map[string]int64{"output_value_fen": 100, "tax_fen": 5, "revenue_fen": 100, "employees_persons": 7, "research_fen": 90_000,
		"report_published": 1, "little_giants": 9, "demanded_fen": 1}
	scored := set.Score([]*assessmentv1.Scorecard{
		card("140525-casting", townv1.Field_FIELD_MANUFACTURING, full),
		card("140522-silk", townv1.Field_FIELD_MANUFACTURING, map[string]int64{"report_published": 0, "tax_fen": 5, "revenue_fen": 0}),
	})
	first, second := scored[0], scored[1]
	// 100 points, 2 for little giants (9 would be 4.5; the cap is 2), less 3 for a demand (5; the cap is 3).
	if first.GetTotalHundredths() != 9900 || first.GetTier() != "excellent" || first.GetRank() != 1 {
		t.Errorf("the town with all figures gets %v", first)
	}
	if !second.GetVetoed() || second.GetRank() != 0 || second.GetTier() != "unqualified" {
		t.Errorf("the town without a report gets %v", second)
	}
	for i, want := range []string{"missing: output_value_fen", "division by zero"} {
		if got := second.GetIndicatorScores()[i].GetProblem(); got != want {
			t.Errorf("problem %q, want %q", got, want)
		}
	}
	if got := second.GetBonusOutcomes()[1].GetProblem(); got != "missing: demanded_fen" {
		t.Errorf("problem of the bonus: %q", got)
	}
}

func TestOverflowGivesNoValue(t *testing.T) {
	rules := standard()
	rules.Indicators[0].Expression = "output_value_fen * 1000"
	scored := compile(t, rules).Score([]*assessmentv1.Scorecard{
		card("140525-casting", townv1.Field_FIELD_MANUFACTURING, map[string]int64{"output_value_fen": math.MaxInt64 / 10}),
	})
	if got := scored[0].GetIndicatorScores()[0]; got.GetProblem() != "beyond 64 bits" || got.GetPointsHundredths() != 0 {
		t.Errorf("got %v", got)
	}
}

func TestConsequences(t *testing.T) {
	rules := standard()
	rules.Tiers[3].Measures = append(rules.Tiers[3].Measures, &assessmentv1.Measure{Kind: assessmentv1.Measure_KIND_REVOKE},
		&assessmentv1.Measure{Kind: assessmentv1.Measure_KIND_FUND_WEIGHT, FundWeightBp: 5000})
	for _, c := range []struct {
		name, tier string
		facts      map[string]int64
		want       []string
	}{
		{"the best municipal town is put forward", "excellent", map[string]int64{"municipal_held": 1, "provincial_held": 0},
			[]string{"yizhen.town.v1.TownRegistry/CreateDesignation towns/140525-casting/designations/provincial"}},
		{"a provincial town is not put forward again", "excellent", map[string]int64{"municipal_held": 1, "provincial_held": 1}, nil},
		{"the worst is warned", "unqualified", map[string]int64{"municipal_held": 1},
			[]string{"yizhen.town.v1.TownRegistry/WarnDesignation towns/140525-casting/designations/municipal", " towns/140525-casting"}},
		{"the worst under a warning is revoked", "unqualified", map[string]int64{"municipal_held": 1, "municipal_warned": 1},
			[]string{"yizhen.town.v1.TownRegistry/RevokeDesignation towns/140525-casting/designations/municipal", " towns/140525-casting"}},
		{"in between nothing follows", "good", map[string]int64{"municipal_held": 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			scored := card("140525-casting", townv1.Field_FIELD_MANUFACTURING, c.facts)
			scored.Tier = c.tier
			var got []string
			for _, x := range Consequences(rules, scored) {
				got = append(got, x.GetMethod()+" "+x.GetResource())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFactsAreOrdered(t *testing.T) {
	facts := Facts()
	for i, f := range facts {
		if f.Name == "" || f.Unit == "" || f.Source == "" || f.Zh == "" || f.En == "" {
			t.Errorf("%v is not complete", f)
		}
		if i > 0 && facts[i-1].Name >= f.Name {
			t.Errorf("%s after %s", f.Name, facts[i-1].Name)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, text := range []string{"tax_fen", "ratio_ppm(tax_fen, revenue_fen) * 2", "report_published == 0 || tax_fen > 5", "1.5", "[", "'汉'", "-9223372036854775808"} {
		f.Add(text)
	}
	language, err := NewLanguage()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := language.Compile(text)
		var wrong *ExpressionError
		if err != nil {
			if !errors.As(err, &wrong) || wrong.Line < 1 || wrong.Column < 1 || wrong.Problem == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		facts := map[string]int64{}
		for _, name := range e.Facts() {
			facts[name] = 3
		}
		if e.IsTruth() {
			a, problem := e.Truth(facts)
			b, again := e.Truth(facts)
			if a != b || problem != again {
				t.Fatalf("%q gives %v %q and %v %q", text, a, problem, b, again)
			}
			return
		}
		a, problem := e.Number(facts)
		b, again := e.Number(facts)
		if a != b || problem != again {
			t.Fatalf("%q gives %d %q and %d %q", text, a, problem, b, again)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, standard())
	}
}

func BenchmarkScore(b *testing.B) {
	set := compile(b, standard())
	var cards []*assessmentv1.Scorecard
	for i := range 20 {
		cards = append(cards, card(fmt.Sprintf("140525-%02d", i), townv1.Field(i%3+1), map[string]int64{
			"output_value_fen": int64(i), "tax_fen": 1, "revenue_fen": 20, "employees_persons": int64(i % 4), "research_fen": int64(i * 3000),
			"report_published": 1, "little_giants": 1, "demanded_fen": 0,
		}))
	}
	for b.Loop() {
		set.Score(cards)
	}
}
