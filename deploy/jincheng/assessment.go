package jincheng

import (
	"context"

	"google.golang.org/protobuf/proto"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
)

const (
	indicatorSet = "indicatorSets/2022-standard"
	campaign     = "campaigns/2022-annual"
)

func (s *story) assess(ctx context.Context) error {
	if err := s.create(ctx, CityOffice, indicatorSet, standardIndicators()); err != nil {
		return err
	}
	err := s.step(ctx, CityOffice, indicatorSet, "adopt", &assessmentv1.AdoptIndicatorSetRequest{}, &assessmentv1.IndicatorSet{})
	if err != nil {
		return err
	}
	err = s.create(ctx, CityOffice, campaign, &assessmentv1.Campaign{
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
		if err := s.step(ctx, CityOffice, campaign, step.verb, step.request, &assessmentv1.Campaign{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) conclude(ctx context.Context) error {
	return s.step(ctx, CityOffice, campaign, "conclude", &assessmentv1.ConcludeCampaignRequest{}, &assessmentv1.Campaign{})
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
