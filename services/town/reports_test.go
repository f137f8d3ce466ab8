package town_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/fault"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// verified opens the report of a period and brings it to the city's desk.
func (r *registry) verified(town, period string, figures *townv1.Figures) string {
	r.t.Helper()
	c, ctx := r.as(city), r.t.Context()
	report, err := c.CreateReport(ctx, &townv1.CreateReportRequest{
		Parent: town, ReportId: period, Report: &townv1.Report{Figures: figures},
	})
	ok(r.t, err)
	r.must(c.SubmitReport(ctx, &townv1.SubmitReportRequest{Name: report.GetName()}))
	r.must(c.VerifyReport(ctx, &townv1.VerifyReportRequest{Name: report.GetName()}))
	return report.GetName()
}

func (r *registry) publish(name string) error {
	_, err := r.as(city).PublishReport(r.t.Context(), &townv1.PublishReportRequest{Name: name})
	return err
}

func (r *registry) revise(name string, figures *townv1.Figures) error {
	_, err := r.as(city).ReviseReport(r.t.Context(), &townv1.ReviseReportRequest{Name: name, Figures: figures, Reason: "a return came late"})
	return err
}

func (r *registry) summary(who, period, division string) *townv1.SummarizeReportsResponse {
	r.t.Helper()
	res, err := r.as(who).SummarizeReports(r.t.Context(), &townv1.SummarizeReportsRequest{Period: period, Division: division})
	ok(r.t, err)
	return res
}

func TestReportClimbsAndIsRevised(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	r.designate(casting)
	ctx := t.Context()
	drafted := &townv1.Figures{OutputValueFen: 500, RevenueFen: 400, EmployeesPersons: 3}
	report, err := r.as(zezhou).CreateReport(ctx, &townv1.CreateReportRequest{
		Parent: casting, ReportId: "2022Q3", Report: &townv1.Report{Figures: drafted, Note: "made up"},
	})
	ok(t, err)
	if report.GetPeriod() != "2022Q3" || report.GetState() != townv1.Report_STATE_DRAFT {
		t.Fatalf("begins as %v", report)
	}
	name := report.GetName()
	r.must(r.as(zezhou).SubmitReport(ctx, &townv1.SubmitReportRequest{Name: name}))
	_, err = r.as(zezhou).ReturnReport(ctx, &townv1.ReturnReportRequest{Name: name})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason")
	r.must(r.as(zezhou).ReturnReport(ctx, &townv1.ReturnReportRequest{Name: name, Reason: "the unit is wrong"}))
	r.must(r.as(zezhou).SubmitReport(ctx, &townv1.SubmitReportRequest{Name: name}))
	r.must(r.as(zezhou).VerifyReport(ctx, &townv1.VerifyReportRequest{Name: name}))
	_, err = r.as(zezhou).PublishReport(ctx, &townv1.PublishReportRequest{Name: name})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	r.must(r.as(city).PublishReport(ctx, &townv1.PublishReportRequest{Name: name, Status: townv1.Publication_STATUS_PROVISIONAL}))

	revised := &townv1.Figures{OutputValueFen: 510, RevenueFen: 400, EmployeesPersons: 3, TaxFen: 7}
	_, err = r.as(city).ReviseReport(ctx, &townv1.ReviseReportRequest{Name: name, Figures: revised})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=reason")
	report, err = r.as(city).ReviseReport(ctx, &townv1.ReviseReportRequest{Name: name, Figures: revised, Reason: "audited"})
	ok(t, err)
	p := report.GetPublications()
	if len(p) != 2 || !proto.Equal(p[0].GetFigures(), drafted) || !proto.Equal(p[1].GetFigures(), revised) {
		t.Fatalf("published: %v", p)
	}
	if p[0].GetStatus() != townv1.Publication_STATUS_PROVISIONAL || p[0].GetReason() != "" ||
		p[1].GetStatus() != townv1.Publication_STATUS_NORMAL || p[1].GetReason() != "audited" {
		t.Errorf("published: %v", p)
	}
	if !proto.Equal(report.GetFigures(), drafted) {
		t.Errorf("the draft became %v", report.GetFigures())
	}
	var steps []string
	for _, d := range report.GetDecisions() {
		steps = append(steps, d.GetVerb())
	}
	if want := []string{"submit", "return", "submit", "verify", "publish", "revise"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

func TestStepsThatAReportDoesNotTake(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	r.designate(casting)
	name := r.verified(casting, "2022", &townv1.Figures{RevenueFen: 1})
	_, err := r.as(city).SubmitReport(t.Context(), &townv1.SubmitReportRequest{Name: name})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "state=VERIFIED", "permitted=publish,return")
	err = r.revise(name, &townv1.Figures{})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "verb=revise")
	ok(t, r.publish(name))
	wantRefusal(t, r.publish(name), codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "permitted=revise")
	_, err = r.as(city).ReturnReport(t.Context(), &townv1.ReturnReportRequest{Name: name, Reason: "because"})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "state=PUBLISHED")
	_, err = r.as(city).UpdateReport(t.Context(), &townv1.UpdateReportRequest{
		Report:     &townv1.Report{Name: name, Figures: &townv1.Figures{RevenueFen: 2}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"figures.revenue_fen"}},
	})
	wantRefusal(t, err, codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE, "state=PUBLISHED")
}

func TestDraftedFiguresAreChangedOneByOne(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	r.designate(casting)
	r.must(r.as(zezhou).CreateReport(t.Context(), &townv1.CreateReportRequest{
		Parent: casting, ReportId: "2022", Report: &townv1.Report{Figures: &townv1.Figures{RevenueFen: 1, TaxFen: 2}},
	}))
	change := func(revenue int64) (*townv1.Report, error) {
		return r.as(zezhou).UpdateReport(t.Context(), &townv1.UpdateReportRequest{
			Report:     &townv1.Report{Name: casting + "/reports/2022", Figures: &townv1.Figures{RevenueFen: revenue}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"figures.revenue_fen"}},
		})
	}
	report, err := change(5)
	ok(t, err)
	if want := (&townv1.Figures{RevenueFen: 5, TaxFen: 2}); !proto.Equal(report.GetFigures(), want) {
		t.Errorf("figures are %v, want %v", report.GetFigures(), want)
	}
	_, err = change(-1)
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=figures.revenue_fen")
}

func TestOnlyDesignatedTownsReport(t *testing.T) {
	for state := range permitted {
		t.Run(state, func(t *testing.T) {
			r := serve(t)
			r.enter(casting)
			r.designationIn(state, casting, "municipal")
			_, err := r.as(zezhou).CreateReport(t.Context(), &townv1.CreateReportRequest{
				Parent: casting, ReportId: "2022", Report: &townv1.Report{Figures: &townv1.Figures{}},
			})
			if state == "DESIGNATED" || state == "WARNED" {
				ok(t, err)
				return
			}
			wantRefusal(t, err, codes.FailedPrecondition, townv1.Reason_REASON_TOWN_NOT_DESIGNATED, "resource="+casting)
		})
	}
	t.Run("the provincial level is enough", func(t *testing.T) {
		r := serve(t)
		r.enter(casting)
		r.designate(casting)
		r.designationIn("DESIGNATED", casting, "provincial")
		r.must(r.take(city, "revoke", casting+"/designations/municipal", "because"))
		r.must(r.as(zezhou).CreateReport(t.Context(), &townv1.CreateReportRequest{
			Parent: casting, ReportId: "2022", Report: &townv1.Report{Figures: &townv1.Figures{}},
		}))
	})
}

func TestReportsOfAPeriod(t *testing.T) {
	r := serve(t)
	r.enter(casting, silk)
	r.designate(casting, silk)
	for _, town := range []string{casting, silk} {
		for _, period := range []string{"2022", "2022Q3", "2022-09"} {
			r.verified(town, period, &townv1.Figures{})
		}
	}
	var got []string
	req := &townv1.ListReportsRequest{Parent: "towns/-", Period: "2022Q3", PageSize: 1}
	for {
		res, err := r.as(city).ListReports(t.Context(), req)
		ok(t, err)
		for _, report := range res.GetReports() {
			got = append(got, report.GetName())
		}
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if want := []string{casting + "/reports/2022Q3", silk + "/reports/2022Q3"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

func TestSummaryByDivisionAndField(t *testing.T) {
	r := serve(t)
	r.enter(casting, honey, silk)
	r.designate(casting, honey, silk)
	r.must(r.as(city).UpdateTown(t.Context(), &townv1.UpdateTownRequest{
		Town: &townv1.Town{Name: honey, Field: townv1.Field_FIELD_SPECIALTY_AGRICULTURE},
	}))
	for i, town := range []string{casting, honey, silk} {
		ok(t, r.publish(r.verified(town, "2022", &townv1.Figures{RevenueFen: int64(1 + 10*i)})))
		ok(t, r.publish(r.verified(town, "2022Q1", &townv1.Figures{RevenueFen: 1000})))
	}
	r.verified(casting, "2021", &townv1.Figures{RevenueFen: 5}) // not published
	for _, c := range []struct {
		shows, who, period, division string
		want                         []string
		towns                        int32
		revenue                      int64
	}{
		{"the city", city, "2022", "", []string{"140525-1", "140525-2", "140581-1"}, 3, 33},
		{"a quarter is not its year", city, "2022Q1", "", []string{"140525-1", "140525-2", "140581-1"}, 3, 3000},
		{"a county asked for", city, "2022", "140581", []string{"140581-1"}, 1, 21},
		{"a county sees its own", zezhou, "2022", "", []string{"140525-1", "140525-2"}, 2, 12},
		{"nothing published", city, "2021", "", nil, 0, 0},
	} {
		t.Run(c.shows, func(t *testing.T) {
			res := r.summary(c.who, c.period, c.division)
			var got []string
			for _, total := range res.GetTotals() {
				got = append(got, fmt.Sprintf("%s-%d", total.GetDivision(), total.GetField()))
				if want := "periods/" + c.period + "/totals/" + got[len(got)-1]; total.GetName() != want || total.GetPeriod() != c.period {
					t.Errorf("a total is called %s, want %s", total.GetName(), want)
				}
			}
			if !slices.Equal(got, c.want) || res.GetTownCount() != c.towns || res.GetSum().GetRevenueFen() != c.revenue {
				t.Errorf("totals %v, %d towns, revenue %d; want %v, %d, %d",
					got, res.GetTownCount(), res.GetSum().GetRevenueFen(), c.want, c.towns, c.revenue)
			}
		})
	}
	_, err := r.as(zezhou).SummarizeReports(t.Context(), &townv1.SummarizeReportsRequest{Period: "2022", Division: "140581"})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
}

func TestFiguresThatDoNotFitAreNotPublished(t *testing.T) {
	r := serve(t)
	r.enter(casting, silk)
	r.designate(casting, silk)
	ok(t, r.publish(r.verified(casting, "2022", &townv1.Figures{TaxFen: math.MaxInt64})))
	name := r.verified(silk, "2022", &townv1.Figures{TaxFen: 1}) // of another county: only the sum of both is too large
	wantRefusal(t, r.publish(name), codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW, "figure=tax_fen")
	report, err := r.as(city).GetReport(t.Context(), &townv1.GetReportRequest{Name: name})
	ok(t, err)
	if report.GetState() != townv1.Report_STATE_VERIFIED || r.summary(city, "2022", "").GetTownCount() != 1 {
		t.Errorf("was refused and is %v", report)
	}
	ok(t, r.revise(casting+"/reports/2022", &townv1.Figures{TaxFen: math.MaxInt64 - 1}))
	ok(t, r.publish(name))
}

// published is the model of the totals: the figures in force by town, and the towns' fields.
type published struct {
	figures map[string]*townv1.Figures
	fields  map[string]townv1.Field
}

// totals adds the model up by division and field.
func (p *published) totals() map[string]*townv1.Figures {
	out := map[string]*townv1.Figures{}
	for town, f := range p.figures {
		key := fmt.Sprintf("%.6s-%d", town[len("towns/"):], p.fields[town])
		if out[key] == nil {
			out[key] = &townv1.Figures{}
		}
		out[key].RevenueFen += f.GetRevenueFen()
		out[key].EmployeesPersons += f.GetEmployeesPersons()
	}
	return out
}

func (p *published) fits() bool {
	sum := new(big.Int)
	for _, f := range p.figures {
		sum.Add(sum, big.NewInt(f.GetRevenueFen()))
	}
	return sum.IsInt64()
}

func TestTotalsFootAfterAnySequence(t *testing.T) {
	r := serve(t)
	towns := []string{casting, honey, "towns/140525-tea", silk}
	r.enter(towns...)
	r.designate(towns...)
	fields := map[string]townv1.Field{} // towns keep their fields from one sequence to the next
	for _, town := range towns {
		fields[town] = townv1.Field_FIELD_MANUFACTURING
	}
	year := 1000
	rapid.Check(t, func(rt *rapid.T) {
		year++ // every sequence has a period of its own
		period := fmt.Sprint(year)
		model := &published{figures: map[string]*townv1.Figures{}, fields: fields}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			town := rapid.SampledFrom(towns).Draw(rt, "town")
			name := town + "/reports/" + period
			if rapid.IntRange(0, 3).Draw(rt, "move") == 0 {
				to := rapid.SampledFrom([]townv1.Field{1, 2, 3}).Draw(rt, "field")
				r.must(r.as(city).UpdateTown(t.Context(), &townv1.UpdateTownRequest{Town: &townv1.Town{Name: town, Field: to}}))
				fields[town] = to
			} else {
				figures := &townv1.Figures{
					RevenueFen:       rapid.OneOf(rapid.Int64Range(0, 1e12), rapid.Int64Range(1<<61, math.MaxInt64)).Draw(rt, "revenue"),
					EmployeesPersons: rapid.Int64Range(0, 1e6).Draw(rt, "employees"),
				}
				before := model.figures[town]
				model.figures[town] = figures
				var err error
				if before != nil {
					err = r.revise(name, figures)
				} else {
					err = r.publishAnew(name, town, period, figures)
				}
				if !model.fits() {
					if !fault.Is(err, typev1.Reason_REASON_AMOUNT_OVERFLOW) {
						rt.Fatalf("does not fit, but: %v", err)
					}
					if model.figures[town] = before; before == nil {
						delete(model.figures, town)
					}
				} else if err != nil {
					rt.Fatal(err)
				}
			}
			foot(rt, r.summary(city, period, ""), model)
		}
	})
	r.replayTotals()
}

// publishAnew publishes figures whose report may be there already, from a publication that was refused.
func (r *registry) publishAnew(name, town, period string, figures *townv1.Figures) error {
	r.t.Helper()
	_, err := r.as(city).ReturnReport(r.t.Context(), &townv1.ReturnReportRequest{Name: name, Reason: "too much"})
	if fault.Is(err, typev1.Reason_REASON_RESOURCE_NOT_FOUND) {
		return r.publish(r.verified(town, period, figures))
	}
	ok(r.t, err)
	ctx := r.t.Context()
	r.must(r.as(city).UpdateReport(ctx, &townv1.UpdateReportRequest{Report: &townv1.Report{Name: name, Figures: figures}}))
	r.must(r.as(city).SubmitReport(ctx, &townv1.SubmitReportRequest{Name: name}))
	r.must(r.as(city).VerifyReport(ctx, &townv1.VerifyReportRequest{Name: name}))
	return r.publish(name)
}

func foot(t *rapid.T, res *townv1.SummarizeReportsResponse, model *published) {
	want := model.totals()
	sum := &townv1.Figures{}
	for _, total := range res.GetTotals() {
		key := fmt.Sprintf("%s-%d", total.GetDivision(), total.GetField())
		if !proto.Equal(total.GetFigures(), want[key]) {
			t.Fatalf("the total of %s is %v, want %v", key, total.GetFigures(), want[key])
		}
		sum.RevenueFen += total.GetFigures().GetRevenueFen()
		sum.EmployeesPersons += total.GetFigures().GetEmployeesPersons()
	}
	if len(res.GetTotals()) != len(want) || !proto.Equal(res.GetSum(), sum) || int(res.GetTownCount()) != len(model.figures) {
		t.Fatalf("summed %v of %d towns in %d totals; want %v of %d in %d", res.GetSum(), res.GetTownCount(), len(res.GetTotals()),
			sum, len(model.figures), len(want))
	}
}

// replayTotals holds the totals that the journal gives, replayed from nothing, against those that the service answers.
func (r *registry) replayTotals() {
	t := r.t
	t.Helper()
	replayed := map[string]*townv1.Total{}
	req := &journalv1.ListChangesRequest{Parent: "journals/town", PageSize: 1000}
	for {
		res, err := journalv1.NewJournalClient(r.srv.As(city)).ListChanges(t.Context(), req)
		ok(t, err)
		for _, change := range res.GetChanges() {
			total := &townv1.Total{}
			switch {
			case change.GetType() == journalv1.Change_TYPE_DELETED:
				delete(replayed, change.GetResource())
			case change.GetAfter().MessageIs(total):
				ok(t, change.GetAfter().UnmarshalTo(total))
				replayed[change.GetResource()] = total
			}
		}
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	periods := map[string]bool{}
	for _, total := range replayed {
		periods[total.GetPeriod()] = true
	}
	if len(periods) == 0 {
		t.Error("the journal has no totals")
	}
	for period := range periods {
		for _, total := range r.summary(city, period, "").GetTotals() {
			if !proto.Equal(replayed[total.GetName()], total) {
				t.Errorf("replayed %v, the service has %v", replayed[total.GetName()], total)
			}
			delete(replayed, total.GetName())
		}
	}
	if len(replayed) > 0 {
		t.Errorf("the journal has totals that the service has not: %v", replayed)
	}
}
