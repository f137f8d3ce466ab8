package town

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/workday"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreateDivision implements the TownRegistry service.
func (s *Server) CreateDivision(ctx context.Context, req *townv1.CreateDivisionRequest) (*townv1.Division, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Division, error) {
		return record.Create(tx, s.divisions, record.New(req.GetDivision(), "divisions/"+req.GetDivisionId()))
	})
}

// GetDivision implements the TownRegistry service.
func (s *Server) GetDivision(ctx context.Context, req *townv1.GetDivisionRequest) (*townv1.Division, error) {
	return record.Get(ctx, s.db, s.divisions, req.GetName())
}

// ListDivisions implements the TownRegistry service.
func (s *Server) ListDivisions(ctx context.Context, req *townv1.ListDivisionsRequest) (*townv1.ListDivisionsResponse, error) {
	divisions, next, err := record.List(ctx, s.db, s.divisions, "divisions/", req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListDivisionsResponse{Divisions: divisions, NextPageToken: next}, nil
}

// UpdateDivision implements the TownRegistry service.
func (s *Server) UpdateDivision(ctx context.Context, req *townv1.UpdateDivisionRequest) (*townv1.Division, error) {
	return record.Patch(ctx, s.db, s.divisions, req, req.GetDivision(), nil)
}

// CreateHolidayCalendar implements the TownRegistry service.
func (s *Server) CreateHolidayCalendar(ctx context.Context, req *townv1.CreateHolidayCalendarRequest) (*townv1.HolidayCalendar, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.HolidayCalendar, error) {
		c := record.New(req.GetHolidayCalendar(), "holidayCalendars/"+req.GetHolidayCalendarId())
		if err := checkCalendar(tx, nil, c); err != nil {
			return nil, err
		}
		return record.Create(tx, s.calendars, c)
	})
}

// GetHolidayCalendar implements the TownRegistry service.
func (s *Server) GetHolidayCalendar(ctx context.Context, req *townv1.GetHolidayCalendarRequest) (*townv1.HolidayCalendar, error) {
	return record.Get(ctx, s.db, s.calendars, req.GetName())
}

// ListHolidayCalendars implements the TownRegistry service.
func (s *Server) ListHolidayCalendars(ctx context.Context, req *townv1.ListHolidayCalendarsRequest) (*townv1.ListHolidayCalendarsResponse, error) {
	calendars, next, err := record.List(ctx, s.db, s.calendars, "holidayCalendars/", req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListHolidayCalendarsResponse{HolidayCalendars: calendars, NextPageToken: next}, nil
}

// UpdateHolidayCalendar implements the TownRegistry service. Notices that run were given their last day when they began.
func (s *Server) UpdateHolidayCalendar(ctx context.Context, req *townv1.UpdateHolidayCalendarRequest) (*townv1.HolidayCalendar, error) {
	return record.Patch(ctx, s.db, s.calendars, req, req.GetHolidayCalendar(), checkCalendar)
}

func calendarName(year int32) string { return fmt.Sprintf("holidayCalendars/%04d", year) }

// checkCalendar is the rule of what a calendar may become.
func checkCalendar(_ *journal.Tx, _, after *townv1.HolidayCalendar) error {
	if wrong := wrongDates(after); len(wrong) > 0 {
		return calendarInvalid(wrong)
	}
	return nil
}

// wrongDate is a date of a calendar that is wrong, and why.
type wrongDate struct{ path, zh, en string }

func wrongDates(c *townv1.HolidayCalendar) (wrong []wrongDate) {
	given := map[string]bool{}
	check := func(field string, dates []*date.Date, madeUp bool) {
		for i, d := range dates {
			w := wrongDate{path: fmt.Sprintf("holiday_calendar.%s[%d]", field, i)}
			switch {
			case !civil.Valid(d):
				w.zh, w.en = "不是完整有效的日期", "is no day of the calendar, with year, month and day"
			case calendarName(d.GetYear()) != c.GetName():
				w.zh, w.en = "不在该年度内", "lies outside the year of the calendar"
			case given[civil.Text(d)]:
				w.zh, w.en = "重复", "is given twice"
			case madeUp && !workday.Weekend(d):
				w.zh, w.en = "是调休上班日，但不是周末", "is a make-up day and no day of the week-end"
			default:
				given[civil.Text(d)] = true
				continue
			}
			wrong = append(wrong, w)
		}
	}
	check("holidays", c.GetHolidays(), false)
	check("make_up_workdays", c.GetMakeUpWorkdays(), true)
	return wrong
}
