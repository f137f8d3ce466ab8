package town

import (
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/workday"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// minNoticeDays is how many working days a public notice lasts at least, and if nothing else is asked.
const minNoticeDays = 5

// checkDate refuses a date that is given and is no day of the calendar.
func checkDate(path string, d *date.Date) error {
	if d != nil && !civil.Valid(d) {
		return notADate(path)
	}
	return nil
}

// checkDocuments checks the dates of documents.
func checkDocuments(path string, documents []*typev1.Document) error {
	for i, doc := range documents {
		if err := checkDate(fmt.Sprintf("%s[%d].issue_date", path, i), doc.GetIssueDate()); err != nil {
			return err
		}
	}
	return nil
}

// lastDayOfNotice returns the last day of a notice that begins on a day and lasts some working days, by the calendars
// that are loaded.
func (s *Server) lastDayOfNotice(r store.Reader, first *date.Date, days int32) (*date.Date, error) {
	var known workday.Calendar
	for _, year := range []int32{first.GetYear(), first.GetYear() + 1} { // no notice is longer than a year
		c, err := s.calendars.Get(r, calendarName(year))
		if errors.Is(err, store.ErrNotFound) {
			continue // it may not be needed
		}
		if err != nil {
			return nil, err
		}
		known.Load(year, c.GetHolidays(), c.GetMakeUpWorkdays())
	}
	last, err := known.LastOf(first, int(days))
	if missing := (*workday.MissingYearError)(nil); errors.As(err, &missing) {
		return nil, calendarNotLoaded(missing.Year)
	}
	return last, err
}
