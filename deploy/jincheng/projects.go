package jincheng

import (
	"context"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/civil"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

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
			Town: "towns/" + v.town, TitleZh: v.titleZH, TitleEn: v.titleEN, Action: typev1.Action_ACTION_KEY_PROJECTS, EnterpriseCode: code,
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
		err := s.step(ctx, CityOffice, milestone, "accept", &projectv1.AcceptMilestoneRequest{
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
