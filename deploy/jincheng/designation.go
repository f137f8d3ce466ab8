package jincheng

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/civil"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

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
		err := s.create(ctx, CityOffice, "divisions/"+d.Code, &townv1.Division{TitleZh: d.TitleZH, TitleEn: d.TitleEN})
		if err != nil {
			return err
		}
	}
	byYear := calendars()
	for _, year := range []string{"2023", "2024"} {
		if err := s.create(ctx, CityOffice, "holidayCalendars/"+year, byYear[year]); err != nil {
			return err
		}
	}
	err := s.create(ctx, CityOffice, "goals/2025-municipal-towns", &assessmentv1.Goal{
		TitleZh: "市级专业镇", TitleEn: "Municipal towns", Year: 2025, Metric: assessmentv1.Goal_METRIC_MUNICIPAL_TOWNS,
		Comparator: assessmentv1.Goal_COMPARATOR_AT_LEAST, TargetValue: s.Goals2025.MunicipalTowns,
	})
	if err != nil {
		return err
	}
	return s.create(ctx, CityOffice, "goals/2025-provincial-towns", &assessmentv1.Goal{
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
			err := s.step(ctx, CityOffice, "towns/"+t.ID+"/designations/municipal", verb, requests[verb], &townv1.Designation{})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *story) designate(ctx context.Context) error {
	const batch = "batches/2023-1"
	err := s.create(ctx, CityOffice, batch, &townv1.Batch{
		Level: townv1.Level_LEVEL_MUNICIPAL, Title: "晋城市第一批市级专业镇", EffectiveDate: civil.New(2023, 3, 8),
		Document: &typev1.Document{Title: "关于认定第一批市级专业镇的通知（样例）", Number: "样例〔2023〕1号", IssueDate: civil.New(2023, 3, 8)},
	})
	if err != nil {
		return err
	}
	for _, t := range s.Towns {
		request := &townv1.DesignateTownRequest{Batch: batch}
		if err := s.step(ctx, CityOffice, "towns/"+t.ID+"/designations/municipal", "designate", request, &townv1.Designation{}); err != nil {
			return err
		}
	}
	return nil
}
