package jincheng

import (
	"context"
	"fmt"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/uscc"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

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
		err := s.step(ctx, CityOffice, "towns/"+t.ID+"/reports/2022", "publish", &townv1.PublishReportRequest{}, &townv1.Report{})
		if err != nil {
			return err
		}
	}
	return nil
}
