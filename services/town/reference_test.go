package town_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"

	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestCalendarsAreChecked(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		shows  string
		sent   *townv1.HolidayCalendar
		fields []string
	}{
		{"a date of another year", &townv1.HolidayCalendar{Holidays: join(days(2025, 1, 1, 1), days(2024, 12, 31, 31))}, []string{"holidays[1]"}},
		{"a holiday given twice", &townv1.HolidayCalendar{Holidays: join(days(2025, 5, 1, 2), days(2025, 5, 1, 1))}, []string{"holidays[2]"}},
		{"a holiday that is also made up", &townv1.HolidayCalendar{
			Holidays: days(2025, 10, 4, 4), MakeUpWorkdays: days(2025, 10, 4, 4)}, []string{"make_up_workdays[0]"}},
		{"a make-up day in the week", &townv1.HolidayCalendar{MakeUpWorkdays: days(2025, 9, 26, 28)}, []string{"make_up_workdays[0]"}},
		{"no day of the calendar", &townv1.HolidayCalendar{Holidays: []*date.Date{{Year: 2025, Month: 2, Day: 29}}}, []string{"holidays[0]"}},
		{"every wrong date is named", &townv1.HolidayCalendar{
			Holidays: days(2024, 1, 1, 2), MakeUpWorkdays: days(2025, 9, 26, 26)}, []string{"holidays[0]", "holidays[1]", "make_up_workdays[0]"}},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := r.as(city).CreateHolidayCalendar(t.Context(), &townv1.CreateHolidayCalendarRequest{
				HolidayCalendarId: "2025", HolidayCalendar: c.sent,
			})
			var facts []string
			for _, f := range c.fields {
				facts = append(facts, "field=holiday_calendar."+f)
			}
			wantRefusal(t, err, codes.InvalidArgument, townv1.Reason_REASON_CALENDAR_INVALID, facts...)
		})
	}
	_, err := r.as(city).UpdateHolidayCalendar(t.Context(), &townv1.UpdateHolidayCalendarRequest{
		HolidayCalendar: &townv1.HolidayCalendar{Name: "holidayCalendars/2023", MakeUpWorkdays: days(2023, 3, 1, 1)},
	})
	wantRefusal(t, err, codes.InvalidArgument, townv1.Reason_REASON_CALENDAR_INVALID)
}

func TestCountiesReadReferenceDataAndDoNotWriteIt(t *testing.T) {
	r := serve(t)
	c, ctx := r.as(zezhou), t.Context()
	r.must(c.GetDivision(ctx, &townv1.GetDivisionRequest{Name: "divisions/140581"}))
	r.must(c.GetHolidayCalendar(ctx, &townv1.GetHolidayCalendarRequest{Name: "holidayCalendars/2023"}))
	_, err := c.CreateDivision(ctx, &townv1.CreateDivisionRequest{
		DivisionId: "140522", Division: &townv1.Division{TitleZh: "阳城县", TitleEn: "Yangcheng"},
	})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = c.CreateHolidayCalendar(ctx, &townv1.CreateHolidayCalendarRequest{
		HolidayCalendarId: "2025", HolidayCalendar: &townv1.HolidayCalendar{},
	})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
}
