package town_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/civil"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestTermFollowsTheBatch(t *testing.T) {
	for _, c := range []struct {
		shows string
		start *date.Date
		years int32
		end   string
	}{
		{"three years if not said", day(2023, 6, 1), 0, "2026-05-31"},
		{"one year", day(2024, 1, 1), 1, "2024-12-31"},
		{"begun on a leap day", day(2024, 2, 29), 3, "2027-02-28"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			r := serve(t)
			r.enter(casting)
			d := r.designationIn("ANNOUNCED", casting, "municipal")
			r.waitFor("designate", d)
			b, err := r.as(city).CreateBatch(t.Context(), &townv1.CreateBatchRequest{BatchId: "2023-7", Batch: &townv1.Batch{
				Level: townv1.Level_LEVEL_MUNICIPAL, Title: "t", Document: &typev1.Document{Title: "d"},
				EffectiveDate: c.start, TermYears: c.years,
			}})
			ok(t, err)
			d, err = r.as(city).DesignateTown(t.Context(), &townv1.DesignateTownRequest{Name: d.GetName(), Batch: b.GetName()})
			ok(t, err)
			if got := civil.Text(d.GetTermEndDate()); got != c.end || civil.Compare(d.GetTermStartDate(), c.start) != 0 {
				t.Errorf("from %v to %s, want %s", d.GetTermStartDate(), got, c.end)
			}
		})
	}
}

func TestCorrectedNumberReachesTheDesignations(t *testing.T) {
	r := serve(t)
	r.enter(casting, honey, silk)
	r.designate(casting, honey)
	r.designationIn("ANNOUNCED", silk, "municipal")
	b, err := r.as(city).UpdateBatch(t.Context(), &townv1.UpdateBatchRequest{
		Batch:      &townv1.Batch{Name: "batches/2023-municipal", Document: &typev1.Document{Number: "晋市政发〔2023〕9号"}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"document.number"}},
	})
	ok(t, err)
	if b.GetDocument().GetTitle() == "" {
		t.Errorf("the title of the document is gone: %v", b)
	}
	for town, want := range map[string]string{casting: "晋市政发〔2023〕9号", honey: "晋市政发〔2023〕9号", silk: ""} {
		d, err := r.as(city).GetDesignation(t.Context(), &townv1.GetDesignationRequest{Name: town + "/designations/municipal"})
		ok(t, err)
		if d.GetDocumentNumber() != want {
			t.Errorf("%s is designated by %q, want %q", town, d.GetDocumentNumber(), want)
		}
	}
}

func TestTermsOfABatchStay(t *testing.T) {
	r := serve(t)
	r.enterBatch("municipal")
	for path, changed := range map[string]*townv1.Batch{
		"level":          {Level: townv1.Level_LEVEL_PROVINCIAL},
		"effective_date": {EffectiveDate: day(2023, 7, 1)},
		"term_years":     {TermYears: 5},
	} {
		changed.Name = "batches/2023-municipal"
		_, err := r.as(city).UpdateBatch(t.Context(), &townv1.UpdateBatchRequest{
			Batch: changed, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}},
		})
		wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK)
	}
	_, err := r.as(zezhou).UpdateBatch(t.Context(), &townv1.UpdateBatchRequest{
		Batch: &townv1.Batch{Name: "batches/2023-municipal", Title: "x"},
	})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
}
