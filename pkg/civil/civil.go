// Package civil turns instants into the days of the city's calendar and back.
package civil

import (
	"time"

	"google.golang.org/genproto/googleapis/type/date"
)

// Zone is the time zone of the city. China has one, without summer time since 1991.
var Zone = time.FixedZone("Asia/Shanghai", 8*60*60)

// DateOf returns the day in the city on which the instant falls.
func DateOf(t time.Time) *date.Date {
	y, m, d := t.In(Zone).Date()
	return New(y, int(m), d)
}

// New returns a date, normalised: the 31st of April is the 1st of May.
func New(year, month, day int) *date.Date {
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, Zone)
	return &date.Date{Year: int32(t.Year()), Month: int32(t.Month()), Day: int32(t.Day())}
}

// Valid tells whether a date is a day of the calendar, complete with year, month and day.
func Valid(d *date.Date) bool {
	if d.GetYear() < 1 || d.GetYear() > 9999 || d.GetMonth() < 1 || d.GetDay() < 1 {
		return false
	}
	return Compare(d, New(int(d.GetYear()), int(d.GetMonth()), int(d.GetDay()))) == 0
}

// Start returns the first instant of a day.
func Start(d *date.Date) time.Time {
	return time.Date(int(d.GetYear()), time.Month(d.GetMonth()), int(d.GetDay()), 0, 0, 0, 0, Zone)
}

// AddDays returns the date n days later.
func AddDays(d *date.Date, n int) *date.Date {
	return New(int(d.GetYear()), int(d.GetMonth()), int(d.GetDay())+n)
}

// AddYears returns the date n years later. The 29th of February becomes the 1st of March in a common year.
func AddYears(d *date.Date, n int) *date.Date {
	return New(int(d.GetYear())+n, int(d.GetMonth()), int(d.GetDay()))
}

// Compare is negative if a is before b, zero if they are the same day, positive if it is after.
func Compare(a, b *date.Date) int {
	key := func(d *date.Date) int {
		return int(d.GetYear())*10000 + int(d.GetMonth())*100 + int(d.GetDay())
	}
	return key(a) - key(b)
}

// Text writes a date as 2023-03-01.
func Text(d *date.Date) string { return Start(d).Format(time.DateOnly) }
