package town_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// permitted is the contract's drawing of the lifecycle, read by hand: from each state, where each verb leads.
var permitted = map[string]map[string]string{
	"DRAFT":       {"submit": "SUBMITTED", "withdraw": "WITHDRAWN"},
	"SUBMITTED":   {"recommend": "RECOMMENDED", "return": "DRAFT", "reject": "REJECTED", "withdraw": "WITHDRAWN"},
	"RECOMMENDED": {"review": "REVIEWED", "return": "DRAFT", "reject": "REJECTED", "withdraw": "WITHDRAWN"},
	"REVIEWED":    {"announce": "ANNOUNCED", "return": "DRAFT", "reject": "REJECTED", "withdraw": "WITHDRAWN"},
	"ANNOUNCED":   {"designate": "DESIGNATED", "reject": "REJECTED", "withdraw": "WITHDRAWN"},
	"DESIGNATED":  {"warn": "WARNED", "revoke": "REVOKED", "lapse": "LAPSED"},
	"WARNED":      {"restore": "DESIGNATED", "revoke": "REVOKED", "lapse": "LAPSED"},
	"REVOKED":     {}, "LAPSED": {}, "REJECTED": {}, "WITHDRAWN": {},
}

var verbs = []string{"submit", "recommend", "review", "announce", "designate", "warn", "restore", "revoke", "lapse", "return", "reject", "withdraw"}

// wantsReason has the verbs that need one.
var wantsReason = map[string]bool{"warn": true, "revoke": true, "return": true, "reject": true}

// wayTo leads from a draft to each state.
var wayTo = map[string]string{
	"DRAFT": "", "SUBMITTED": "submit", "RECOMMENDED": "submit recommend", "REVIEWED": "submit recommend review",
	"ANNOUNCED":  "submit recommend review announce",
	"DESIGNATED": "submit recommend review announce designate",
	"WARNED":     "submit recommend review announce designate warn",
	"REVOKED":    "submit recommend review announce designate revoke",
	"LAPSED":     "submit recommend review announce designate lapse",
	"REJECTED":   "submit reject",
	"WITHDRAWN":  "withdraw",
}

// take takes one step. A town is designated in the batch of its level.
func (r *registry) take(who, verb, name, reason string) (*townv1.Designation, error) {
	r.t.Helper()
	c, ctx := r.as(who), r.t.Context()
	switch verb {
	case "submit":
		return c.SubmitDesignation(ctx, &townv1.SubmitDesignationRequest{Name: name, Reason: reason})
	case "recommend":
		return c.RecommendDesignation(ctx, &townv1.RecommendDesignationRequest{Name: name, Reason: reason})
	case "review":
		return c.ReviewDesignation(ctx, &townv1.ReviewDesignationRequest{Name: name, Reason: reason})
	case "announce":
		return c.AnnounceDesignation(ctx, &townv1.AnnounceDesignationRequest{Name: name, Reason: reason})
	case "designate":
		return c.DesignateTown(ctx, &townv1.DesignateTownRequest{Name: name, Reason: reason, Batch: batchOf(name)})
	case "warn":
		return c.WarnDesignation(ctx, &townv1.WarnDesignationRequest{Name: name, Reason: reason})
	case "restore":
		return c.RestoreDesignation(ctx, &townv1.RestoreDesignationRequest{Name: name, Reason: reason})
	case "revoke":
		return c.RevokeDesignation(ctx, &townv1.RevokeDesignationRequest{Name: name, Reason: reason})
	case "lapse":
		return c.LapseDesignation(ctx, &townv1.LapseDesignationRequest{Name: name, Reason: reason})
	case "return":
		return c.ReturnDesignation(ctx, &townv1.ReturnDesignationRequest{Name: name, Reason: reason})
	case "reject":
		return c.RejectDesignation(ctx, &townv1.RejectDesignationRequest{Name: name, Reason: reason})
	case "withdraw":
		return c.WithdrawDesignation(ctx, &townv1.WithdrawDesignationRequest{Name: name, Reason: reason})
	}
	panic(verb)
}

// batchOf is the batch in which these tests designate: 2023-municipal, 2023-provincial.
func batchOf(designation string) string {
	return "batches/2023-" + designation[strings.LastIndex(designation, "/")+1:]
}

// enterBatch enters the batch that a designation of a level goes into, if it is not there. Its terms begin on 1 June 2023
// and last three years.
func (r *registry) enterBatch(level string) {
	r.t.Helper()
	_, err := r.as(city).CreateBatch(r.t.Context(), &townv1.CreateBatchRequest{
		BatchId: "2023-" + level,
		Batch: &townv1.Batch{
			Level: townv1.Level(townv1.Level_value["LEVEL_"+strings.ToUpper(level)]), Title: "专业镇名单",
			Document:      &typev1.Document{Title: "关于公布专业镇名单的通知", Number: "晋市政发〔2023〕8号"},
			EffectiveDate: day(2023, 6, 1),
		},
	})
	if !fault.Is(err, typev1.Reason_REASON_RESOURCE_EXISTS) {
		ok(r.t, err)
	}
}

// designationIn opens a designation and brings it to a state, moving the clock on where the way takes time.
func (r *registry) designationIn(state, town, level string) *townv1.Designation {
	r.t.Helper()
	r.enterBatch(level)
	d, err := r.as(city).CreateDesignation(r.t.Context(), &townv1.CreateDesignationRequest{
		Parent: town, DesignationId: level, Designation: &townv1.Designation{},
	})
	ok(r.t, err)
	for _, verb := range strings.Fields(wayTo[state]) {
		r.waitFor(verb, d)
		d, err = r.take(city, verb, d.GetName(), "because")
		ok(r.t, err)
	}
	return d
}

// waitFor moves the clock to the first day on which a step may be taken.
func (r *registry) waitFor(verb string, d *townv1.Designation) {
	last := map[string]*date.Date{"designate": d.GetNoticeEndDate(), "lapse": d.GetTermEndDate()}[verb]
	if last != nil && civil.Compare(civil.DateOf(r.clock.Now()), last) <= 0 {
		r.on(civil.AddDays(last, 1))
	}
}

// loadPlainYears loads calendars without holidays.
func (r *registry) loadPlainYears(from, to int) {
	r.t.Helper()
	for year := from; year <= to; year++ {
		_, err := r.as(city).CreateHolidayCalendar(r.t.Context(), &townv1.CreateHolidayCalendarRequest{
			HolidayCalendarId: fmt.Sprint(year), HolidayCalendar: &townv1.HolidayCalendar{},
		})
		if !fault.Is(err, typev1.Reason_REASON_RESOURCE_EXISTS) {
			ok(r.t, err)
		}
	}
}

func TestTownIsDesignated(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	r.enterBatch("municipal")
	name := casting + "/designations/municipal"
	d, err := r.as(zezhou).CreateDesignation(t.Context(), &townv1.CreateDesignationRequest{
		Parent: casting, DesignationId: "municipal",
		// What callers do not set is passed over.
		Designation: &townv1.Designation{Statement: "we cast", State: townv1.Designation_STATE_DESIGNATED, Batch: "batches/2023-municipal"},
	})
	ok(t, err)
	if d.GetState() != townv1.Designation_STATE_DRAFT || d.GetLevel() != townv1.Level_LEVEL_MUNICIPAL || d.GetBatch() != "" {
		t.Fatalf("begins as %v", d)
	}
	r.on(day(2023, 3, 1))
	minutes := []*typev1.Document{{Title: "会议纪要", Number: "第3号", IssueDate: day(2023, 3, 1)}}
	r.must(r.as(zezhou).SubmitDesignation(t.Context(), &townv1.SubmitDesignationRequest{Name: name, Etag: d.GetEtag(), Documents: minutes}))
	r.must(r.take(zezhou, "recommend", name, "checked on the spot"))
	r.must(r.take(city, "review", name, ""))
	d, err = r.take(city, "announce", name, "")
	ok(t, err)
	if civil.Text(d.GetNoticeStartDate()) != "2023-03-01" || civil.Text(d.GetNoticeEndDate()) != "2023-03-07" {
		t.Errorf("the notice runs from %v to %v", d.GetNoticeStartDate(), d.GetNoticeEndDate())
	}
	r.on(day(2023, 3, 8))
	d, err = r.take(city, "designate", name, "")
	ok(t, err)
	if d.GetState() != townv1.Designation_STATE_DESIGNATED || d.GetBatch() != "batches/2023-municipal" ||
		d.GetDocumentNumber() != "晋市政发〔2023〕8号" ||
		civil.Text(d.GetTermStartDate()) != "2023-06-01" || civil.Text(d.GetTermEndDate()) != "2026-05-31" {
		t.Errorf("designated as %v", d)
	}
	var steps []string
	for _, s := range d.GetDecisions() {
		steps = append(steps, fmt.Sprintf("%s %s %q %d", s.GetVerb(), s.GetPrincipal(), s.GetReason(), len(s.GetDocuments())))
	}
	want := []string{
		`submit county/zezhou "" 1`, `recommend county/zezhou "checked on the spot" 0`,
		`review city/industry "" 0`, `announce city/industry "" 0`, `designate city/industry "" 0`,
	}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

func TestEveryStepFromEveryState(t *testing.T) {
	r := serve(t)
	r.loadPlainYears(2025, 2026)
	towns := 0
	in := func(state string) *townv1.Designation {
		towns++
		name := fmt.Sprintf("towns/140525-t%d", towns)
		r.enter(name)
		return r.designationIn(state, name, "municipal")
	}
	for _, state := range slices.Sorted(maps.Keys(permitted)) {
		d := in(state)
		for _, verb := range verbs {
			to, may := permitted[state][verb]
			if !may {
				_, err := r.take(city, verb, d.GetName(), "because")
				wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "state="+state, "verb="+verb)
				continue
			}
			fresh := in(state)
			r.waitFor(verb, fresh)
			after, err := r.take(city, verb, fresh.GetName(), "because")
			if err != nil || lifecycle.Name(after.GetState()) != to {
				t.Errorf("%s from %s leads to %v (%v), want %s", verb, state, after.GetState(), err, to)
			}
		}
		now, err := r.as(city).GetDesignation(t.Context(), &townv1.GetDesignationRequest{Name: d.GetName()})
		ok(t, err)
		if !proto.Equal(now, d) {
			t.Errorf("refused steps made %v of %v", now, d)
		}
	}
}

func TestRefusedStepSaysWhatIsPermitted(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("SUBMITTED", casting, "municipal")
	_, err := r.take(city, "designate", d.GetName(), "")
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "permitted=recommend,return,reject,withdraw")
}

func TestWhoMayTakeWhichStep(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("SUBMITTED", casting, "municipal")
	for _, c := range []struct {
		shows, who, verb string
		reason           typev1.Reason
	}{
		{"county cannot recommend outside its division", gaoping, "recommend", typev1.Reason_REASON_OUTSIDE_DIVISION},
		{"county cannot return outside its division", gaoping, "return", typev1.Reason_REASON_OUTSIDE_DIVISION},
		{"county cannot review for the city", zezhou, "review", typev1.Reason_REASON_OUTSIDE_DIVISION},
		{"county cannot designate", zezhou, "designate", typev1.Reason_REASON_OUTSIDE_DIVISION},
		{"county cannot turn down", zezhou, "reject", typev1.Reason_REASON_OUTSIDE_DIVISION},
		{"reader cannot recommend", reader, "recommend", typev1.Reason_REASON_PERMISSION_MISSING},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := r.take(c.who, c.verb, d.GetName(), "because")
			wantRefusal(t, err, codes.PermissionDenied, c.reason)
		})
	}
	r.must(r.take(zezhou, "recommend", d.GetName(), ""))
}

func TestStepsAgainstATownNeedAReason(t *testing.T) {
	r := serve(t)
	r.enter(casting, honey)
	early := r.designationIn("SUBMITTED", casting, "municipal")
	late := r.designationIn("DESIGNATED", honey, "municipal")
	for verb, d := range map[string]*townv1.Designation{"return": early, "reject": early, "warn": late, "revoke": late} {
		for _, reason := range []string{"", " \n"} {
			_, err := r.take(city, verb, d.GetName(), reason)
			wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason")
		}
	}
}

func TestStepWithADateThatIsNone(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("DRAFT", casting, "municipal")
	_, err := r.as(city).SubmitDesignation(t.Context(), &townv1.SubmitDesignationRequest{Name: d.GetName(), Documents: []*typev1.Document{
		{Title: "well dated", IssueDate: day(2023, 2, 28)}, {Title: "badly", IssueDate: &date.Date{Year: 2023, Month: 2, Day: 30}},
	}})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=documents[1].issue_date")
}

func TestNoticeRunsWorkingDays(t *testing.T) {
	for _, c := range []struct {
		shows string
		start *date.Date
		days  int32
		end   string
	}{
		{"a plain week, five days if none are asked", day(2023, 3, 6), 0, "2023-03-10"},
		{"over a week-end", day(2023, 3, 9), 5, "2023-03-15"},
		{"begun on a Saturday", day(2023, 3, 11), 5, "2023-03-17"},
		{"a made-up Sunday counts", day(2023, 4, 21), 5, "2023-04-26"},
		{"Spring Festival, to the made-up week-end", day(2023, 1, 18), 5, "2023-01-29"},
		{"National Day, the fifth on a made-up Saturday", day(2023, 9, 25), 5, "2023-10-07"},
		{"National Day, the sixth on a made-up Sunday", day(2023, 9, 25), 6, "2023-10-08"},
		{"begun within a holiday", day(2023, 9, 30), 5, "2023-10-11"},
		{"into the next year", day(2023, 12, 28), 5, "2024-01-04"},
		{"sixty days", day(2023, 3, 1), 60, "2023-05-25"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			r := serve(t)
			r.enter(casting)
			d := r.designationIn("REVIEWED", casting, "municipal")
			r.on(c.start)
			d, err := r.as(city).AnnounceDesignation(t.Context(), &townv1.AnnounceDesignationRequest{Name: d.GetName(), NoticeWorkingDays: c.days})
			ok(t, err)
			if got := civil.Text(d.GetNoticeEndDate()); got != c.end || civil.Compare(d.GetNoticeStartDate(), c.start) != 0 {
				t.Errorf("from %v to %s, want to %s", d.GetNoticeStartDate(), got, c.end)
			}
			r.on(d.GetNoticeEndDate())
			_, err = r.take(city, "designate", d.GetName(), "")
			wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOTICE_RUNNING, "notice_end_date="+c.end)
			r.clock.Set(civil.Start(civil.AddDays(d.GetNoticeEndDate(), 1)))
			r.must(r.take(city, "designate", d.GetName(), ""))
		})
	}
}

func TestNoticeThatCannotBe(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("REVIEWED", casting, "municipal")
	announce := func(days int32) error {
		_, err := r.as(city).AnnounceDesignation(t.Context(), &townv1.AnnounceDesignationRequest{Name: d.GetName(), NoticeWorkingDays: days})
		return err
	}
	wantRefusal(t, announce(4), codes.InvalidArgument, typev1.Reason_REASON_NOTICE_TOO_SHORT, "field=notice_working_days")
	wantRefusal(t, announce(61), codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=notice_working_days")
	r.on(day(2024, 12, 30))
	wantRefusal(t, announce(5), codes.FailedPrecondition, typev1.Reason_REASON_CALENDAR_NOT_LOADED, "year=2025")
	r.on(day(2026, 3, 2))
	wantRefusal(t, announce(5), codes.FailedPrecondition, typev1.Reason_REASON_CALENDAR_NOT_LOADED, "year=2026")
	r.loadPlainYears(2026, 2026)
	ok(t, announce(5))
}

func TestNoticeKeepsItsEndWhenTheCalendarIsCorrected(t *testing.T) {
	r := serve(t)
	r.on(day(2023, 3, 1))
	r.enter(casting)
	d := r.designationIn("ANNOUNCED", casting, "municipal")
	c, err := r.as(city).GetHolidayCalendar(t.Context(), &townv1.GetHolidayCalendarRequest{Name: "holidayCalendars/2023"})
	ok(t, err)
	c.Holidays = append(c.Holidays, day(2023, 3, 2))
	r.must(r.as(city).UpdateHolidayCalendar(t.Context(), &townv1.UpdateHolidayCalendarRequest{HolidayCalendar: c}))
	now, err := r.as(city).GetDesignation(t.Context(), &townv1.GetDesignationRequest{Name: d.GetName()})
	ok(t, err)
	if !proto.Equal(now, d) {
		t.Errorf("the correction made %v of %v", now, d)
	}
}

func TestBatchMustBeThereAndOfTheLevel(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	r.enterBatch("provincial")
	d := r.designationIn("ANNOUNCED", casting, "municipal")
	r.waitFor("designate", d)
	into := func(batch string) error {
		_, err := r.as(city).DesignateTown(t.Context(), &townv1.DesignateTownRequest{Name: d.GetName(), Batch: batch})
		return err
	}
	wantRefusal(t, into("batches/2023-none"), codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "field=batch")
	wantRefusal(t, into("batches/2023-provincial"), codes.FailedPrecondition, townv1.Reason_REASON_BATCH_LEVEL_MISMATCH, "field=batch")
	wantRefusal(t, into(""), codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=batch")
	ok(t, into("batches/2023-municipal"))
}

func TestDesignationLapsesAfterItsTerm(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("DESIGNATED", casting, "municipal")
	r.on(day(2026, 5, 31))
	_, err := r.take(city, "lapse", d.GetName(), "")
	wantRefusal(t, err, codes.FailedPrecondition, townv1.Reason_REASON_TERM_RUNNING, "term_end_date=2026-05-31")
	r.on(day(2026, 6, 1))
	d, err = r.take(city, "lapse", d.GetName(), "")
	ok(t, err)
	if d.GetState() != townv1.Designation_STATE_LAPSED {
		t.Errorf("is %v", d.GetState())
	}
}

func TestProvincialLevelBeginsFromTheMunicipal(t *testing.T) {
	for state := range permitted {
		t.Run(state, func(t *testing.T) {
			r := serve(t)
			r.enter(casting)
			r.designationIn(state, casting, "municipal")
			_, err := r.as(zezhou).CreateDesignation(t.Context(), &townv1.CreateDesignationRequest{
				Parent: casting, DesignationId: "provincial", Designation: &townv1.Designation{},
			})
			if state == "DESIGNATED" || state == "WARNED" {
				ok(t, err)
				return
			}
			wantRefusal(t, err, codes.FailedPrecondition, townv1.Reason_REASON_MUNICIPAL_LEVEL_REQUIRED)
		})
	}
}

func TestOnlyADraftIsEdited(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("SUBMITTED", casting, "municipal")
	edit := func() error {
		_, err := r.as(zezhou).UpdateDesignation(t.Context(), &townv1.UpdateDesignationRequest{
			Designation: &townv1.Designation{Name: d.GetName(), Statement: "better put"},
			UpdateMask:  &fieldmaskpb.FieldMask{Paths: []string{"statement"}},
		})
		return err
	}
	wantRefusal(t, edit(), codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=SUBMITTED")
	r.must(r.take(zezhou, "return", d.GetName(), "say more"))
	ok(t, edit())
}

func TestStepIsTakenOnceAndOnWhatWasSeen(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	d := r.designationIn("DRAFT", casting, "municipal")
	submit := func(etag, reason string) (*townv1.Designation, error) {
		return r.as(zezhou).SubmitDesignation(t.Context(), &townv1.SubmitDesignationRequest{
			Name: d.GetName(), Etag: etag, RequestId: "letter-7", Reason: reason,
		})
	}
	_, err := submit("0000000000000000", "")
	wantRefusal(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "current_etag="+d.GetEtag())
	first, err := submit(d.GetEtag(), "")
	ok(t, err)
	again, err := submit(d.GetEtag(), "")
	ok(t, err)
	if !proto.Equal(first, again) {
		t.Errorf("answered %v, then %v", first, again)
	}
	_, err = submit(d.GetEtag(), "another")
	wantRefusal(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED)
	// Another caller may use the same id.
	r.must(r.as(city).RecommendDesignation(t.Context(), &townv1.RecommendDesignationRequest{Name: d.GetName(), RequestId: "letter-7"}))
}

// life is the reference that random lives of a designation are held against.
type life struct {
	state              string
	history            []string
	noticeEnd, termEnd *date.Date
}

// take says why a step is refused on a day, empty if it is not, and takes it then.
func (l *life) take(verb, reason string, today *date.Date) string {
	to, may := permitted[l.state][verb]
	switch {
	case wantsReason[verb] && reason == "":
		return "INVALID_FIELD"
	case !may:
		return "TRANSITION_NOT_PERMITTED"
	case verb == "designate" && civil.Compare(today, l.noticeEnd) <= 0:
		return "NOTICE_RUNNING"
	case verb == "lapse" && civil.Compare(today, l.termEnd) <= 0:
		return "TERM_RUNNING"
	}
	if verb == "announce" {
		l.noticeEnd = today
		for worked := 0; ; l.noticeEnd = civil.AddDays(l.noticeEnd, 1) {
			if wd := civil.Start(l.noticeEnd).Weekday(); wd >= 1 && wd <= 5 {
				worked++
			}
			if worked == 5 {
				break
			}
		}
	}
	l.state = to
	l.history = append(l.history, verb)
	return ""
}

func TestRandomLivesOfADesignation(t *testing.T) {
	r := serve(t)
	r.on(day(2025, 1, 1)) // from here on, years without holidays
	towns := 0
	rapid.Check(t, func(rt *rapid.T) {
		towns++
		town := fmt.Sprintf("towns/140525-t%d", towns)
		name := town + "/designations/municipal"
		today := civil.DateOf(r.clock.Now())
		r.enter(town)
		r.must(r.as(city).CreateDesignation(t.Context(), &townv1.CreateDesignationRequest{
			Parent: town, DesignationId: "municipal", Designation: &townv1.Designation{},
		}))
		batch := fmt.Sprintf("%d-%d", today.GetYear(), towns)
		r.must(r.as(city).CreateBatch(t.Context(), &townv1.CreateBatchRequest{BatchId: batch, Batch: &townv1.Batch{
			Level: townv1.Level_LEVEL_MUNICIPAL, Title: "t", Document: &typev1.Document{Title: "d"}, EffectiveDate: today, TermYears: 1,
		}}))
		model := &life{state: "DRAFT", termEnd: civil.AddDays(civil.AddYears(today, 1), -1)}
		for range rapid.IntRange(1, 16).Draw(rt, "steps") {
			r.clock.Set(r.clock.Now().AddDate(0, 0, rapid.SampledFrom([]int{0, 0, 1, 6, 8, 200}).Draw(rt, "days")))
			today = civil.DateOf(r.clock.Now())
			r.loadPlainYears(int(today.GetYear()), int(today.GetYear())+1)
			choice := verbs
			if ways := slices.Sorted(maps.Keys(permitted[model.state])); len(ways) > 0 && rapid.IntRange(0, 9).Draw(rt, "sensible") > 0 {
				choice = ways
			}
			verb := rapid.SampledFrom(choice).Draw(rt, "verb")
			reason := rapid.SampledFrom([]string{"because", "because", "because", ""}).Draw(rt, "reason")
			before := model.state
			want := model.take(verb, reason, today)
			var d *townv1.Designation
			var err error
			if verb == "designate" {
				d, err = r.as(city).DesignateTown(t.Context(), &townv1.DesignateTownRequest{Name: name, Reason: reason, Batch: "batches/" + batch})
			} else {
				d, err = r.take(city, verb, name, reason)
			}
			if got := fault.ReasonOf(err); got != want {
				rt.Fatalf("%s from %s on %s: %q, want %q", verb, before, civil.Text(today), got, want)
			}
			if err == nil && lifecycle.Name(d.GetState()) != model.state {
				rt.Fatalf("%s leads to %v, want %s", verb, d.GetState(), model.state)
			}
		}
		d, err := r.as(city).GetDesignation(t.Context(), &townv1.GetDesignationRequest{Name: name})
		ok(t, err)
		var history []string
		for _, step := range d.GetDecisions() {
			history = append(history, step.GetVerb())
		}
		if lifecycle.Name(d.GetState()) != model.state || !slices.Equal(history, model.history) {
			rt.Fatalf("is %v after %v, want %s after %v", d.GetState(), history, model.state, model.history)
		}
	})
}
