package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/uscc"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

//go:embed deploy/jincheng/programme.json
var programmeJSON []byte

// programme is what was published of Jincheng's programme.
type programme struct {
	City     division   `json:"city"`
	Counties []division `json:"counties"`
	Towns    []struct {
		ID            string   `json:"id"`
		TitleZH       string   `json:"title_zh"`
		TitleEN       string   `json:"title_en"`
		Field         string   `json:"field"`
		IndustryCodes []string `json:"industry_codes"`
	} `json:"towns"`
	Totals2022 struct {
		OutputValueFen   int64 `json:"output_value_fen"`
		RevenueFen       int64 `json:"revenue_fen"`
		EmployeesPersons int64 `json:"employees_persons"`
	} `json:"totals_2022"`
	Goals2025 struct {
		MunicipalTowns  int64 `json:"municipal_towns"`
		ProvincialTowns int64 `json:"provincial_towns"`
	} `json:"goals_2025"`
}

type division struct {
	Code    string `json:"code"`
	TitleZH string `json:"title_zh"`
	TitleEN string `json:"title_en"`
}

func readProgramme() (*programme, error) {
	p := &programme{}
	return p, json.Unmarshal(programmeJSON, p)
}

const cityDivision = "140500"

// story is one year of the programme, told over REST. Every request in it has a request id made of what it is about, so
// telling it again changes nothing: each is answered as it was the first time.
type story struct {
	rest  *restClient
	clock *clock.Manual
	w     io.Writer
	*programme
}

// chapter is what happens on one day.
type chapter struct {
	day   *date.Date
	title string
	tell  func(context.Context) error
}

func (s *story) chapters() []chapter {
	return []chapter{
		{civil.New(2023, 2, 1), "divisions, holiday calendars and the goals for 2025 are entered", s.enterReference},
		{civil.New(2023, 2, 6), "ten towns apply, and their counties recommend them", s.applyForDesignation},
		{civil.New(2023, 2, 20), "the city reviews them with experts", s.stepTowns("review")},
		{civil.New(2023, 3, 1), "they go on public notice (公示) for five working days", s.stepTowns("announce")},
		{civil.New(2023, 3, 8), "the notice has run: ten municipal towns are designated (认定)", s.designate},
		{civil.New(2023, 3, 15), "thirty enterprises are entered (made up)", s.enterEnterprises},
		{civil.New(2023, 3, 20), "reports of 2022 are drafted, submitted and verified by the counties (shares made up)", s.report},
		{civil.New(2023, 4, 10), "the city publishes the reports", s.publish},
		{civil.New(2023, 4, 12), "projects are planned, signed, approved and started", s.startProjects},
		{civil.New(2023, 4, 20), "the budget of the special fund is adopted", s.adoptBudget},
		{civil.New(2023, 5, 4), "a call is opened", s.openCall},
		{civil.New(2023, 5, 15), "enterprises apply, and their counties check the investment", s.applyForSupport},
		{civil.New(2023, 6, 5), "experts score the applications; one is turned down", s.reviewApplications},
		{civil.New(2023, 6, 7), "the others go on public notice", s.announceApplications},
		{civil.New(2023, 6, 14), "they are approved and awarded (立项)", s.award},
		{civil.New(2023, 9, 4), "projects have progressed; milestones are inspected and accepted", s.progress},
		{civil.New(2023, 9, 11), "first tranches are proven, prepared, checked and sent: three people for each", s.pay},
		{civil.New(2023, 9, 14), "the bank pays two and sends one back", s.hearFromBank},
		{civil.New(2023, 9, 20), "it is paid again, to the right account", s.payAgain},
		{civil.New(2023, 11, 6), "two projects are completed, one goes into production", s.complete},
		{civil.New(2024, 1, 8), "the year is assessed: facts collected, scores computed, result on notice", s.assess},
		{civil.New(2024, 1, 15), "the notice has run: the result is final", s.conclude},
	}
}

// tell tells the story and shows what came of it.
func (s *story) tell(ctx context.Context) (err error) {
	if s.programme, err = readProgramme(); err != nil {
		return err
	}
	fmt.Fprintln(s.w)
	for _, c := range s.chapters() {
		s.clock.Set(civil.Start(c.day).Add(9 * time.Hour))
		before, begun := s.rest.calls, time.Now()
		fmt.Fprintf(s.w, "%s  %s", civil.Text(c.day), c.title)
		if err := c.tell(ctx); err != nil {
			fmt.Fprintln(s.w)
			return err
		}
		fmt.Fprintf(s.w, "  [%d calls, %d ms]\n", s.rest.calls-before, time.Since(begun).Milliseconds())
	}
	return s.show(ctx)
}

// create creates the resource of that name.
func (s *story) create(ctx context.Context, who, name string, body proto.Message) error {
	collection, id := cut(name)
	answer := body.ProtoReflect().New().Interface()
	path := fmt.Sprintf("/v1/%s?%s_id=%s", collection, snake(singular(last(collection))), id)
	return s.mutate(ctx, who, path, requestID(name, "create"), body, answer)
}

// step takes a step in the life of the resource of that name. The answer is the resource after it.
func (s *story) step(ctx context.Context, who, name, verb string, request, answer proto.Message) error {
	return s.mutate(ctx, who, "/v1/"+name+":"+verb, requestID(name, verb), request, answer)
}

// mutate sends a mutation, each a second after the one before.
func (s *story) mutate(ctx context.Context, who, path, id string, body, answer proto.Message) error {
	s.clock.Advance(time.Second)
	return s.rest.post(ctx, who, path, id, body, answer)
}

// requestID names a request by the kind of resource, its identifiers and the verb: `reports.140525-casting.2022.submit`.
func requestID(name, verb string) string {
	segments := strings.Split(name, "/")
	parts := []string{segments[len(segments)-2]}
	for i := 1; i < len(segments); i += 2 {
		parts = append(parts, segments[i])
	}
	return strings.Join(append(parts, verb), ".")
}

// cut splits a name into its collection and the identifier in it.
func cut(name string) (collection, id string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i], name[i+1:]
}

func last(collection string) string {
	return collection[strings.LastIndexByte(collection, '/')+1:]
}

// singular makes `batch` of `batches` and `town` of `towns`.
func singular(plural string) string {
	if s, ok := strings.CutSuffix(plural, "ches"); ok {
		return s + "ch"
	}
	return strings.TrimSuffix(plural, "s")
}

// snake makes `holiday_calendar` of `holidayCalendar`.
func snake(camel string) string {
	var b strings.Builder
	for _, r := range camel {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// countyOf names the office of the county that an identifier begins with.
func countyOf(id string) string { return countyPrefix + id[:6] }

// --- Designation -------------------------------------------------------------------------

// calendars are the years' departures from the working week, as the State Council published them.
func calendars() map[string]*townv1.HolidayCalendar {
	return map[string]*townv1.HolidayCalendar{
		"2023": {
			Source: "国办发明电〔2022〕16号",
			Holidays: days(2023, "01-01", "01-02", "01-21", "01-22", "01-23", "01-24", "01-25", "01-26", "01-27", "04-05",
				"04-29", "04-30", "05-01", "05-02", "05-03", "06-22", "06-23", "06-24", "09-29", "09-30", "10-01", "10-02",
				"10-03", "10-04", "10-05", "10-06"),
			MakeUpWorkdays: days(2023, "01-28", "01-29", "04-23", "05-06", "06-25", "10-07", "10-08"),
		},
		"2024": {
			Source: "国办发明电〔2023〕7号",
			Holidays: days(2024, "01-01", "02-10", "02-11", "02-12", "02-13", "02-14", "02-15", "02-16", "02-17", "04-04",
				"04-05", "04-06", "05-01", "05-02", "05-03", "05-04", "05-05", "06-10", "09-15", "09-16", "09-17", "10-01",
				"10-02", "10-03", "10-04", "10-05", "10-06", "10-07"),
			MakeUpWorkdays: days(2024, "02-04", "02-18", "04-07", "04-28", "05-11", "09-14", "09-29", "10-12"),
		},
	}
}

func days(year int, monthDays ...string) []*date.Date {
	var out []*date.Date
	for _, md := range monthDays {
		var month, day int
		fmt.Sscanf(md, "%d-%d", &month, &day) //nolint:errcheck // the texts are in this file
		out = append(out, civil.New(year, month, day))
	}
	return out
}

func (s *story) enterReference(ctx context.Context) error {
	for _, d := range append([]division{s.City}, s.Counties...) {
		err := s.create(ctx, cityOffice, "divisions/"+d.Code, &townv1.Division{TitleZh: d.TitleZH, TitleEn: d.TitleEN})
		if err != nil {
			return err
		}
	}
	byYear := calendars()
	for _, year := range []string{"2023", "2024"} {
		if err := s.create(ctx, cityOffice, "holidayCalendars/"+year, byYear[year]); err != nil {
			return err
		}
	}
	err := s.create(ctx, cityOffice, "goals/2025-municipal-towns", &assessmentv1.Goal{
		TitleZh: "市级专业镇", TitleEn: "Municipal towns", Year: 2025, Metric: assessmentv1.Goal_METRIC_MUNICIPAL_TOWNS,
		Comparator: assessmentv1.Goal_COMPARATOR_AT_LEAST, TargetValue: s.Goals2025.MunicipalTowns,
	})
	if err != nil {
		return err
	}
	return s.create(ctx, cityOffice, "goals/2025-provincial-towns", &assessmentv1.Goal{
		TitleZh: "省级专业镇", TitleEn: "Provincial towns", Year: 2025, Metric: assessmentv1.Goal_METRIC_PROVINCIAL_TOWNS,
		Comparator: assessmentv1.Goal_COMPARATOR_AT_LEAST, TargetValue: s.Goals2025.ProvincialTowns,
	})
}

func (s *story) applyForDesignation(ctx context.Context) error {
	for _, t := range s.Towns {
		name, office := "towns/"+t.ID, countyOf(t.ID)
		err := s.create(ctx, office, name, &townv1.Town{
			Division: t.ID[:6], TitleZh: t.TitleZH, TitleEn: t.TitleEN, IndustryCodes: t.IndustryCodes,
			Field: townv1.Field(townv1.Field_value[t.Field]),
		})
		if err != nil {
			return err
		}
		designation := name + "/designations/municipal"
		err = s.create(ctx, office, designation, &townv1.Designation{Statement: t.TitleZH + "申请认定为市级专业镇。"})
		if err != nil {
			return err
		}
		if err := s.step(ctx, office, designation, "submit", &townv1.SubmitDesignationRequest{}, &townv1.Designation{}); err != nil {
			return err
		}
		err = s.step(ctx, office, designation, "recommend", &townv1.RecommendDesignationRequest{Reason: "初审合格"}, &townv1.Designation{})
		if err != nil {
			return err
		}
	}
	return nil
}

// stepTowns takes one step of the city in the designation of every town.
func (s *story) stepTowns(verb string) func(context.Context) error {
	requests := map[string]proto.Message{
		"review":   &townv1.ReviewDesignationRequest{Reason: "专家评审通过"},
		"announce": &townv1.AnnounceDesignationRequest{NoticeWorkingDays: 5},
	}
	return func(ctx context.Context) error {
		for _, t := range s.Towns {
			err := s.step(ctx, cityOffice, "towns/"+t.ID+"/designations/municipal", verb, requests[verb], &townv1.Designation{})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *story) designate(ctx context.Context) error {
	const batch = "batches/2023-1"
	err := s.create(ctx, cityOffice, batch, &townv1.Batch{
		Level: townv1.Level_LEVEL_MUNICIPAL, Title: "晋城市第一批市级专业镇", EffectiveDate: civil.New(2023, 3, 8),
		Document: &typev1.Document{Title: "关于认定第一批市级专业镇的通知（样例）", Number: "样例〔2023〕1号", IssueDate: civil.New(2023, 3, 8)},
	})
	if err != nil {
		return err
	}
	for _, t := range s.Towns {
		request := &townv1.DesignateTownRequest{Batch: batch}
		if err := s.step(ctx, cityOffice, "towns/"+t.ID+"/designations/municipal", "designate", request, &townv1.Designation{}); err != nil {
			return err
		}
	}
	return nil
}

// --- Figures -----------------------------------------------------------------------------

// sample is what the story makes up of one town: nothing was published of single towns. The shares of output, revenue and
// employees add up to the published totals. Amounts are in ten thousand yuan (万元).
type sample struct {
	town                    string
	output, revenue         int64
	employees               int64
	tax, exports, research  int64
	aboveScale              int64
	enterprises             [3]string
	leaderHonours           []townv1.Enterprise_Honour
	cooperativeAmongMembers bool
}

const fenPerWanYuan = 10_000 * fenPerYuan // 万元, ten thousand yuan

func samples() []sample {
	const (
		highTech    = townv1.Enterprise_HONOUR_HIGH_TECH
		specialised = townv1.Enterprise_HONOUR_SPECIALISED_AND_NEW
		littleGiant = townv1.Enterprise_HONOUR_LITTLE_GIANT
	)
	return []sample{
		{"140525-casting", 520_000, 455_000, 31_000, 18_200, 61_000, 9_400, 42, [3]string{"泽州样例铸造", "泽州样例管件", "泽州样例机械"}, []townv1.Enterprise_Honour{highTech, littleGiant}, false},
		{"140525-hawthorn-wine", 38_300, 31_800, 6_200, 1_900, 300, 410, 5, [3]string{"泽州样例酒业", "泽州样例果品", "泽州样例山楂合作社"}, []townv1.Enterprise_Honour{specialised}, true},
		{"140581-lu-silk", 62_000, 50_500, 8_900, 2_100, 7_800, 900, 9, [3]string{"高平样例丝绸", "高平样例织造", "高平样例家纺"}, []townv1.Enterprise_Honour{highTech, specialised}, false},
		{"140581-pigs", 236_000, 204_000, 21_500, 2_400, 0, 1_300, 14, [3]string{"高平样例牧业", "高平样例食品", "高平样例养殖合作社"}, []townv1.Enterprise_Honour{specialised}, true},
		{"140581-yellow-pears", 71_000, 60_500, 17_800, 600, 900, 220, 4, [3]string{"高平样例果业", "高平样例饮品", "高平样例黄梨合作社"}, nil, true},
		{"140522-ceramics", 168_000, 146_000, 15_600, 6_900, 21_500, 2_700, 27, [3]string{"阳城样例陶瓷", "阳城样例建陶", "阳城样例珐华"}, []townv1.Enterprise_Honour{highTech, specialised}, false},
		{"140522-sericulture", 54_000, 45_000, 14_000, 500, 2_600, 260, 3, [3]string{"阳城样例蚕业", "阳城样例缫丝", "阳城样例蚕桑合作社"}, nil, true},
		{"140524-herbs", 92_000, 75_000, 13_500, 1_700, 1_100, 1_150, 8, [3]string{"陵川样例药业", "陵川样例饮片", "陵川样例药材合作社"}, []townv1.Enterprise_Honour{highTech}, true},
		{"140521-black-goats", 33_000, 26_500, 5_300, 200, 0, 90, 2, [3]string{"沁水样例牧业", "沁水样例肉食", "沁水样例养羊合作社"}, nil, true},
		{"140521-honey", 22_000, 16_500, 3_200, 300, 150, 120, 2, [3]string{"沁水样例蜂业", "沁水样例蜜源", "沁水样例养蜂合作社"}, nil, true},
	}
}

// creditCode makes a well-formed code for a made-up enterprise: a company (91) registered in the town's county. The
// organisation code is a number of the sample, so no real enterprise is meant.
func creditCode(town string, number int) (string, error) {
	return uscc.Complete(fmt.Sprintf("91%sMA0T%04d", town[:6], number))
}

func (s *story) enterEnterprises(ctx context.Context) error {
	for i, sample := range samples() {
		for j, title := range sample.enterprises {
			code, err := creditCode(sample.town, 3*i+j)
			if err != nil {
				return err
			}
			e := &townv1.Enterprise{Title: title, Role: townv1.Enterprise_ROLE_MEMBER, AboveScale: j < 2, JoinDate: civil.New(2023, 3, 8)}
			switch {
			case j == 0:
				e.Role, e.Honours = townv1.Enterprise_ROLE_LEADER, sample.leaderHonours
			case j == 2 && sample.cooperativeAmongMembers:
				e.Role = townv1.Enterprise_ROLE_COOPERATIVE
			}
			if err := s.create(ctx, countyOf(sample.town), "towns/"+sample.town+"/enterprises/"+code, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *story) report(ctx context.Context) error {
	for _, sample := range samples() {
		name, office := "towns/"+sample.town+"/reports/2022", countyOf(sample.town)
		err := s.create(ctx, office, name, &townv1.Report{
			Note: "样例：各镇数字系编造，仅十镇合计与公布数一致。 A sample: the figures of single towns are made up; only the totals of the ten are the published ones.",
			Figures: &townv1.Figures{
				OutputValueFen:        sample.output * fenPerWanYuan,
				RevenueFen:            sample.revenue * fenPerWanYuan,
				EmployeesPersons:      sample.employees,
				TaxFen:                sample.tax * fenPerWanYuan,
				ExportsFen:            sample.exports * fenPerWanYuan,
				ResearchFen:           sample.research * fenPerWanYuan,
				AboveScaleEnterprises: sample.aboveScale,
			},
		})
		if err != nil {
			return err
		}
		if err := s.step(ctx, office, name, "submit", &townv1.SubmitReportRequest{}, &townv1.Report{}); err != nil {
			return err
		}
		if err := s.step(ctx, office, name, "verify", &townv1.VerifyReportRequest{Reason: "县级核实"}, &townv1.Report{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) publish(ctx context.Context) error {
	for _, t := range s.Towns {
		err := s.step(ctx, cityOffice, "towns/"+t.ID+"/reports/2022", "publish", &townv1.PublishReportRequest{}, &townv1.Report{})
		if err != nil {
			return err
		}
	}
	return nil
}

// --- Projects ----------------------------------------------------------------------------

// venture is one project of the story, and what its enterprise asks the fund for. All of it is made up. Amounts are in
// ten thousand yuan.
type venture struct {
	id, town         string
	enterprise       int // the number of its leader's credit code
	titleZH, titleEN string
	planned          int64
	expectedOutput   int64
	// monthly is what was invested in each month from May on.
	monthly []int64
	// requested is what is asked of the fund; 0 for a project that does not apply.
	requested int64
	// awarded is what is approved; 0 for an application that is turned down.
	awarded int64
}

func ventures() []venture {
	return []venture{
		{"140525-line-2", "140525-casting", 0, "精密铸造二号线", "Second precision casting line", 8_000, 12_000, []int64{1_400, 1_600, 1_500, 1_300}, 800, 800},
		{"140581-loom-hall", "140581-lu-silk", 6, "潞绸智能织造车间", "Lu silk weaving hall", 3_000, 4_200, []int64{500, 600, 650, 500}, 270, 250},
		{"140522-roller-kiln", "140522-ceramics", 15, "辊道窑节能改造", "Roller kiln refit", 5_000, 7_500, []int64{900, 1_000, 1_100, 900}, 450, 400},
		{"140524-herb-plant", "140524-herbs", 21, "中药材饮片加工厂", "Herb processing plant", 4_000, 5_000, []int64{300, 400, 350, 300}, 300, 0},
		{"140521-honey-hall", "140521-honey", 27, "蜂蜜灌装车间", "Honey bottling hall", 1_200, 1_500, []int64{200, 250, 220, 180}, 0, 0},
	}
}

// installed is the milestone that first tranches wait for.
const installed = "installed"

func (s *story) startProjects(ctx context.Context) error {
	for _, v := range ventures() {
		code, err := creditCode(v.town, v.enterprise)
		if err != nil {
			return err
		}
		name, office := "projects/"+v.id, countyOf(v.id)
		err = s.create(ctx, office, name, &projectv1.Project{
			Town: "towns/" + v.town, TitleZh: v.titleZH, TitleEn: v.titleEN, Action: projectv1.Action_ACTION_KEY_PROJECTS, EnterpriseCode: code,
			PlannedInvestmentFen: v.planned * fenPerWanYuan, ExpectedOutputFen: v.expectedOutput * fenPerWanYuan,
		})
		if err != nil {
			return err
		}
		for _, m := range []struct {
			id, title string
			due       *date.Date
		}{
			{installed, "设备安装完成 Equipment installed", civil.New(2023, 9, 30)},
			{"in-production", "投产 In production", civil.New(2024, 3, 31)},
		} {
			err := s.create(ctx, office, name+"/milestones/"+m.id, &projectv1.Milestone{Title: m.title, DueDate: m.due})
			if err != nil {
				return err
			}
		}
		for _, step := range []struct {
			verb    string
			request proto.Message
		}{
			{"sign", &projectv1.SignProjectRequest{}},
			{"approve", &projectv1.ApproveProjectRequest{Reason: "备案"}},
			{"start", &projectv1.StartProjectRequest{}},
		} {
			if err := s.step(ctx, office, name, step.verb, step.request, &projectv1.Project{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *story) progress(ctx context.Context) error {
	for _, v := range ventures() {
		name, office := "projects/"+v.id, countyOf(v.id)
		var invested int64
		for i, month := range []string{"2023-05", "2023-06", "2023-07", "2023-08"} {
			report := name + "/progressReports/" + month
			err := s.create(ctx, office, report, &projectv1.ProgressReport{
				PlannedInvestmentFen: v.planned / 6 * fenPerWanYuan, ActualInvestmentFen: v.monthly[i] * fenPerWanYuan,
			})
			if err != nil {
				return err
			}
			if err := s.step(ctx, office, report, "verify", &projectv1.VerifyProgressReportRequest{}, &projectv1.ProgressReport{}); err != nil {
				return err
			}
			invested += v.monthly[i] * fenPerWanYuan
		}
		if v.awarded == 0 {
			continue
		}
		milestone := name + "/milestones/" + installed
		if err := s.step(ctx, office, milestone, "report", &projectv1.ReportMilestoneRequest{}, &projectv1.Milestone{}); err != nil {
			return err
		}
		err := s.step(ctx, cityOffice, milestone, "accept", &projectv1.AcceptMilestoneRequest{
			Reason: "现场验收合格", VerifiedInvestmentFen: invested,
			Documents: []*typev1.Document{{Title: v.titleZH + "设备安装验收意见（样例）", IssueDate: civil.New(2023, 9, 4)}},
		}, &projectv1.Milestone{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) complete(ctx context.Context) error {
	for i, v := range ventures()[:2] {
		name, office := "projects/"+v.id, countyOf(v.id)
		if err := s.step(ctx, office, name, "complete", &projectv1.CompleteProjectRequest{}, &projectv1.Project{}); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		err := s.step(ctx, office, name, "putIntoProduction", &projectv1.PutProjectIntoProductionRequest{}, &projectv1.Project{})
		if err != nil {
			return err
		}
	}
	return nil
}

// --- The fund ----------------------------------------------------------------------------

const (
	budget = "budgets/2023"
	line   = budget + "/lines/key-projects"
	call   = "calls/2023-key-projects"
)

func (s *story) adoptBudget(ctx context.Context) error {
	err := s.create(ctx, fundOffice, budget, &fundv1.Budget{Title: "2023年专业镇专项资金（样例）", Sources: []*fundv1.Source{
		{Title: "市级财政", AmountFen: 8_000 * fenPerWanYuan},
		{Title: "省级转移支付", AmountFen: 2_000 * fenPerWanYuan},
	}})
	if err != nil {
		return err
	}
	if err := s.step(ctx, fundOffice, budget, "adopt", &fundv1.AdoptBudgetRequest{Reason: "市财政批复"}, &fundv1.Budget{}); err != nil {
		return err
	}
	err = s.create(ctx, fundOffice, line, &fundv1.Line{
		Purpose: "重点项目", Action: 3, AmountFen: 6_000 * fenPerWanYuan,
	})
	if err != nil {
		return err
	}
	return s.create(ctx, fundOffice, budget+"/lines/innovation", &fundv1.Line{
		Purpose: "创新平台", Action: 2, AmountFen: 2_000 * fenPerWanYuan,
	})
}

func (s *story) openCall(ctx context.Context) error {
	err := s.create(ctx, fundOffice, call, &fundv1.Call{
		Title: "2023年重点项目投资补助（样例）", Line: line,
		Mode: fundv1.Call_MODE_INVESTMENT_SUBSIDY, Basis: fundv1.Call_BASIS_VERIFIED,
		RateBp: 1000, KeyTownExtraBp: 200, KeyTowns: []string{"towns/140525-casting"},
		CapPerApplicationFen: 1_000 * fenPerWanYuan, CapPerEnterpriseFen: 1_500 * fenPerWanYuan,
		OpenDate: civil.New(2023, 5, 4), CloseDate: civil.New(2023, 5, 31),
		TranchePlan: []*fundv1.TranchePlan{
			{Title: "设备安装后", ShareBp: 6000, Milestone: installed},
			{Title: "投产验收后", ShareBp: 4000, Milestone: "in-production"},
		},
	})
	if err != nil {
		return err
	}
	return s.step(ctx, fundOffice, call, "open", &fundv1.OpenCallRequest{}, &fundv1.Call{})
}

// applicants are the ventures that ask the fund for support.
func applicants() []venture {
	return slices.DeleteFunc(ventures(), func(v venture) bool { return v.requested == 0 })
}

// awardees are those that get it.
func awardees() []venture {
	return slices.DeleteFunc(applicants(), func(v venture) bool { return v.awarded == 0 })
}

func (s *story) applyForSupport(ctx context.Context) error {
	for _, v := range applicants() {
		code, err := creditCode(v.town, v.enterprise)
		if err != nil {
			return err
		}
		contract := sha256.Sum256([]byte("contract of " + v.id))
		name, office := "applications/"+v.id, countyOf(v.id)
		err = s.create(ctx, office, name, &fundv1.Application{
			Call: call, Town: "towns/" + v.town, Project: "projects/" + v.id, EnterpriseCode: code, Title: v.titleZH,
			EligibleInvestmentFen: v.planned * fenPerWanYuan, RequestedFen: v.requested * fenPerWanYuan,
			EvidenceSha256S: []string{hex.EncodeToString(contract[:])},
		})
		if err != nil {
			return err
		}
		if err := s.step(ctx, office, name, "submit", &fundv1.SubmitApplicationRequest{}, &fundv1.Application{}); err != nil {
			return err
		}
		err = s.step(ctx, office, name, "check", &fundv1.CheckApplicationRequest{
			VerifiedInvestmentFen: v.planned * fenPerWanYuan, Reason: "投资合同与备案一致",
		}, &fundv1.Application{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) reviewApplications(ctx context.Context) error {
	for i, v := range applicants() {
		name := "applications/" + v.id
		err := s.step(ctx, fundOffice, name, "review", &fundv1.ReviewApplicationRequest{Scores: []*fundv1.ExpertScore{
			{Expert: "expert-07", Points: 91 - 9*int32(i)},
			{Expert: "expert-12", Points: 88 - 8*int32(i)},
			{Expert: "expert-31", Points: 84 - 7*int32(i)},
			{Expert: "expert-40", Recused: true, Opinion: "与申报企业有关联，回避"},
		}}, &fundv1.Application{})
		if err != nil {
			return err
		}
		if v.awarded > 0 {
			continue
		}
		err = s.step(ctx, fundOffice, name, "reject", &fundv1.RejectApplicationRequest{Reason: "评分低于入选线"}, &fundv1.Application{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) announceApplications(ctx context.Context) error {
	for _, v := range awardees() {
		err := s.step(ctx, fundOffice, "applications/"+v.id, "announce", &fundv1.AnnounceApplicationRequest{}, &fundv1.Application{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) award(ctx context.Context) error {
	for _, v := range awardees() {
		name := "applications/" + v.id
		err := s.step(ctx, fundOffice, name, "approve", &fundv1.ApproveApplicationRequest{AmountFen: v.awarded * fenPerWanYuan}, &fundv1.Application{})
		if err != nil {
			return err
		}
		if err := s.step(ctx, fundOffice, name, "award", &fundv1.AwardApplicationRequest{}, &fundv1.Award{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) pay(ctx context.Context) error {
	for i, v := range awardees() {
		tranche := "awards/" + v.id + "/tranches/1"
		if err := s.step(ctx, fundOffice, tranche, "prove", &fundv1.ProveTrancheRequest{}, &fundv1.Tranche{}); err != nil {
			return err
		}
		if err := s.disburse(ctx, v, "disbursements/"+v.id+"-1", fmt.Sprintf("62220100000000%02d", i)); err != nil {
			return err
		}
	}
	return nil
}

// disburse prepares, checks and sends one payment, each by somebody else.
func (s *story) disburse(ctx context.Context, v venture, name, account string) error {
	err := s.create(ctx, maker, name, &fundv1.Disbursement{
		Tranche: "awards/" + v.id + "/tranches/1", Payee: v.titleZH + "建设单位", PayeeAccount: account, PayeeBank: "样例银行晋城支行",
	})
	if err != nil {
		return err
	}
	if err := s.step(ctx, checker, name, "check", &fundv1.CheckDisbursementRequest{}, &fundv1.Disbursement{}); err != nil {
		return err
	}
	return s.step(ctx, payer, name, "send", &fundv1.SendDisbursementRequest{}, &fundv1.Disbursement{})
}

// returned is the awardee whose first payment comes back.
const returned = 1

func (s *story) hearFromBank(ctx context.Context) error {
	for i, v := range awardees() {
		name := "disbursements/" + v.id + "-1"
		var err error
		if i == returned {
			err = s.step(ctx, payer, name, "return", &fundv1.ReturnDisbursementRequest{
				BankReference: "R-2023-0914-1", Reason: "账号与户名不符",
			}, &fundv1.Disbursement{})
		} else {
			err = s.confirm(ctx, name, fmt.Sprintf("P-2023-0914-%d", i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) confirm(ctx context.Context, name, reference string) error {
	return s.step(ctx, payer, name, "confirm", &fundv1.ConfirmDisbursementRequest{BankReference: reference}, &fundv1.Disbursement{})
}

func (s *story) payAgain(ctx context.Context) error {
	v := awardees()[returned]
	name := "disbursements/" + v.id + "-1-again"
	if err := s.disburse(ctx, v, name, "6222010000000091"); err != nil {
		return err
	}
	return s.confirm(ctx, name, "P-2023-0920-1")
}

// --- Assessment --------------------------------------------------------------------------

const (
	indicatorSet = "indicatorSets/2022-standard"
	campaign     = "campaigns/2022-annual"
)

func (s *story) assess(ctx context.Context) error {
	if err := s.create(ctx, cityOffice, indicatorSet, standardIndicators()); err != nil {
		return err
	}
	err := s.step(ctx, cityOffice, indicatorSet, "adopt", &assessmentv1.AdoptIndicatorSetRequest{}, &assessmentv1.IndicatorSet{})
	if err != nil {
		return err
	}
	err = s.create(ctx, cityOffice, campaign, &assessmentv1.Campaign{
		TitleZh: "2022年度专业镇考核", TitleEn: "Assessment of 2022", IndicatorSet: indicatorSet, Period: "2022",
	})
	if err != nil {
		return err
	}
	for _, step := range []struct {
		verb    string
		request proto.Message
	}{
		{"collect", &assessmentv1.CollectCampaignRequest{}},
		{"score", &assessmentv1.ScoreCampaignRequest{}},
		{"announce", &assessmentv1.AnnounceCampaignRequest{NoticeWorkingDays: 5}},
	} {
		if err := s.step(ctx, cityOffice, campaign, step.verb, step.request, &assessmentv1.Campaign{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) conclude(ctx context.Context) error {
	return s.step(ctx, cityOffice, campaign, "conclude", &assessmentv1.ConcludeCampaignRequest{}, &assessmentv1.Campaign{})
}

// standardIndicators is an indicator set for figures that exist for a first year. The weights are ours; which departments
// answer for them follows the published division of work.
func standardIndicators() *assessmentv1.IndicatorSet {
	floor := func() *assessmentv1.Indicator_MinMax {
		return &assessmentv1.Indicator_MinMax{MinMax: &assessmentv1.MinMax{FloorBp: 6000}}
	}
	return &assessmentv1.IndicatorSet{
		TitleZh: "专业镇年度考核指标（样例）", TitleEn: "Yearly assessment of specialised towns (sample)",
		Indicators: []*assessmentv1.Indicator{
			{IndicatorId: "output", TitleZh: "产值", TitleEn: "Output value", WeightPoints: 25, Expression: "output_value_fen", Normalisation: floor(), Department: "统计局"},
			{IndicatorId: "revenue", TitleZh: "营业收入", TitleEn: "Revenue", WeightPoints: 20, Expression: "revenue_fen", Normalisation: floor(), Department: "统计局"},
			{IndicatorId: "jobs", TitleZh: "带动就业", TitleEn: "Jobs", WeightPoints: 15, Expression: "employees_persons", Normalisation: floor(), Department: "人社局"},
			{IndicatorId: "research", TitleZh: "研发强度", TitleEn: "Research intensity", WeightPoints: 15, Expression: "ratio_ppm(research_fen, revenue_fen)", Normalisation: floor(), Department: "科技局"},
			{IndicatorId: "projects", TitleZh: "重点项目", TitleEn: "Key projects under way", WeightPoints: 15, Department: "发改委",
				Expression: "projects_started + projects_completed + projects_in_production + projects_at_capacity",
				Normalisation: &assessmentv1.Indicator_StepTable{StepTable: &assessmentv1.StepTable{Steps: []*assessmentv1.Step{
					{ReachValue: 0, ShareBp: 6000}, {ReachValue: 1, ShareBp: 10000},
				}}}},
			{IndicatorId: "enterprises", TitleZh: "规上企业", TitleEn: "Enterprises above scale", WeightPoints: 10, Expression: "above_scale_enterprises", Department: "工信局",
				Normalisation: &assessmentv1.Indicator_RankOrder{RankOrder: &assessmentv1.RankOrder{}}},
		},
		Vetoes: []*assessmentv1.Veto{
			{VetoId: "no-report", TitleZh: "未公布年报", TitleEn: "No published report", Expression: "report_published == 0"},
		},
		Bonuses: []*assessmentv1.Bonus{
			{BonusId: "little-giants", TitleZh: "专精特新小巨人", TitleEn: "Little giants", Expression: "little_giants * 100", CapHundredths: 300},
		},
	}
}
