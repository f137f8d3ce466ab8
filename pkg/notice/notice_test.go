package notice_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/notice"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestDays(t *testing.T) {
	for asked, want := range map[int32]int{0: notice.MinDays, notice.MinDays: notice.MinDays, 20: 20} {
		if got, err := notice.Days(asked); err != nil || got != want {
			t.Errorf("Days(%d) = %d, %v, want %d", asked, got, err, want)
		}
	}
	for _, asked := range []int32{-1, 1, notice.MinDays - 1} {
		if _, err := notice.Days(asked); !fault.Is(err, typev1.Reason_REASON_NOTICE_TOO_SHORT) {
			t.Errorf("Days(%d) is answered with %v", asked, err)
		}
	}
}

// The National Day of 2023, as the State Council set it: eight days off, and two days of the week-end after them worked.
func nationalDay() *townv1.HolidayCalendar {
	c := &townv1.HolidayCalendar{MakeUpWorkdays: []*date.Date{civil.New(2023, 10, 7), civil.New(2023, 10, 8)}}
	for d := civil.New(2023, 9, 29); civil.Compare(d, civil.New(2023, 10, 6)) <= 0; d = civil.AddDays(d, 1) {
		c.Holidays = append(c.Holidays, d)
	}
	return c
}

func TestLastDay(t *testing.T) {
	asked := map[int32]int{}
	holidays := func(year int32) (notice.Holidays, error) {
		asked[year]++
		switch year {
		case 2023:
			return nationalDay(), nil
		case 2024:
			return &townv1.HolidayCalendar{Holidays: []*date.Date{civil.New(2024, 1, 1)}}, nil
		}
		return nil, store.ErrNotFound
	}
	for _, c := range []struct {
		shows       string
		first, last *date.Date
	}{
		{"the first day counts", civil.New(2023, 3, 6), civil.New(2023, 3, 10)},
		{"a week-end does not", civil.New(2023, 3, 8), civil.New(2023, 3, 14)},
		{"a holiday does not, a make-up day does", civil.New(2023, 9, 27), civil.New(2023, 10, 9)},
		{"it runs on into another year", civil.New(2023, 12, 28), civil.New(2024, 1, 4)},
	} {
		if got, err := notice.LastDay(c.first, 5, holidays); err != nil || civil.Compare(got, c.last) != 0 {
			t.Errorf("%s: from %s on it ends on %v (%v), want %s", c.shows, civil.Text(c.first), got, err, civil.Text(c.last))
		}
	}
	if asked[2024] != 1 {
		t.Errorf("the calendar of 2024 was asked for %d times, and one notice needs it", asked[2024])
	}
	if _, err := notice.LastDay(civil.New(2024, 12, 30), 5, holidays); !fault.Is(err, typev1.Reason_REASON_CALENDAR_NOT_LOADED) {
		t.Errorf("a notice into 2025, which is not loaded, is answered with %v", err)
	}
	broken := errors.New("disk on fire")
	_, err := notice.LastDay(civil.New(2023, 3, 6), 5, func(int32) (notice.Holidays, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("a calendar that cannot be read is answered with %v", err)
	}
}

// TestCount reads the calendar from the journal of a served town registry, and keeps the proof of it.
func TestCount(t *testing.T) {
	db := rpctest.OpenDB(t, "town", clock.NewManual(time.Date(2023, 9, 1, 0, 0, 0, 0, time.UTC)))
	calendars := store.NewTable[*townv1.HolidayCalendar]()
	err := db.Update(t.Context(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
		c := nationalDay()
		c.Name = "holidayCalendars/2023"
		return calendars.Create(tx, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := rpctest.Serve(t, db, func(grpc.ServiceRegistrar) {}, authn.Principal{Name: "fund", Division: "140500", Permissions: []string{"journal.*"}})
	town := journalv1.NewJournalClient(s.As("fund"))

	p, err := notice.Count(t.Context(), town, civil.New(2023, 9, 27), 5)
	if err != nil || civil.Text(p.First) != "2023-09-27" || civil.Text(p.Last) != "2023-10-09" {
		t.Fatalf("the notice runs %v (%v)", p, err)
	}
	head, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("town holidayCalendars/2023 %d %x", head.GetRevision(), head.GetHash())
	if len(p.Calendars) != 1 {
		t.Fatalf("it was counted by %v", p.Calendars)
	}
	e := p.Calendars[0]
	if got := fmt.Sprintf("%s %s %d %x", e.GetService(), e.GetResource(), e.GetRevision(), e.GetHash()); got != want {
		t.Errorf("the proof is %s, want %s", got, want)
	}

	if _, err := notice.Count(t.Context(), town, civil.New(2024, 3, 6), 5); !fault.Is(err, typev1.Reason_REASON_CALENDAR_NOT_LOADED) {
		t.Errorf("a year that is not loaded is answered with %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := notice.Count(gone, town, civil.New(2023, 9, 27), 5); status.Code(err) != codes.Unavailable {
		t.Errorf("a registry that gives no answer is answered with %v", err)
	}
}

func TestCheckOver(t *testing.T) {
	last := civil.New(2023, 3, 7)
	if err := notice.CheckOver("towns/140525-casting", "designate", last, civil.New(2023, 3, 8)); err != nil {
		t.Errorf("the day after: %v", err)
	}
	for _, today := range []*date.Date{last, civil.New(2023, 3, 6)} {
		err := notice.CheckOver("towns/140525-casting", "designate", last, today)
		if !fault.Is(err, typev1.Reason_REASON_NOTICE_RUNNING) || status.Code(err) != codes.FailedPrecondition {
			t.Errorf("on %s: %v", civil.Text(today), err)
		}
	}
}
