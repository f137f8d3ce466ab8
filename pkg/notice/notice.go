// Package notice is for public notices (公示): a decision is shown to the public for some working days, and takes effect
// when nothing stands against it after the last of them. The last day is reckoned once, when the notice begins: it stays
// when a calendar is corrected later.
package notice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/workday"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// MinDays is how many working days a notice lasts at least, and if nothing else is asked.
const MinDays = 5

// Days returns how many working days a notice lasts for which a request's notice_working_days asks some, or 0 for the
// fewest.
func Days(asked int32) (int, error) {
	days := cmp.Or(asked, MinDays)
	if days < MinDays {
		return 0, fault.New(codes.InvalidArgument, typev1.Reason_REASON_NOTICE_TOO_SHORT,
			fmt.Sprintf("公示期 %d 个工作日不足 %d 个工作日", days, MinDays),
			fmt.Sprintf("a public notice of %d working days is shorter than %d", days, MinDays),
			fault.Field("notice_working_days", fmt.Sprintf("is less than %d", MinDays)))
	}
	return int(days), nil
}

// Holidays are a year's days off, and the week-end days that are worked instead.
type Holidays interface {
	GetHolidays() []*date.Date
	GetMakeUpWorkdays() []*date.Date
}

// LastDay returns the last day of a notice that begins on a day, which counts if it is worked. Only the years that are
// needed are asked for; one that is not there is store.ErrNotFound.
func LastDay(first *date.Date, days int, holidays func(year int32) (Holidays, error)) (*date.Date, error) {
	var known workday.Calendar
	for {
		last, err := known.LastOf(first, days)
		var missing *workday.MissingYearError
		if !errors.As(err, &missing) {
			return last, err
		}
		year, err := holidays(missing.Year)
		if errors.Is(err, store.ErrNotFound) {
			return nil, calendarNotLoaded(missing.Year)
		}
		if err != nil {
			return nil, err
		}
		known.Load(missing.Year, year.GetHolidays(), year.GetMakeUpWorkdays())
	}
}

func calendarNotLoaded(year int32) error {
	y := strconv.Itoa(int(year))
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_CALENDAR_NOT_LOADED,
		y+" 年的节假日安排尚未录入，无法计算工作日；请先在专业镇名录中录入",
		"the holiday calendar of "+y+" is not loaded, so its working days cannot be counted: load it into the town registry first",
		fault.With("year", y))
}

// Period is when a notice runs, with the calendars that it was counted by.
type Period struct {
	First, Last *date.Date
	Calendars   []*typev1.Evidence
}

// Count returns the period of a notice that begins on a day, by the holiday calendars in the town registry's journal,
// which proves what they were.
func Count(ctx context.Context, town journalv1.JournalClient, first *date.Date, days int) (Period, error) {
	p := Period{First: first}
	var err error
	p.Last, err = LastDay(first, days, func(year int32) (Holidays, error) {
		change, err := journal.Ask(ctx, town, "town", fmt.Sprintf("holidayCalendars/%04d", year))
		if err != nil {
			return nil, err
		}
		p.Calendars = append(p.Calendars, journal.EvidenceOf(change))
		calendar := &townv1.HolidayCalendar{}
		return calendar, change.GetAfter().UnmarshalTo(calendar)
	})
	return p, err
}

// Over tells whether the last day of a notice is past.
func Over(last, today *date.Date) bool { return civil.Compare(today, last) > 0 }

// CheckOver refuses a step that waits until the notice of a resource is over.
func CheckOver(name, verb string, last, today *date.Date) error {
	if Over(last, today) {
		return nil
	}
	end := civil.Text(last)
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_NOTICE_RUNNING,
		name+" 的公示期至 "+end+"，期满后方可执行 "+verb, "the public notice of "+name+" runs until "+end+": "+verb+" it after that day",
		fault.With("notice_end_date", end))
}
