package assessment

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/workday"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// minNoticeDays is how many working days a public notice lasts at least, and if nothing else is asked.
const minNoticeDays = 5

// lastDayOfNotice returns the last day of a notice that begins on a day and lasts some working days, with the calendars of
// the town service that it was counted by. Only the years that are needed are asked for.
func (s *Server) lastDayOfNotice(ctx context.Context, first *date.Date, days int32) (*date.Date, []*typev1.Evidence, error) {
	var known workday.Calendar
	var evidence []*typev1.Evidence
	for {
		last, err := known.LastOf(first, int(days))
		var missing *workday.MissingYearError
		if !errors.As(err, &missing) {
			return last, evidence, err
		}
		calendar, proof, err := s.calendar(ctx, missing.Year)
		if err != nil {
			return nil, nil, err
		}
		known.Load(missing.Year, calendar.GetHolidays(), calendar.GetMakeUpWorkdays())
		evidence = append(evidence, proof)
	}
}

// calendar reads a year's holidays from the town service's journal, which proves what they were.
func (s *Server) calendar(ctx context.Context, year int32) (*townv1.HolidayCalendar, *typev1.Evidence, error) {
	change, err := s.peers.TownJournal.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{
		Name: "journals/town", Resource: fmt.Sprintf("holidayCalendars/%d", year),
	})
	if status.Code(err) == codes.NotFound || err == nil && change.GetAfter() == nil {
		return nil, nil, calendarNotLoaded(year)
	}
	if err != nil {
		return nil, nil, peerFault("town", err)
	}
	calendar := &townv1.HolidayCalendar{}
	if err := change.GetAfter().UnmarshalTo(calendar); err != nil {
		return nil, nil, err
	}
	return calendar, evidenceOf("town", change), nil
}
