package town_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town"
)

// Who calls in these tests: the city's bureau, two counties, and one who may only read.
const (
	city    = "city/industry"
	zezhou  = "county/zezhou"
	gaoping = "county/gaoping"
	reader  = "city/reader"
)

// The towns of these tests: two of Zezhou county, one of Gaoping.
const (
	casting = "towns/140525-casting"
	honey   = "towns/140525-honey"
	silk    = "towns/140581-silk"
)

// registry is a town registry that is being served, with a clock that the test moves.
type registry struct {
	t     *testing.T
	clock *clock.Manual
	db    *journal.DB
	srv   *rpctest.Server
}

// serve starts a registry on 3 January 2023 that has divisions and holiday calendars, and nothing else.
func serve(t *testing.T) *registry {
	t.Helper()
	c := clock.NewManual(time.Date(2023, 1, 3, 10, 0, 0, 0, civil.Zone))
	db := rpctest.OpenDB(t, "town", c)
	s := town.New(db)
	rpctest.Replays(t, db, s.Schema())
	r := &registry{t: t, clock: c, db: db, srv: rpctest.Serve(t, db, s.Register,
		authn.Principal{Name: city, Division: "140500", Permissions: []string{"*"}},
		authn.Principal{Name: zezhou, Division: "140525", Permissions: []string{"town.*"}},
		authn.Principal{Name: gaoping, Division: "140581", Permissions: []string{"town.*"}},
		authn.Principal{Name: reader, Division: "140500", Permissions: []string{"town.*.get", "town.*.list"}},
	)}
	for code, title := range map[string][2]string{
		"140500": {"晋城市", "Jincheng"}, "140525": {"泽州县", "Zezhou"}, "140581": {"高平市", "Gaoping"},
	} {
		r.must(r.as(city).CreateDivision(t.Context(), &townv1.CreateDivisionRequest{
			DivisionId: code, Division: &townv1.Division{TitleZh: title[0], TitleEn: title[1]},
		}))
	}
	for _, c := range []*townv1.HolidayCalendar{holidays2023(), holidays2024()} {
		r.must(r.as(city).CreateHolidayCalendar(t.Context(), &townv1.CreateHolidayCalendarRequest{
			HolidayCalendarId: c.GetName(), HolidayCalendar: c,
		}))
	}
	return r
}

func (r *registry) as(name string) townv1.TownRegistryClient {
	r.t.Helper()
	return townv1.NewTownRegistryClient(r.srv.As(name))
}

// must takes the two results of a call that has to succeed, and throws the answer away.
func (r *registry) must(_ any, err error) {
	r.t.Helper()
	ok(r.t, err)
}

// on moves the clock to ten in the morning of a day, in the city.
func (r *registry) on(d *date.Date) { r.clock.Set(civil.Start(d).Add(10 * time.Hour)) }

// enter enters towns.
func (r *registry) enter(towns ...string) {
	r.t.Helper()
	for _, name := range towns {
		id := strings.TrimPrefix(name, "towns/")
		r.must(r.as(city).CreateTown(r.t.Context(), &townv1.CreateTownRequest{TownId: id, Town: aTown(id[:6])}))
	}
}

// designate brings towns to a municipal designation, with a batch for each. The clock moves on by the notices.
func (r *registry) designate(towns ...string) {
	r.t.Helper()
	for _, name := range towns {
		d := r.designationIn("DESIGNATED", name, "municipal")
		if d.GetState() != townv1.Designation_STATE_DESIGNATED {
			r.t.Fatalf("%s is %v", d.GetName(), d.GetState())
		}
	}
}

func aTown(division string) *townv1.Town {
	return &townv1.Town{
		Division: division, IndustryCodes: []string{"3391"}, Field: townv1.Field_FIELD_MANUFACTURING,
		TitleZh: "泽州精密铸造", TitleEn: "Zezhou precision casting", Aliases: []string{"泽州铸造"},
	}
}

func day(year, month, day int) *date.Date { return civil.New(year, month, day) }

// days lists the days of a month from first to last.
func days(year, month, first, last int) (out []*date.Date) {
	for d := first; d <= last; d++ {
		out = append(out, day(year, month, d))
	}
	return out
}

func join(lists ...[]*date.Date) (out []*date.Date) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// The holidays of 2023 and 2024 by the notices of the General Office of the State Council.
func holidays2023() *townv1.HolidayCalendar {
	return &townv1.HolidayCalendar{
		Name: "2023",
		Holidays: join(days(2023, 1, 1, 2), days(2023, 1, 21, 27), days(2023, 4, 5, 5), days(2023, 4, 29, 30), days(2023, 5, 1, 3),
			days(2023, 6, 22, 24), days(2023, 9, 29, 30), days(2023, 10, 1, 6)),
		MakeUpWorkdays: join(days(2023, 1, 28, 29), days(2023, 4, 23, 23), days(2023, 5, 6, 6), days(2023, 6, 25, 25),
			days(2023, 10, 7, 8)),
	}
}

func holidays2024() *townv1.HolidayCalendar {
	return &townv1.HolidayCalendar{
		Name: "2024",
		Holidays: join(days(2024, 1, 1, 1), days(2024, 2, 10, 17), days(2024, 4, 4, 6), days(2024, 5, 1, 5), days(2024, 6, 10, 10),
			days(2024, 9, 15, 17), days(2024, 10, 1, 7)),
		MakeUpWorkdays: join(days(2024, 2, 4, 4), days(2024, 2, 18, 18), days(2024, 4, 7, 7), days(2024, 4, 28, 28),
			days(2024, 5, 11, 11), days(2024, 9, 14, 14), days(2024, 9, 29, 29), days(2024, 10, 12, 12)),
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused: %v\n%v", err, status.Convert(err).Details())
	}
}

// wantRefusal fails the test unless a call was refused for that reason. Of the facts, `field` has to be among the fields
// named, and the others stand in the metadata.
func wantRefusal(t testing.TB, err error, code codes.Code, reason protoreflect.Enum, facts ...string) {
	t.Helper()
	if status.Code(err) != code || !fault.Is(err, reason) {
		t.Fatalf("got %v (%s), want %v (%v)", err, fault.ReasonOf(err), code, reason)
	}
	said := map[string]string{}
	languages := 0
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			for k, v := range d.GetMetadata() {
				said[k+"="+v] = ""
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				said["field="+v.GetField()] = ""
			}
		case *errdetails.LocalizedMessage:
			languages++
		}
	}
	if languages != 2 {
		t.Errorf("the refusal is said in %d languages: %v", languages, err)
	}
	for _, f := range facts {
		if _, has := said[f]; !has {
			t.Errorf("the refusal does not say %q: it says %v", f, said)
		}
	}
}
