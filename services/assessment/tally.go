package assessment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/yizhen/yizhen/pkg/journal"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// records are what a survey read.
type records struct {
	towns        []*townv1.Town
	designations []*townv1.Designation
	enterprises  []*townv1.Enterprise
	assets       []*townv1.Asset
	reports      map[string]*journalv1.Change // by the name of the report
	projects     []*projectv1.Project
	awards       []*fundv1.Award
}

// assessed are the towns that hold a designation, in the order of their names.
func (v *records) assessed() (towns []*townv1.Town) {
	held := map[string]bool{}
	for _, d := range v.designations {
		if holds(d) {
			held[townOf(d.GetName())] = true
		}
	}
	for _, t := range v.towns {
		if held[t.GetName()] {
			towns = append(towns, t)
		}
	}
	slices.SortFunc(towns, func(a, b *townv1.Town) int { return strings.Compare(a.GetName(), b.GetName()) })
	return towns
}

// holds tells whether a designation holds. A warning does not end it.
func holds(d *townv1.Designation) bool {
	return d.GetState() == townv1.Designation_STATE_DESIGNATED || d.GetState() == townv1.Designation_STATE_WARNED
}

// townOf returns the town that a resource stands under.
func townOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// cards makes a scorecard with its facts for each town that is assessed.
func (v *records) cards(period string, pins []*assessmentv1.JournalPin) ([]*assessmentv1.Scorecard, error) {
	at := map[string]*assessmentv1.JournalPin{}
	for _, p := range pins {
		at[p.GetService()] = p
	}
	units := map[string]string{}
	for _, f := range scoring.Facts() {
		units[f.Name] = f.Unit
	}
	groups, err := v.groups()
	if err != nil {
		return nil, err
	}
	var cards []*assessmentv1.Scorecard
	for _, town := range v.assessed() {
		sh := &sheet{units: units}
		for _, g := range groups {
			pin := at[g.service]
			proof := &typev1.Evidence{Service: g.service, Resource: g.of(town.GetName()), Revision: pin.GetRevision(), Hash: pin.GetHash()}
			for _, name := range g.facts {
				sh.put(name, g.tally.sums[town.GetName()][name], proof)
			}
		}
		if err := sh.reports(town.GetName(), period, v.reports, at["town"]); err != nil {
			return nil, err
		}
		slices.SortFunc(sh.facts, func(a, b *assessmentv1.Fact) int { return strings.Compare(a.GetFact(), b.GetFact()) })
		cards = append(cards, &assessmentv1.Scorecard{
			Town: town.GetName(), TitleZh: town.GetTitleZh(), TitleEn: town.GetTitleEn(), Field: town.GetField(), Facts: sh.facts,
		})
	}
	return cards, nil
}

// sheet takes the facts of one town.
type sheet struct {
	units map[string]string
	facts []*assessmentv1.Fact
}

func (sh *sheet) put(name string, value int64, proof *typev1.Evidence) {
	sh.facts = append(sh.facts, &assessmentv1.Fact{Fact: name, Value: value, Unit: sh.units[name], Evidence: proof})
}

// reports puts the figures that are published for the period and for the same one a year earlier. Figures that are not
// published are no facts.
func (sh *sheet) reports(town, period string, reports map[string]*journalv1.Change, head *assessmentv1.JournalPin) error {
	now, proof, err := published(reports[reportName(town, period)])
	if err != nil {
		return err
	}
	if proof == nil {
		proof = &typev1.Evidence{
			Service: "town", Resource: reportName(town, period), Revision: head.GetRevision(), Hash: head.GetHash(),
		}
	}
	flag := int64(0)
	if now != nil {
		flag = 1
		sh.figures("", now, proof)
	}
	sh.put("report_published", flag, proof)
	before, proof, err := published(reports[reportName(town, yearBefore(period))])
	if err != nil {
		return err
	}
	if before != nil {
		sh.figures(scoring.PreviousPrefix, before, proof)
	}
	return nil
}

func (sh *sheet) figures(prefix string, f *townv1.Figures, proof *typev1.Evidence) {
	sh.put(prefix+"output_value_fen", f.GetOutputValueFen(), proof)
	sh.put(prefix+"revenue_fen", f.GetRevenueFen(), proof)
	sh.put(prefix+"employees_persons", f.GetEmployeesPersons(), proof)
	sh.put(prefix+"tax_fen", f.GetTaxFen(), proof)
	sh.put(prefix+"exports_fen", f.GetExportsFen(), proof)
	sh.put(prefix+"research_fen", f.GetResearchFen(), proof)
	sh.put(prefix+"above_scale_enterprises", f.GetAboveScaleEnterprises(), proof)
}

// published returns the figures that hold of a report, nil if none are published, and the evidence of the report.
func published(change *journalv1.Change) (*townv1.Figures, *typev1.Evidence, error) {
	if change == nil {
		return nil, nil, nil
	}
	report := &townv1.Report{}
	if err := change.GetAfter().UnmarshalTo(report); err != nil {
		return nil, nil, fmt.Errorf("revision %d of the town service: %w", change.GetRevision(), err)
	}
	proof := journal.EvidenceOf(change)
	all := report.GetPublications()
	if len(all) == 0 {
		return nil, proof, nil
	}
	return all[len(all)-1].GetFigures(), proof, nil
}

// tally counts and sums for each town.
type tally struct {
	sums map[string]map[string]int64 // by town, then by fact
	err  error                       // the first sum that does not fit
}

func newTally() *tally { return &tally{sums: map[string]map[string]int64{}} }

func (t *tally) add(town, fact string, n int64) {
	of := t.sums[town]
	if of == nil {
		of = map[string]int64{}
		t.sums[town] = of
	}
	sum := of[fact] + n
	if (sum > of[fact]) != (n > 0) && n != 0 && t.err == nil {
		t.err = amountOverflow(town, fact)
	}
	of[fact] = sum
}

// group is a number of facts that are counted over one collection. What was not seen counts as 0.
type group struct {
	service string
	// of names the collection, for the evidence.
	of    func(town string) string
	facts []string
	tally *tally
}

func (v *records) groups() ([]group, error) {
	under := func(collection string) func(string) string {
		return func(town string) string { return town + "/" + collection }
	}
	all := func(collection string) func(string) string { return func(string) string { return collection } }
	groups := []group{
		{"town", under("designations"), []string{"municipal_held", "municipal_warned", "provincial_held", "provincial_warned"},
			tallyDesignations(v.designations)},
		{"town", under("enterprises"), []string{"enterprises", "leader_enterprises", "cooperatives", "high_tech_enterprises",
			"specialised_enterprises", "little_giants", "champions"}, tallyEnterprises(v.enterprises)},
		{"town", under("assets"), []string{"innovation_platforms", "trademarks", "geographical_indications", "standards", "certifications"},
			tallyAssets(v.assets)},
		{"project", all("projects"), []string{"projects", "projects_planned", "projects_signed", "projects_approved", "projects_started",
			"projects_completed", "projects_in_production", "projects_at_capacity", "projects_suspended", "projects_cancelled",
			"planned_investment_fen", "actual_investment_fen"}, tallyProjects(v.projects)},
		{"fund", all("awards"), []string{"awards", "awarded_fen", "paid_fen", "demanded_fen"}, tallyAwards(v.awards)},
	}
	for _, g := range groups {
		if g.tally.err != nil {
			return nil, g.tally.err
		}
	}
	return groups, nil
}

func tallyDesignations(designations []*townv1.Designation) *tally {
	t := newTally()
	for _, d := range designations {
		level := "municipal"
		if d.GetLevel() == townv1.Level_LEVEL_PROVINCIAL {
			level = "provincial"
		}
		if holds(d) {
			t.add(townOf(d.GetName()), level+"_held", 1)
		}
		if d.GetState() == townv1.Designation_STATE_WARNED {
			t.add(townOf(d.GetName()), level+"_warned", 1)
		}
	}
	return t
}

func tallyEnterprises(enterprises []*townv1.Enterprise) *tally {
	honours := map[townv1.Enterprise_Honour]string{
		townv1.Enterprise_HONOUR_HIGH_TECH:           "high_tech_enterprises",
		townv1.Enterprise_HONOUR_SPECIALISED_AND_NEW: "specialised_enterprises",
		townv1.Enterprise_HONOUR_LITTLE_GIANT:        "little_giants",
		townv1.Enterprise_HONOUR_CHAMPION:            "champions",
	}
	t := newTally()
	for _, e := range enterprises {
		town := townOf(e.GetName())
		t.add(town, "enterprises", 1)
		switch e.GetRole() {
		case townv1.Enterprise_ROLE_LEADER:
			t.add(town, "leader_enterprises", 1)
		case townv1.Enterprise_ROLE_COOPERATIVE:
			t.add(town, "cooperatives", 1)
		}
		for _, h := range e.GetHonours() {
			t.add(town, honours[h], 1)
		}
	}
	return t
}

func tallyAssets(assets []*townv1.Asset) *tally {
	kinds := map[townv1.Asset_Kind]string{
		townv1.Asset_KIND_INNOVATION_PLATFORM:     "innovation_platforms",
		townv1.Asset_KIND_TRADEMARK:               "trademarks",
		townv1.Asset_KIND_GEOGRAPHICAL_INDICATION: "geographical_indications",
		townv1.Asset_KIND_STANDARD:                "standards",
		townv1.Asset_KIND_CERTIFICATION:           "certifications",
	}
	t := newTally()
	for _, a := range assets {
		t.add(townOf(a.GetName()), kinds[a.GetKind()], 1)
	}
	return t
}

func tallyProjects(projects []*projectv1.Project) *tally {
	states := map[projectv1.Project_State]string{
		projectv1.Project_STATE_PLANNED:       "projects_planned",
		projectv1.Project_STATE_SIGNED:        "projects_signed",
		projectv1.Project_STATE_APPROVED:      "projects_approved",
		projectv1.Project_STATE_STARTED:       "projects_started",
		projectv1.Project_STATE_COMPLETED:     "projects_completed",
		projectv1.Project_STATE_IN_PRODUCTION: "projects_in_production",
		projectv1.Project_STATE_AT_CAPACITY:   "projects_at_capacity",
		projectv1.Project_STATE_SUSPENDED:     "projects_suspended",
		projectv1.Project_STATE_CANCELLED:     "projects_cancelled",
	}
	t := newTally()
	for _, p := range projects {
		t.add(p.GetTown(), "projects", 1)
		t.add(p.GetTown(), states[p.GetState()], 1)
		if p.GetState() != projectv1.Project_STATE_CANCELLED {
			t.add(p.GetTown(), "planned_investment_fen", p.GetPlannedInvestmentFen())
			t.add(p.GetTown(), "actual_investment_fen", p.GetActualInvestmentFen())
		}
	}
	return t
}

func tallyAwards(awards []*fundv1.Award) *tally {
	t := newTally()
	for _, a := range awards {
		t.add(a.GetTown(), "awards", 1)
		t.add(a.GetTown(), "awarded_fen", a.GetAmountFen()-a.GetCutFen())
		t.add(a.GetTown(), "paid_fen", a.GetPaidFen()-a.GetRecoveredFen())
		t.add(a.GetTown(), "demanded_fen", a.GetDemandedFen())
	}
	return t
}
