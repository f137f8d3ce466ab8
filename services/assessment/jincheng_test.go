package assessment_test

import (
	_ "embed"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

//go:embed testdata/indicator-set-2022.json
var jinchengSet []byte

// TestJincheng2022 assesses the ten towns of the first batch. What they made in 2022 in all was published, 12.963 billion
// yuan of output, 11.108 of revenue, 137,000 people; how it divides among them was not: the figures here are made up, and
// add up to that. The digits of the result must never change: they are what a score computed today has to be in years.
func TestJincheng2022(t *testing.T) {
	b := open(t)
	for _, name := range []string{casting, wine, silk, steel} {
		b.peers.designation(name, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_REVOKED)
	}
	const (
		manufacturing = townv1.Field_FIELD_MANUFACTURING
		agriculture   = townv1.Field_FIELD_SPECIALTY_AGRICULTURE
		crafts        = townv1.Field_FIELD_LIGHT_INDUSTRY_AND_CRAFTS
	)
	var sum townv1.Figures
	for _, town := range []struct {
		id              string
		field           townv1.Field
		output, revenue int64 // in 10,000 yuan
		people          int64
	}{
		{"140525-casting-2022", manufacturing, 520_000, 450_000, 38_000},
		{"140525-hawthorn-wine", agriculture, 31_300, 27_000, 4_200},
		{"140581-lu-silk", crafts, 42_000, 35_800, 6_300},
		{"140581-pigs", agriculture, 268_000, 230_000, 24_500},
		{"140581-yellow-pears", agriculture, 61_000, 52_000, 15_500},
		{"140522-ceramics", crafts, 205_000, 172_000, 17_800},
		{"140522-sericulture", agriculture, 48_000, 41_000, 13_700},
		{"140524-herbs", agriculture, 72_000, 61_000, 9_600},
		{"140521-black-goats", agriculture, 25_000, 21_000, 3_900},
		{"140521-honey-2022", agriculture, 24_000, 21_000, 3_500},
	} {
		f := &townv1.Figures{
			OutputValueFen: town.output * 1_000_000, RevenueFen: town.revenue * 1_000_000, EmployeesPersons: town.people,
			TaxFen: town.revenue * 31_415, ResearchFen: town.revenue * 9_999,
		}
		b.peers.town("towns/"+town.id, town.field)
		b.peers.publish("towns/"+town.id, "2022", f)
		sum.OutputValueFen += f.GetOutputValueFen()
		sum.RevenueFen += f.GetRevenueFen()
		sum.EmployeesPersons += f.GetEmployeesPersons()
	}
	if sum.GetOutputValueFen() != 1_296_300_000_000 || sum.GetRevenueFen() != 1_110_800_000_000 || sum.GetEmployeesPersons() != 137_000 {
		t.Fatalf("the made-up figures add up to %v", &sum)
	}
	set := &assessmentv1.IndicatorSet{}
	if err := protojson.Unmarshal(jinchengSet, set); err != nil {
		t.Fatal(err)
	}
	a, ctx := b.as(city), t.Context()
	got(a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "2022-standard", IndicatorSet: set})).must(t)
	got(a.AdoptIndicatorSet(ctx, &assessmentv1.AdoptIndicatorSetRequest{Name: set2022})).must(t)
	got(a.CreateCampaign(ctx, &assessmentv1.CreateCampaignRequest{CampaignId: "2022-annual", Campaign: aCampaign()})).must(t)
	got(b.step("collect")).must(t)
	got(b.step("score")).must(t)
	want := "MANUFACTURING: 1 casting-2022 8800; " +
		"SPECIALTY_AGRICULTURE: 1 pigs 8800, 2 herbs 7034, 3 yellow-pears 6885, 4 hawthorn-wine 6690, 5 sericulture 6632, " +
		"6 black-goats 6392, 7 honey-2022 6304; " +
		"LIGHT_INDUSTRY_AND_CRAFTS: 1 ceramics 8787, 2 lu-silk 6300"
	if said := say(got(a.RankScorecards(ctx, &assessmentv1.RankScorecardsRequest{Parent: annual})).must(t)); said != want {
		t.Errorf("the ranking is %s\nwant %s", said, want)
	}
}

func TestContractListsTheFacts(t *testing.T) {
	text, err := os.ReadFile("../../proto/yizhen/assessment/v1/facts.proto")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(text), "message FactDefinition {")
	for _, f := range scoring.Facts() {
		if name := strings.TrimPrefix(f.Name, scoring.PreviousPrefix); !strings.Contains(comment, "`"+name+"`") {
			t.Errorf("the comment of FactDefinition does not list %s", name)
		}
	}
}
