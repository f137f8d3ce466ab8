package assessment_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/assessment"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// Who calls in these tests.
const (
	city    = "city/industry"
	zezhou  = "county/zezhou"
	gaoping = "county/gaoping"
	reader  = "city/reader"
)

// The towns of these tests. The last is not designated.
const (
	casting = "towns/140525-casting"
	wine    = "towns/140525-wine"
	silk    = "towns/140581-silk"
	steel   = "towns/140581-steel"
	honey   = "towns/140521-honey"
)

const (
	set2022    = "indicatorSets/2022-standard"
	annual     = "campaigns/2022-annual"
	castsCard  = annual + "/scorecards/140525-casting"
	million    = 100_000_000
	cardsOfAll = 4
)

// bureau is an assessment that is being served, with its peers and a clock that the test moves.
type bureau struct {
	t     testing.TB
	clock *clock.Manual
	db    *journal.DB
	peers *peers
	srv   *rpctest.Server
}

// open serves an assessment on 1 March 2023, of three manufacturing towns and one of wine.
func open(t testing.TB) *bureau {
	t.Helper()
	c := clock.NewManual(time.Date(2023, 3, 1, 10, 0, 0, 0, civil.Zone))
	p := newPeers(t, c)
	db := rpctest.OpenDB(t, "assessment", c)
	s := assessment.New(db, p.serve())
	rpctest.Replays(t, db, s.Schema())
	b := &bureau{t: t, clock: c, db: db, peers: p, srv: rpctest.Serve(t, db, s.Register,
		authn.Principal{Name: city, Division: "140500", Permissions: []string{"*"}},
		authn.Principal{Name: zezhou, Division: "140525", Permissions: []string{"assessment.*"}},
		authn.Principal{Name: gaoping, Division: "140581", Permissions: []string{"assessment.*"}},
		authn.Principal{Name: reader, Division: "140500", Permissions: []string{"assessment.*.get", "assessment.*.list"}},
	)}
	for _, name := range []string{casting, silk, steel} {
		p.town(name, townv1.Field_FIELD_MANUFACTURING)
	}
	p.town(wine, townv1.Field_FIELD_SPECIALTY_AGRICULTURE)
	put(p, p.townDB, p.towns, &townv1.Town{Name: honey, Division: "140521", Field: townv1.Field_FIELD_SPECIALTY_AGRICULTURE})
	p.designation(honey, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_REVOKED)
	for i, name := range []string{casting, silk, steel, wine} {
		p.publish(name, "2022", &townv1.Figures{
			OutputValueFen: int64(4-i) * million, RevenueFen: int64(4-i) * million / 2, EmployeesPersons: 1000, TaxFen: 5_000_000,
		})
	}
	put(p, p.townDB, p.calendars, &townv1.HolidayCalendar{
		Name: "holidayCalendars/2023", Holidays: []*date.Date{civil.New(2023, 4, 5)},
	})
	return b
}

func (b *bureau) as(name string) assessmentv1.AssessmentClient {
	b.t.Helper()
	return assessmentv1.NewAssessmentClient(b.srv.As(name))
}

// on moves the clock to ten in the morning of a day, in the city.
func (b *bureau) on(year, month, day int) {
	b.clock.Set(civil.Start(civil.New(year, month, day)).Add(10 * time.Hour))
}

func aSet() *assessmentv1.IndicatorSet {
	return &assessmentv1.IndicatorSet{
		TitleZh: "2022年度考核指标", TitleEn: "Indicators of 2022",
		Indicators: []*assessmentv1.Indicator{
			{IndicatorId: "output", TitleZh: "产值", TitleEn: "Output", WeightPoints: 60, Expression: "output_value_fen", Department: "统计局",
				Normalisation: &assessmentv1.Indicator_MinMax{MinMax: &assessmentv1.MinMax{FloorBp: 6000}}},
			{IndicatorId: "revenue", TitleZh: "营收率", TitleEn: "Revenue over output", WeightPoints: 40, Department: "统计局",
				Expression:    "ratio_ppm(revenue_fen, output_value_fen)",
				Normalisation: &assessmentv1.Indicator_Target{Target: &assessmentv1.TargetAttainment{TargetValue: 500_000}}},
		},
		Vetoes: []*assessmentv1.Veto{{VetoId: "no-report", TitleZh: "未报数据", TitleEn: "No report", Expression: "report_published == 0"}},
		Bonuses: []*assessmentv1.Bonus{{BonusId: "giants", TitleZh: "小巨人", TitleEn: "Little giants", Expression: "little_giants * 50",
			CapHundredths: 200}},
	}
}

// adopt draws a set up and adopts it.
func (b *bureau) adopt() {
	b.t.Helper()
	got(b.as(city).CreateIndicatorSet(b.t.Context(), &assessmentv1.CreateIndicatorSetRequest{
		IndicatorSetId: "2022-standard", IndicatorSet: aSet()})).must(b.t)
	got(b.as(city).AdoptIndicatorSet(b.t.Context(), &assessmentv1.AdoptIndicatorSetRequest{Name: set2022})).must(b.t)
}

// begin brings a campaign to the state that a verb leads to; "" leaves it a draft.
func (b *bureau) begin(upTo string) *assessmentv1.Campaign {
	b.t.Helper()
	b.adopt()
	c := got(b.as(city).CreateCampaign(b.t.Context(), &assessmentv1.CreateCampaignRequest{
		CampaignId: "2022-annual", Campaign: aCampaign()})).must(b.t)
	for _, verb := range []string{"collect", "score", "announce"} {
		if upTo == "" || c.GetDecisions() != nil && c.GetDecisions()[len(c.GetDecisions())-1].GetVerb() == upTo {
			break
		}
		c = got(b.step(verb)).must(b.t)
	}
	return c
}

func aCampaign() *assessmentv1.Campaign {
	return &assessmentv1.Campaign{TitleZh: "2022年度考核", TitleEn: "Assessment of 2022", IndicatorSet: set2022, Period: "2022"}
}

// step takes one step of the campaign as the city.
func (b *bureau) step(verb string) (*assessmentv1.Campaign, error) {
	a, ctx := b.as(city), b.t.Context()
	switch verb {
	case "collect":
		return a.CollectCampaign(ctx, &assessmentv1.CollectCampaignRequest{Name: annual})
	case "score":
		return a.ScoreCampaign(ctx, &assessmentv1.ScoreCampaignRequest{Name: annual})
	case "announce":
		return a.AnnounceCampaign(ctx, &assessmentv1.AnnounceCampaignRequest{Name: annual})
	case "conclude":
		return a.ConcludeCampaign(ctx, &assessmentv1.ConcludeCampaignRequest{Name: annual})
	case "reopen":
		return a.ReopenCampaign(ctx, &assessmentv1.ReopenCampaignRequest{Name: annual, Reason: "figures were revised"})
	case "cancel":
		return a.CancelCampaign(ctx, &assessmentv1.CancelCampaignRequest{Name: annual, Reason: "not this year"})
	}
	return nil, fmt.Errorf("no verb %q", verb)
}

func (b *bureau) card(name string) *assessmentv1.Scorecard {
	b.t.Helper()
	return got(b.as(city).GetScorecard(b.t.Context(), &assessmentv1.GetScorecardRequest{Name: name})).must(b.t)
}

// result is what a call brought.
type result[T any] struct {
	answer T
	err    error
}

func got[T any](answer T, err error) result[T] { return result[T]{answer, err} }

// must returns the answer of a call that has to succeed.
func (r result[T]) must(t testing.TB) T {
	t.Helper()
	if r.err != nil {
		t.Fatalf("refused: %v\n%v", r.err, status.Convert(r.err).Details())
	}
	return r.answer
}

func fact(c *assessmentv1.Scorecard, name string) *assessmentv1.Fact {
	for _, f := range c.GetFacts() {
		if f.GetFact() == name {
			return f
		}
	}
	return nil
}

// wantRefusal fails the test unless a call was refused for that reason. `field=…` has to be among the fields named; the
// other facts stand in the metadata.
func wantRefusal(t testing.TB, err error, code codes.Code, reason protoreflect.Enum, facts ...string) {
	t.Helper()
	if status.Code(err) != code || !fault.Is(err, reason) {
		t.Fatalf("got %v (%s), want %v (%v)", err, fault.ReasonOf(err), code, reason)
	}
	said := map[string]bool{}
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			for k, v := range d.GetMetadata() {
				said[k+"="+v] = true
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				said["field="+v.GetField()] = true
			}
		}
	}
	for _, f := range facts {
		if !said[f] {
			t.Errorf("the refusal does not say %q: it says %v", f, said)
		}
	}
}

func TestWholeCampaign(t *testing.T) {
	b := open(t)
	p := b.peers
	p.designation(casting, townv1.Level_LEVEL_PROVINCIAL, townv1.Designation_STATE_WARNED)
	put(p, p.townDB, p.enterprises,
		&townv1.Enterprise{Name: casting + "/enterprises/A", Role: townv1.Enterprise_ROLE_LEADER, Honours: []townv1.Enterprise_Honour{
			townv1.Enterprise_HONOUR_LITTLE_GIANT, townv1.Enterprise_HONOUR_HIGH_TECH}},
		&townv1.Enterprise{Name: casting + "/enterprises/B", Role: townv1.Enterprise_ROLE_COOPERATIVE})
	put(p, p.townDB, p.assets, &townv1.Asset{Name: casting + "/assets/centre", Kind: townv1.Asset_KIND_INNOVATION_PLATFORM})
	put(p, p.projectDB, p.projects,
		&projectv1.Project{Name: "projects/140525-line", Town: casting, State: projectv1.Project_STATE_STARTED, PlannedInvestmentFen: 900, ActualInvestmentFen: 300},
		&projectv1.Project{Name: "projects/140525-off", Town: casting, State: projectv1.Project_STATE_CANCELLED, PlannedInvestmentFen: 100})
	put(p, p.fundDB, p.awards, &fundv1.Award{Name: "awards/140525-line", Town: casting, AmountFen: 500, CutFen: 100, PaidFen: 300, RecoveredFen: 50, DemandedFen: 20})
	p.publish(casting, "2021", &townv1.Figures{OutputValueFen: 3 * million})
	p.publish(casting, "2022", &townv1.Figures{OutputValueFen: 5 * million, RevenueFen: 2 * million})

	c := b.begin("collect")
	if c.GetState() != assessmentv1.Campaign_STATE_COLLECTED || c.GetTownCount() != cardsOfAll || c.GetCollections() != 1 {
		t.Fatalf("collected: %v", c)
	}
	checkPins(t, p, c)
	card := b.card(castsCard)
	checkFacts(t, card)
	report := got(p.latest("towns/140525-casting/reports/2022")).must(t)
	if e := fact(card, "output_value_fen").GetEvidence(); e.GetResource() != report.GetResource() || e.GetRevision() != report.GetRevision() ||
		string(e.GetHash()) != string(report.GetHash()) {
		t.Errorf("the evidence %v is not the change %v", e, report)
	}

	got(b.step("score")).must(t)
	// Output: the highest of three has the whole 60. Revenue is 2/5 of output, 4/5 of the target: 32. One little giant: 0.5.
	card = b.card(castsCard)
	if card.GetTotalHundredths() != 9250 || card.GetRank() != 1 || card.GetTier() != "excellent" {
		t.Errorf("scored: %v", card)
	}
	ranked := got(b.as(city).RankScorecards(t.Context(), &assessmentv1.RankScorecardsRequest{Parent: annual})).must(t)
	want := "MANUFACTURING: 1 casting 9250, 2 silk 8400, 3 steel 7600; SPECIALTY_AGRICULTURE: 1 wine 10000"
	if said := say(ranked); said != want {
		t.Errorf("the ranking is %s, want %s", said, want)
	}

	c = got(b.step("announce")).must(t)
	// Wednesday, 1 March 2023 to Tuesday, 7 March: five working days.
	if civil.Text(c.GetNoticeStartDate()) != "2023-03-01" || civil.Text(c.GetNoticeEndDate()) != "2023-03-07" || len(c.GetCalendarEvidence()) != 1 {
		t.Errorf("announced: %v", c)
	}
	_, err := b.step("conclude")
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOTICE_RUNNING, "notice_end_date=2023-03-07")
	b.on(2023, 3, 8)
	c = got(b.step("conclude")).must(t)
	if c.GetState() != assessmentv1.Campaign_STATE_FINAL {
		t.Errorf("concluded: %v", c)
	}
	var verbs []string
	for _, d := range c.GetDecisions() {
		verbs = append(verbs, d.GetVerb())
	}
	if said := strings.Join(verbs, " "); said != "collect score announce conclude" {
		t.Errorf("decisions: %s", said)
	}
	recommended := got(b.as(city).RecommendConsequences(t.Context(), &assessmentv1.RecommendConsequencesRequest{Name: annual})).must(t)
	if n := len(recommended.GetConsequences()); n != 1 || recommended.GetConsequences()[0].GetResource() != wine+"/designations/provincial" {
		t.Errorf("recommended: %v", recommended)
	}
	verified := got(b.as(city).VerifyScorecard(t.Context(), &assessmentv1.VerifyScorecardRequest{Name: castsCard})).must(t)
	if !verified.GetEqual() || !proto.Equal(verified.GetComputed(), card) {
		t.Errorf("verified: %v", verified)
	}
}

// checkPins holds the pins of a campaign against the heads of the journals.
func checkPins(t *testing.T, p *peers, c *assessmentv1.Campaign) {
	t.Helper()
	for i, db := range []*journal.DB{p.fundDB, p.projectDB, p.townDB} {
		head := got(db.Head(t.Context())).must(t)
		if pin := c.GetPins()[i]; pin.GetService() != db.Service() || pin.GetRevision() != head.GetRevision() || string(pin.GetHash()) != string(head.GetHash()) {
			t.Errorf("pin %v, head %v", pin, head)
		}
	}
}

// checkFacts holds the facts of the casting town against what was entered for it.
func checkFacts(t *testing.T, card *assessmentv1.Scorecard) {
	t.Helper()
	want := map[string]int64{
		"output_value_fen": 5 * million, "revenue_fen": 2 * million, "previous_output_value_fen": 3 * million, "report_published": 1,
		"municipal_held": 1, "provincial_held": 1, "provincial_warned": 1, "enterprises": 2, "leader_enterprises": 1, "cooperatives": 1,
		"little_giants": 1, "high_tech_enterprises": 1, "innovation_platforms": 1, "projects": 2, "projects_started": 1,
		"projects_cancelled": 1, "planned_investment_fen": 900, "actual_investment_fen": 300, "awards": 1, "awarded_fen": 400,
		"paid_fen": 250, "demanded_fen": 20,
	}
	var names []string
	for _, f := range card.GetFacts() {
		names = append(names, f.GetFact())
		if f.GetValue() != want[f.GetFact()] {
			t.Errorf("%s is %d, want %d", f.GetFact(), f.GetValue(), want[f.GetFact()])
		}
		if f.GetUnit() == "" || f.GetEvidence().GetRevision() == 0 && f.GetEvidence().GetService() == "town" || len(f.GetEvidence().GetHash()) != 32 {
			t.Errorf("%v has no evidence", f)
		}
	}
	var all []string
	for _, f := range scoring.Facts() {
		all = append(all, f.Name)
	}
	if !slices.Equal(names, all) {
		t.Errorf("a town with all reports has the facts %v, and the list has %v", names, all)
	}
}

// say writes rankings on one line.
func say(res *assessmentv1.RankScorecardsResponse) string {
	var fields []string
	for _, r := range res.GetRankings() {
		var towns []string
		for _, t := range r.GetTowns() {
			_, word, _ := strings.Cut(t.GetTown(), "-")
			towns = append(towns, fmt.Sprintf("%d %s %d", t.GetRank(), word, t.GetTotalHundredths()))
		}
		fields = append(fields, strings.TrimPrefix(r.GetField().String(), "FIELD_")+": "+strings.Join(towns, ", "))
	}
	return strings.Join(fields, "; ")
}

func TestFiguresThatAreNotPublishedAreNoFacts(t *testing.T) {
	b := open(t)
	put(b.peers, b.peers.townDB, b.peers.reports, &townv1.Report{Name: silk + "/reports/2022", State: townv1.Report_STATE_VERIFIED,
		Figures: &townv1.Figures{OutputValueFen: 1}})
	b.begin("score")
	card := b.card(annual + "/scorecards/140581-silk")
	if fact(card, "output_value_fen") != nil || fact(card, "report_published").GetValue() != 0 {
		t.Errorf("facts: %v", card.GetFacts())
	}
	if !card.GetVetoed() || card.GetRank() != 0 || card.GetTier() != "unqualified" {
		t.Errorf("scored: %v", card)
	}
}

func TestPeerDownLeavesNothingHalfDone(t *testing.T) {
	b := open(t)
	b.begin("")
	b.peers.down.Store(true)
	before := got(b.db.Head(t.Context())).must(t)
	req := &assessmentv1.CollectCampaignRequest{Name: annual, RequestId: "collect-1"}
	_, err := b.as(city).CollectCampaign(t.Context(), req)
	wantRefusal(t, err, codes.Unavailable, typev1.Reason_REASON_PEER_UNAVAILABLE, "service=fund")
	if after := got(b.db.Head(t.Context())).must(t); after.GetRevision() != before.GetRevision() {
		t.Errorf("the journal moved from %v to %v", before, after)
	}
	b.peers.down.Store(false)
	first := got(b.as(city).CollectCampaign(t.Context(), req)).must(t)

	b.peers.down.Store(true)
	again := got(b.as(city).CollectCampaign(t.Context(), req)).must(t)
	if !proto.Equal(first, again) {
		t.Errorf("repeated while a peer is down: %v, first %v", again, first)
	}
}

func TestCollectReadsOnePointOfTheJournal(t *testing.T) {
	b := open(t)
	b.begin("")
	var calls int
	meddle := func() {
		calls++
		b.peers.publish(casting, "2022", &townv1.Figures{OutputValueFen: int64(calls)})
	}
	b.peers.onAssets.Store(&meddle)
	_, err := b.step("collect")
	wantRefusal(t, err, codes.Aborted, assessmentv1.Reason_REASON_SOURCE_CHANGING, "service=town")
	if calls != 3 {
		t.Errorf("read %d times", calls)
	}

	once := func() {
		b.peers.onAssets.Store(nil)
		b.peers.publish(casting, "2022", &townv1.Figures{OutputValueFen: 77})
	}
	b.peers.onAssets.Store(&once)
	c := got(b.step("collect")).must(t)
	checkPins(t, b.peers, c)
	if v := fact(b.card(castsCard), "output_value_fen").GetValue(); v != 77 {
		t.Errorf("output %d", v)
	}

	elsewhere := func() {
		put(b.peers, b.peers.townDB, b.peers.calendars, &townv1.HolidayCalendar{Name: fmt.Sprintf("holidayCalendars/%d", calls)})
		calls++
	}
	b.peers.onAssets.Store(&elsewhere)
	got(b.step("collect")).must(t) // what is not read may change
}

func TestCollectAgainReplaces(t *testing.T) {
	b := open(t)
	b.begin("collect")
	first := b.card(castsCard)
	b.peers.designation(silk, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_REVOKED)
	b.peers.publish(casting, "2022", &townv1.Figures{OutputValueFen: 9})
	b.clock.Advance(time.Hour)
	c := got(b.step("collect")).must(t)
	if c.GetCollections() != 2 || c.GetTownCount() != cardsOfAll-1 {
		t.Errorf("collected again: %v", c)
	}
	again := b.card(castsCard)
	if fact(again, "output_value_fen").GetValue() != 9 || !proto.Equal(again.GetCreateTime(), first.GetCreateTime()) {
		t.Errorf("the scorecard is %v, was %v", again, first)
	}
	_, err := b.as(city).GetScorecard(t.Context(), &assessmentv1.GetScorecardRequest{Name: annual + "/scorecards/140581-silk"})
	wantRefusal(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
}

func TestCollectIsBounded(t *testing.T) {
	b := open(t)
	b.begin("")
	var towns []*townv1.Town
	var designations []*townv1.Designation
	for i := range 197 {
		name := fmt.Sprintf("towns/140502-%03d", i)
		towns = append(towns, &townv1.Town{Name: name, Division: "140502", Field: townv1.Field_FIELD_MANUFACTURING})
		designations = append(designations, &townv1.Designation{Name: name + "/designations/municipal",
			Level: townv1.Level_LEVEL_MUNICIPAL, State: townv1.Designation_STATE_DESIGNATED})
	}
	put(b.peers, b.peers.townDB, b.peers.towns, towns...)
	put(b.peers, b.peers.townDB, b.peers.designations, designations...)
	_, err := b.step("collect")
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_SOURCE_TOO_LARGE, "source=towns", "limit=200")
	b.peers.designation(silk, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_LAPSED)
	if c := got(b.step("collect")).must(t); c.GetTownCount() != 200 {
		t.Errorf("collected: %v", c)
	}
	got(b.step("score")).must(t)
}

func TestCollectRefusesSumsThatDoNotFit(t *testing.T) {
	b := open(t)
	b.begin("")
	put(b.peers, b.peers.fundDB, b.peers.awards,
		&fundv1.Award{Name: "awards/140525-a", Town: casting, AmountFen: math.MaxInt64},
		&fundv1.Award{Name: "awards/140525-b", Town: casting, AmountFen: 1})
	_, err := b.step("collect")
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW, "town="+casting, "fact=awarded_fen")
}

func TestCollectGivesWayToAnotherCollection(t *testing.T) {
	b := open(t)
	b.begin("")
	between := func() {
		b.peers.onAssets.Store(nil)
		if _, err := b.step("collect"); err != nil {
			t.Error(err)
		}
	}
	b.peers.onAssets.Store(&between)
	_, err := b.step("collect")
	wantRefusal(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG)
}

func TestCollectNeedsTowns(t *testing.T) {
	b := open(t)
	b.begin("")
	for _, name := range []string{casting, silk, steel, wine} {
		b.peers.designation(name, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_LAPSED)
	}
	_, err := b.step("collect")
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_NO_TOWNS)
}

func TestVerifyFindsWhatWasAltered(t *testing.T) {
	b := open(t)
	b.begin("score")
	cards := store.NewTable[*assessmentv1.Scorecard]()
	err := b.db.Update(t.Context(), journal.Origin{Actor: "intruder"}, func(tx *journal.Tx) error {
		card, err := cards.Get(tx, castsCard)
		if err != nil {
			return err
		}
		card.TotalHundredths += 100
		card.IndicatorScores[1].PointsHundredths += 100
		return cards.Update(tx, card)
	})
	if err != nil {
		t.Fatal(err)
	}
	res := got(b.as(city).VerifyScorecard(t.Context(), &assessmentv1.VerifyScorecardRequest{Name: castsCard})).must(t)
	var paths []string
	for _, d := range res.GetDifferences() {
		paths = append(paths, d.GetPath()+" "+d.GetStored()+" "+d.GetComputed())
	}
	if want := []string{"indicator_scores[1].points_hundredths 4100 4000", "total_hundredths 10100 10000"}; res.GetEqual() || !slices.Equal(paths, want) {
		t.Errorf("differences %q, want %q", paths, want)
	}
}

func TestVerifyGoesByThePinnedSet(t *testing.T) {
	b := open(t)
	b.begin("score")
	sets := store.NewTable[*assessmentv1.IndicatorSet]()
	err := b.db.Update(t.Context(), journal.Origin{Actor: "intruder"}, func(tx *journal.Tx) error {
		set, err := sets.Get(tx, set2022)
		if err != nil {
			return err
		}
		set.Indicators[0].WeightPoints, set.Indicators[1].WeightPoints = 1, 99
		return sets.Update(tx, set)
	})
	if err != nil {
		t.Fatal(err)
	}
	res := got(b.as(city).VerifyScorecard(t.Context(), &assessmentv1.VerifyScorecardRequest{Name: castsCard})).must(t)
	if !res.GetEqual() {
		t.Errorf("differences: %v", res.GetDifferences())
	}
}

func TestVerifyNeedsThePinnedSet(t *testing.T) {
	b := open(t)
	b.begin("score")
	campaigns := store.NewTable[*assessmentv1.Campaign]()
	err := b.db.Update(t.Context(), journal.Origin{Actor: "intruder"}, func(tx *journal.Tx) error {
		c, err := campaigns.Get(tx, annual)
		if err != nil {
			return err
		}
		c.IndicatorSetEvidence.Revision--
		return campaigns.Update(tx, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.as(city).VerifyScorecard(t.Context(), &assessmentv1.VerifyScorecardRequest{Name: castsCard})
	wantRefusal(t, err, codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT)
}

func TestAppeal(t *testing.T) {
	b := open(t)
	b.begin("score")
	a, ctx := b.as(zezhou), t.Context()
	req := &assessmentv1.CreateAppealRequest{AppealId: "140525-casting-2022", Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "营收有误"}}
	_, err := a.CreateAppeal(ctx, req)
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_NOT_ON_NOTICE, "state=SCORED")
	got(b.step("announce")).must(t)
	filed := got(a.CreateAppeal(ctx, req)).must(t)
	if filed.GetState() != assessmentv1.Appeal_STATE_FILED || filed.GetCollection() != 1 {
		t.Errorf("filed: %v", filed)
	}
	filed.Statement = "营业收入有误"
	got(a.UpdateAppeal(ctx, &assessmentv1.UpdateAppealRequest{Appeal: filed})).must(t)

	b.on(2023, 3, 8)
	_, err = b.step("conclude")
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_APPEAL_OPEN, "appeal="+filed.GetName())
	late := proto.Clone(req).(*assessmentv1.CreateAppealRequest)
	late.AppealId = "140525-late"
	_, err = a.CreateAppeal(ctx, late)
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_NOT_ON_NOTICE)

	_, err = b.as(city).AcceptAppeal(ctx, &assessmentv1.AcceptAppealRequest{Name: filed.GetName()})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason")
	before := b.card(castsCard)
	accepted := got(b.as(city).AcceptAppeal(ctx, &assessmentv1.AcceptAppealRequest{Name: filed.GetName(), Reason: "revised by the bureau"})).must(t)
	if accepted.GetDecisions()[0].GetPrincipal() != city || !proto.Equal(b.card(castsCard), before) {
		t.Errorf("accepted: %v", accepted)
	}
	_, err = b.step("conclude")
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_CORRECTION_DUE, "appeal="+filed.GetName())
	_, err = a.UpdateAppeal(ctx, &assessmentv1.UpdateAppealRequest{Appeal: &assessmentv1.Appeal{Name: filed.GetName(), Statement: "more"}})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE)

	b.peers.publish(casting, "2022", &townv1.Figures{OutputValueFen: 4 * million, RevenueFen: 1 * million})
	c := got(b.step("reopen")).must(t)
	if card := b.card(castsCard); len(card.GetIndicatorScores()) != 0 || card.GetTotalHundredths() != 0 || c.GetNoticeEndDate() != nil {
		t.Errorf("reopened: %v, %v", c, card)
	}
	_, err = b.as(city).RankScorecards(ctx, &assessmentv1.RankScorecardsRequest{Parent: annual})
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_NOT_SCORED)
	for _, verb := range []string{"collect", "score", "announce"} {
		got(b.step(verb)).must(t)
	}
	if card := b.card(castsCard); card.GetTotalHundredths() != 8000 {
		t.Errorf("scored again: %v", card)
	}
	b.on(2023, 3, 15)
	got(b.step("conclude")).must(t)
}

func TestAppealAcceptedAfterAnotherCollection(t *testing.T) {
	b := open(t)
	b.begin("announce")
	ctx := t.Context()
	filed := got(b.as(zezhou).CreateAppeal(ctx, &assessmentv1.CreateAppealRequest{AppealId: "140525-a",
		Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "x"}})).must(t)
	for _, verb := range []string{"reopen", "collect", "score", "announce"} {
		got(b.step(verb)).must(t)
	}
	got(b.as(city).AcceptAppeal(ctx, &assessmentv1.AcceptAppealRequest{Name: filed.GetName(), Reason: "still wrong"})).must(t)
	b.on(2023, 3, 8)
	_, err := b.step("conclude")
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_CORRECTION_DUE, "appeal="+filed.GetName())
}

func TestAppealOfTheWrongDivision(t *testing.T) {
	b := open(t)
	b.begin("announce")
	_, err := b.as(city).CreateAppeal(t.Context(), &assessmentv1.CreateAppealRequest{AppealId: "140581-casting",
		Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "x"}})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH, "field=appeal_id", "division=140525")
	_, err = b.as(gaoping).CreateAppeal(t.Context(), &assessmentv1.CreateAppealRequest{AppealId: "140525-casting",
		Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "x"}})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = b.as(city).CreateAppeal(t.Context(), &assessmentv1.CreateAppealRequest{AppealId: "140525-nobody",
		Appeal: &assessmentv1.Appeal{Scorecard: annual + "/scorecards/140525-nobody", Statement: "x"}})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "field=appeal.scorecard")
}

func TestCountySeesItsOwn(t *testing.T) {
	b := open(t)
	b.begin("score")
	ctx := t.Context()
	own := got(b.as(zezhou).ListScorecards(ctx, &assessmentv1.ListScorecardsRequest{Parent: annual})).must(t)
	var names []string
	for _, c := range own.GetScorecards() {
		names = append(names, c.GetTown())
	}
	if !slices.Equal(names, []string{casting, wine}) {
		t.Errorf("Zezhou sees %v", names)
	}
	_, err := b.as(gaoping).GetScorecard(ctx, &assessmentv1.GetScorecardRequest{Name: castsCard})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = b.as(gaoping).VerifyScorecard(ctx, &assessmentv1.VerifyScorecardRequest{Name: castsCard})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = b.as(zezhou).ScoreCampaign(ctx, &assessmentv1.ScoreCampaignRequest{Name: annual})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = b.as(reader).ScoreCampaign(ctx, &assessmentv1.ScoreCampaignRequest{Name: annual})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_PERMISSION_MISSING, "permission=assessment.campaigns.score")
	// The place is that among all towns of the field.
	ranked := got(b.as(gaoping).RankScorecards(ctx, &assessmentv1.RankScorecardsRequest{Parent: annual})).must(t)
	if said := say(ranked); said != "MANUFACTURING: 2 silk 8800, 3 steel 7600" {
		t.Errorf("Gaoping sees %s", said)
	}
}

func TestSteps(t *testing.T) {
	refused := map[string]string{
		"":         "score announce conclude reopen",
		"collect":  "announce conclude reopen",
		"score":    "collect score conclude",
		"announce": "collect score announce",
	}
	for upTo, verbs := range refused {
		t.Run("after "+upTo, func(t *testing.T) {
			b := open(t)
			c := b.begin(upTo)
			for verb := range strings.FieldsSeq(verbs) {
				_, err := b.step(verb)
				wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED,
					"verb="+verb, "state="+strings.TrimPrefix(c.GetState().String(), "STATE_"))
			}
			c = got(b.step("cancel")).must(t)
			if c.GetState() != assessmentv1.Campaign_STATE_CANCELLED {
				t.Errorf("cancelled: %v", c)
			}
		})
	}
}

func TestNotice(t *testing.T) {
	b := open(t)
	b.begin("score")
	ctx := t.Context()
	_, err := b.as(city).AnnounceCampaign(ctx, &assessmentv1.AnnounceCampaignRequest{Name: annual, NoticeWorkingDays: 4})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_NOTICE_TOO_SHORT, "field=notice_working_days")
	b.on(2023, 12, 29)
	_, err = b.step("announce")
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_CALENDAR_NOT_LOADED, "year=2024")
	put(b.peers, b.peers.townDB, b.peers.calendars, &townv1.HolidayCalendar{Name: "holidayCalendars/2024", Holidays: []*date.Date{civil.New(2024, 1, 1)}})
	c := got(b.step("announce")).must(t)
	if civil.Text(c.GetNoticeEndDate()) != "2024-01-05" || len(c.GetCalendarEvidence()) != 2 {
		t.Errorf("announced: %v", c)
	}
}

func TestIndicatorSet(t *testing.T) {
	b := open(t)
	a, ctx := b.as(city), t.Context()
	set := got(a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "2022-standard", IndicatorSet: aSet()})).must(t)
	if set.GetVersion() != 1 || len(set.GetTiers()) != 4 || !slices.Equal(set.GetIndicators()[1].GetFacts(), []string{"output_value_fen", "revenue_fen"}) {
		t.Errorf("drawn up: %v", set)
	}
	_, err := a.CreateCampaign(ctx, &assessmentv1.CreateCampaignRequest{CampaignId: "2022-annual", Campaign: aCampaign()})
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_SET_NOT_ADOPTED, "field=campaign.indicator_set", "state=DRAFT")

	set.Indicators[0].WeightPoints = 59
	_, err = a.UpdateIndicatorSet(ctx, &assessmentv1.UpdateIndicatorSetRequest{IndicatorSet: set})
	wantRefusal(t, err, codes.InvalidArgument, assessmentv1.Reason_REASON_WEIGHTS_NOT_WHOLE, "sum_points=99", "field=indicator_set.indicators")
	set.Indicators[0].WeightPoints = 60
	set.Indicators[0].Expression = "output_value_fen / 2.0"
	_, err = a.UpdateIndicatorSet(ctx, &assessmentv1.UpdateIndicatorSetRequest{IndicatorSet: set})
	wantRefusal(t, err, codes.InvalidArgument, assessmentv1.Reason_REASON_EXPRESSION_INVALID, "item=indicators/output", "line=1", "column=18")
	set.Indicators[0].Expression = "output_value_fen / 2"
	set.Indicators[0].Facts = []string{"made_up"}
	set = got(a.UpdateIndicatorSet(ctx, &assessmentv1.UpdateIndicatorSetRequest{IndicatorSet: set})).must(t)
	if !slices.Equal(set.GetIndicators()[0].GetFacts(), []string{"output_value_fen"}) {
		t.Errorf("updated: %v", set)
	}

	_, err = a.AdoptIndicatorSet(ctx, &assessmentv1.AdoptIndicatorSetRequest{Name: set2022, Etag: "0123"})
	wantRefusal(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "current_etag="+set.GetEtag())
	set = got(a.AdoptIndicatorSet(ctx, &assessmentv1.AdoptIndicatorSetRequest{Name: set2022, Etag: set.GetEtag()})).must(t)
	_, err = a.UpdateIndicatorSet(ctx, &assessmentv1.UpdateIndicatorSetRequest{IndicatorSet: set})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=ADOPTED")

	next := aSet()
	next.Predecessor = set2022
	set = got(a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "2023-standard", IndicatorSet: next})).must(t)
	if set.GetVersion() != 2 {
		t.Errorf("the next version: %v", set)
	}
	next.Predecessor = "indicatorSets/none"
	_, err = a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "2024-standard", IndicatorSet: next})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "field=indicator_set.predecessor")
	next.Predecessor = ""
	next.Indicators[0].Normalisation = nil
	_, err = a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "2024-standard", IndicatorSet: next})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD)
}

func TestCampaignEndsUnderTheSetItBeganUnder(t *testing.T) {
	b := open(t)
	b.begin("collect")
	got(b.as(city).RetireIndicatorSet(t.Context(), &assessmentv1.RetireIndicatorSetRequest{Name: set2022, Reason: "new rules"})).must(t)
	got(b.step("score")).must(t)
	res := got(b.as(city).VerifyScorecard(t.Context(), &assessmentv1.VerifyScorecardRequest{Name: castsCard})).must(t)
	if !res.GetEqual() {
		t.Errorf("differences: %v", res.GetDifferences())
	}
	other := aCampaign()
	_, err := b.as(city).CreateCampaign(t.Context(), &assessmentv1.CreateCampaignRequest{CampaignId: "2022-again", Campaign: other})
	wantRefusal(t, err, codes.FailedPrecondition, assessmentv1.Reason_REASON_SET_NOT_ADOPTED, "state=RETIRED")
}

func TestUpdateCampaign(t *testing.T) {
	b := open(t)
	c := b.begin("")
	a, ctx := b.as(city), t.Context()
	c = got(a.UpdateCampaign(ctx, &assessmentv1.UpdateCampaignRequest{
		Campaign:   &assessmentv1.Campaign{Name: annual, TitleEn: "Annual assessment", Etag: c.GetEtag()},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title_en"}}})).must(t)
	if c.GetTitleEn() != "Annual assessment" || c.GetTitleZh() != aCampaign().GetTitleZh() {
		t.Errorf("updated: %v", c)
	}
	_, err := a.UpdateCampaign(ctx, &assessmentv1.UpdateCampaignRequest{
		Campaign:   &assessmentv1.Campaign{Name: annual, Period: "2023"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"period"}}})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK)
	got(b.step("collect")).must(t)
	_, err = a.UpdateCampaign(ctx, &assessmentv1.UpdateCampaignRequest{Campaign: &assessmentv1.Campaign{Name: annual, TitleEn: "Other"}})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=COLLECTED")
}

func TestRequestIDs(t *testing.T) {
	b := open(t)
	b.begin("collect")
	a, ctx := b.as(city), t.Context()
	req := &assessmentv1.ScoreCampaignRequest{Name: annual, RequestId: "score-1"}
	first := got(a.ScoreCampaign(ctx, req)).must(t)
	got(b.step("announce")).must(t)
	again := got(a.ScoreCampaign(ctx, req)).must(t)
	if !proto.Equal(first, again) {
		t.Errorf("repeated: %v, first %v", again, first)
	}
	req.Reason = "another body"
	_, err := a.ScoreCampaign(ctx, req)
	wantRefusal(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED, "field=request_id")
	_, err = a.CreateGoal(ctx, &assessmentv1.CreateGoalRequest{GoalId: "2025-municipal-towns", Goal: aGoal(), RequestId: "score-1"})
	wantRefusal(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED)
}

func aGoal() *assessmentv1.Goal {
	return &assessmentv1.Goal{
		TitleZh: "市级专业镇达到20个", TitleEn: "20 municipal towns", Year: 2025, Metric: assessmentv1.Goal_METRIC_MUNICIPAL_TOWNS,
		Comparator: assessmentv1.Goal_COMPARATOR_AT_LEAST, TargetValue: 20,
	}
}

func TestGoals(t *testing.T) {
	b := open(t)
	a, ctx := b.as(city), t.Context()
	goal := got(a.CreateGoal(ctx, &assessmentv1.CreateGoalRequest{GoalId: "2025-municipal-towns", Goal: aGoal()})).must(t)
	b.peers.designation(casting, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_WARNED) // still holds
	b.peers.designation(casting, townv1.Level_LEVEL_PROVINCIAL, townv1.Designation_STATE_DESIGNATED)
	res := got(a.EvaluateGoal(ctx, &assessmentv1.EvaluateGoalRequest{Name: goal.GetName()})).must(t)
	head := got(b.peers.townDB.Head(ctx)).must(t)
	if res.GetCurrentValue() != 4 || res.GetReached() || res.GetAttainmentBp() != 2000 || len(res.GetTowns()) != 4 || res.GetPin().GetRevision() != head.GetRevision() {
		t.Errorf("evaluated: %v", res)
	}
	goal.TargetValue = 4
	got(a.UpdateGoal(ctx, &assessmentv1.UpdateGoalRequest{Goal: goal})).must(t)
	if res = got(b.as(zezhou).EvaluateGoal(ctx, &assessmentv1.EvaluateGoalRequest{Name: goal.GetName()})).must(t); !res.GetReached() || res.GetAttainmentBp() != 10_000 {
		t.Errorf("evaluated: %v", res)
	}
	provincial := aGoal()
	provincial.Metric, provincial.TargetValue, provincial.Comparator = assessmentv1.Goal_METRIC_PROVINCIAL_TOWNS, 1, assessmentv1.Goal_COMPARATOR_AT_MOST
	other := got(a.CreateGoal(ctx, &assessmentv1.CreateGoalRequest{GoalId: "2025-provincial-towns", Goal: provincial})).must(t)
	if res = got(a.EvaluateGoal(ctx, &assessmentv1.EvaluateGoalRequest{Name: other.GetName()})).must(t); res.GetCurrentValue() != 1 || !res.GetReached() {
		t.Errorf("evaluated: %v", res)
	}
	_, err := b.as(zezhou).UpdateGoal(ctx, &assessmentv1.UpdateGoalRequest{Goal: goal})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
}

func TestLists(t *testing.T) {
	b := open(t)
	b.begin("announce")
	a, ctx := b.as(city), t.Context()
	for _, id := range []string{"140525-a", "140525-b", "140525-c"} {
		got(a.CreateAppeal(ctx, &assessmentv1.CreateAppealRequest{AppealId: id, Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "x"}})).must(t)
	}
	var names []string
	req := &assessmentv1.ListAppealsRequest{PageSize: 2}
	for {
		res := got(a.ListAppeals(ctx, req)).must(t)
		for _, x := range res.GetAppeals() {
			names = append(names, x.GetName())
		}
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if want := []string{"appeals/140525-a", "appeals/140525-b", "appeals/140525-c"}; !slices.Equal(names, want) {
		t.Errorf("appeals %v", names)
	}
	if res := got(b.as(gaoping).ListAppeals(ctx, &assessmentv1.ListAppealsRequest{})).must(t); len(res.GetAppeals()) != 0 {
		t.Errorf("Gaoping sees %v", res)
	}
	_, err := a.ListScorecards(ctx, &assessmentv1.ListScorecardsRequest{Parent: annual, PageToken: "bm9uZQ"})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN)
	if res := got(a.ListCampaigns(ctx, &assessmentv1.ListCampaignsRequest{})).must(t); len(res.GetCampaigns()) != 1 {
		t.Errorf("campaigns %v", res)
	}
	if res := got(a.ListIndicatorSets(ctx, &assessmentv1.ListIndicatorSetsRequest{})).must(t); len(res.GetIndicatorSets()) != 1 {
		t.Errorf("sets %v", res)
	}
	if res := got(a.ListGoals(ctx, &assessmentv1.ListGoalsRequest{})).must(t); len(res.GetGoals()) != 0 {
		t.Errorf("goals %v", res)
	}
}

func TestFactDefinitions(t *testing.T) {
	b := open(t)
	a, ctx := b.as(zezhou), t.Context()
	var names []string
	req := &assessmentv1.ListFactDefinitionsRequest{PageSize: 7}
	for {
		res := got(a.ListFactDefinitions(ctx, req)).must(t)
		for _, d := range res.GetFactDefinitions() {
			names = append(names, strings.TrimPrefix(d.GetName(), "factDefinitions/"))
		}
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	for i, f := range scoring.Facts() {
		if i >= len(names) || names[i] != f.Name {
			t.Fatalf("the list has %v, and lacks %s at its place", names, f.Name)
		}
	}
	d := got(a.GetFactDefinition(ctx, &assessmentv1.GetFactDefinitionRequest{Name: "factDefinitions/tax_fen"})).must(t)
	if d.GetUnit() != "fen" || d.GetSource() != "town" || d.GetDescriptionZh() != "税收" {
		t.Errorf("got %v", d)
	}
	_, err := a.GetFactDefinition(ctx, &assessmentv1.GetFactDefinitionRequest{Name: "factDefinitions/none"})
	wantRefusal(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
}

func TestStandardRefusals(t *testing.T) {
	b := open(t)
	b.begin("announce")
	a, ctx := b.as(city), t.Context()
	got(a.CreateGoal(ctx, &assessmentv1.CreateGoalRequest{GoalId: "2025-municipal-towns", Goal: aGoal()})).must(t)
	got(a.CreateAppeal(ctx, &assessmentv1.CreateAppealRequest{AppealId: "140525-a", Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "x"}})).must(t)
	noTarget, noWeight := aGoal(), aSet()
	noTarget.TargetValue = 0
	noWeight.Indicators[1].WeightPoints = 0
	noPeriod := aCampaign()
	noPeriod.Period = "2022Q5"
	for _, c := range []struct {
		name   string
		call   func() (any, error)
		code   codes.Code
		reason protoreflect.Enum
		facts  []string
	}{
		{"a set that is there", func() (any, error) {
			return a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "2022-standard", IndicatorSet: aSet()})
		}, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, []string{"resource=" + set2022}},
		{"a campaign that is there", func() (any, error) {
			return a.CreateCampaign(ctx, &assessmentv1.CreateCampaignRequest{CampaignId: "2022-annual", Campaign: aCampaign()})
		}, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, []string{"resource=" + annual}},
		{"an appeal that is there", func() (any, error) {
			return a.CreateAppeal(ctx, &assessmentv1.CreateAppealRequest{AppealId: "140525-a", Appeal: &assessmentv1.Appeal{Scorecard: castsCard, Statement: "x"}})
		}, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, nil},
		{"a goal without a target", func() (any, error) {
			return a.CreateGoal(ctx, &assessmentv1.CreateGoalRequest{GoalId: "other", Goal: noTarget})
		}, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, []string{"field=goal.target_value"}},
		{"an indicator without a weight", func() (any, error) {
			return a.CreateIndicatorSet(ctx, &assessmentv1.CreateIndicatorSetRequest{IndicatorSetId: "other", IndicatorSet: noWeight})
		}, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, []string{"field=indicator_set.indicators[1].weight_points"}},
		{"a fifth quarter", func() (any, error) {
			return a.CreateCampaign(ctx, &assessmentv1.CreateCampaignRequest{CampaignId: "2022-other", Campaign: noPeriod})
		}, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, []string{"field=campaign.period"}},
		{"a document of the 31st of June", func() (any, error) {
			return a.DismissAppeal(ctx, &assessmentv1.DismissAppealRequest{Name: "appeals/140525-a", Reason: "no",
				Documents: []*typev1.Document{{Title: "x", IssueDate: &date.Date{Year: 2023, Month: 6, Day: 31}}}})
		}, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, []string{"field=documents[0].issue_date"}},
		{"a stale etag of a goal", func() (any, error) {
			return a.UpdateGoal(ctx, &assessmentv1.UpdateGoalRequest{Goal: &assessmentv1.Goal{Name: "goals/2025-municipal-towns", Year: 2026, Etag: "0123"}})
		}, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, nil},
		{"a stale etag of a step", func() (any, error) {
			return a.DismissAppeal(ctx, &assessmentv1.DismissAppealRequest{Name: "appeals/140525-a", Reason: "no", Etag: "0123"})
		}, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, nil},
		{"a mask that names what callers do not set", func() (any, error) {
			return a.UpdateGoal(ctx, &assessmentv1.UpdateGoalRequest{Goal: aGoal(), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"colour"}}})
		}, codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, []string{"field=update_mask"}},
		{"a goal that is not there", func() (any, error) {
			return a.EvaluateGoal(ctx, &assessmentv1.EvaluateGoalRequest{Name: "goals/none"})
		}, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, []string{"resource=goals/none"}},
		{"a campaign that is not there", func() (any, error) {
			return a.CollectCampaign(ctx, &assessmentv1.CollectCampaignRequest{Name: "campaigns/2022-none"})
		}, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, nil},
		{"a scorecard that is not there", func() (any, error) {
			return a.VerifyScorecard(ctx, &assessmentv1.VerifyScorecardRequest{Name: annual + "/scorecards/140525-none"})
		}, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, nil},
		{"retiring without a reason", func() (any, error) {
			return a.RetireIndicatorSet(ctx, &assessmentv1.RetireIndicatorSetRequest{Name: set2022, Reason: " "})
		}, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, []string{"field=reason"}},
		{"an appeal of another county", func() (any, error) {
			return b.as(gaoping).WithdrawAppeal(ctx, &assessmentv1.WithdrawAppealRequest{Name: "appeals/140525-a"})
		}, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION, nil},
		{"a county that decides its own appeal", func() (any, error) {
			return b.as(zezhou).AcceptAppeal(ctx, &assessmentv1.AcceptAppealRequest{Name: "appeals/140525-a", Reason: "we are right"})
		}, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION, nil},
		{"no credential", func() (any, error) {
			return b.as("").ListGoals(ctx, &assessmentv1.ListGoalsRequest{})
		}, codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.call()
			wantRefusal(t, err, c.code, c.reason, c.facts...)
		})
	}
	withdrawn := got(b.as(zezhou).WithdrawAppeal(ctx, &assessmentv1.WithdrawAppealRequest{Name: "appeals/140525-a"})).must(t)
	if withdrawn.GetState() != assessmentv1.Appeal_STATE_WITHDRAWN {
		t.Errorf("withdrawn: %v", withdrawn)
	}
	_, err := a.DismissAppeal(ctx, &assessmentv1.DismissAppealRequest{Name: "appeals/140525-a", Reason: "no"})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "state=WITHDRAWN", "permitted=")
}
