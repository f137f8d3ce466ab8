package scoring

import (
	"strings"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// Consequences returns what a scored town's tier recommends for it. A measure that could not be carried out as the town
// stood at the collection, such as a warning of what is warned already, is left out.
func Consequences(rules *assessmentv1.IndicatorSet, card *assessmentv1.Scorecard) (out []*assessmentv1.Consequence) {
	facts := factsOf(card)
	add := func(m *assessmentv1.Measure, method, resource string) {
		out = append(out, &assessmentv1.Consequence{
			Town: card.GetTown(), Tier: card.GetTier(), Measure: m, Method: method, Resource: resource,
		})
	}
	designation := func(level string) string { return card.GetTown() + "/designations/" + level }
	for _, tier := range rules.GetTiers() {
		if tier.GetTierId() != card.GetTier() {
			continue
		}
		for _, m := range tier.GetMeasures() {
			switch m.GetKind() {
			case assessmentv1.Measure_KIND_WARN, assessmentv1.Measure_KIND_REVOKE:
				revoke := m.GetKind() == assessmentv1.Measure_KIND_REVOKE
				for _, level := range []string{"municipal", "provincial"} {
					if facts[level+"_held"] == 1 && (facts[level+"_warned"] == 1) == revoke {
						add(m, stepOn(revoke), designation(level))
					}
				}
			case assessmentv1.Measure_KIND_PROMOTE:
				if facts["municipal_held"] == 1 && facts["provincial_held"] == 0 {
					add(m, methodName(townv1.TownRegistry_CreateDesignation_FullMethodName), designation("provincial"))
				}
			case assessmentv1.Measure_KIND_FUND_WEIGHT:
				add(m, "", card.GetTown())
			}
		}
	}
	return out
}

func stepOn(revoke bool) string {
	if revoke {
		return methodName(townv1.TownRegistry_RevokeDesignation_FullMethodName)
	}
	return methodName(townv1.TownRegistry_WarnDesignation_FullMethodName)
}

func methodName(full string) string { return strings.TrimPrefix(full, "/") }
