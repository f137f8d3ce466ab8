package notice_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/notice"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestDays(t *testing.T) {
	for asked, want := range map[int32]int{0: 5, 5: 5, 6: 6, 60: 60} {
		if days, err := notice.Days(asked); days != want || err != nil {
			t.Errorf("%d asked: %d, %v", asked, days, err)
		}
	}
	for _, asked := range []int32{1, 4} {
		if _, err := notice.Days(asked); !fault.Is(err, typev1.Reason_REASON_NOTICE_TOO_SHORT) {
			t.Errorf("%d asked: %v", asked, err)
		}
	}
}

// town is a town registry's journal that knows some calendars and counts how often it is asked.
type town struct {
	journalv1.JournalClient
	calendars []*townv1.HolidayCalendar
	down      bool
	asked     []string
}

func (t *town) GetLatestChange(_ context.Context, req *journalv1.GetLatestChangeRequest, _ ...grpc.CallOption) (*journalv1.Change, error) {
	t.asked = append(t.asked, req.GetResource())
	if t.down {
		return nil, status.Error(codes.Unavailable, "nobody listens")
	}
	for i, c := range t.calendars {
		if c.GetName() == req.GetResource() {
			after, err := anypb.New(c)
			return &journalv1.Change{Service: "town", Resource: c.GetName(), Revision: int64(i + 7), Hash: []byte{byte(i)}, After: after}, err
		}
	}
	return nil, fault.NotFound(req.GetResource())
}

func TestCount(t *testing.T) {
	registry := &town{calendars: []*townv1.HolidayCalendar{
		{Name: "holidayCalendars/2023", Holidays: []*date.Date{civil.New(2023, 3, 6)}, MakeUpWorkdays: []*date.Date{civil.New(2023, 3, 11)}},
		{Name: "holidayCalendars/2024", Holidays: []*date.Date{civil.New(2024, 1, 1)}},
	}}
	of2023 := &typev1.Evidence{Service: "town", Resource: "holidayCalendars/2023", Revision: 7, Hash: []byte{0}}
	of2024 := &typev1.Evidence{Service: "town", Resource: "holidayCalendars/2024", Revision: 8, Hash: []byte{1}}
	for _, c := range []struct {
		shows       string
		first, last *date.Date
		days        int
		by          []*typev1.Evidence
	}{
		{"a holiday is passed over", civil.New(2023, 3, 1), civil.New(2023, 3, 8), 5, []*typev1.Evidence{of2023}},
		{"a Saturday that is worked counts", civil.New(2023, 3, 7), civil.New(2023, 3, 11), 5, []*typev1.Evidence{of2023}},
		{"the last working day of a year needs no next one", civil.New(2023, 12, 25), civil.New(2023, 12, 29), 5, []*typev1.Evidence{of2023}},
		{"a notice over the turn of the year", civil.New(2023, 12, 28), civil.New(2024, 1, 4), 5, []*typev1.Evidence{of2023, of2024}},
	} {
		registry.asked = nil
		p, err := notice.Count(t.Context(), registry, c.first, c.days)
		if err != nil || civil.Compare(p.First, c.first) != 0 || civil.Compare(p.Last, c.last) != 0 ||
			!slices.EqualFunc(p.Calendars, c.by, func(a, b *typev1.Evidence) bool { return proto.Equal(a, b) }) || len(registry.asked) != len(c.by) {
			t.Errorf("%s: %v, %v; asked for %v", c.shows, p, err, registry.asked)
		}
	}
	if _, err := notice.Count(t.Context(), registry, civil.New(2024, 12, 30), 5); !fault.Is(err, typev1.Reason_REASON_CALENDAR_NOT_LOADED) {
		t.Errorf("into a year that is not loaded: %v", err)
	}
	registry.down = true
	if _, err := notice.Count(t.Context(), registry, civil.New(2023, 3, 1), 5); !fault.Is(err, typev1.Reason_REASON_PEER_UNAVAILABLE) {
		t.Errorf("without the registry: %v", err)
	}
}

func TestCheckOver(t *testing.T) {
	last := civil.New(2023, 3, 8)
	for day, over := range map[int]bool{7: false, 8: false, 9: true} {
		today := civil.New(2023, 3, day)
		err := notice.CheckOver("campaigns/2022", "conclude", last, today)
		if notice.Over(last, today) != over || (err == nil) != over || !over && !fault.Is(err, typev1.Reason_REASON_NOTICE_RUNNING) {
			t.Errorf("on the %dth: %v", day, err)
		}
	}
}
