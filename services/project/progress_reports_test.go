package project_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/civil"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

func (w *world) report(project, month string, planned, actual int64) *projectv1.ProgressReport {
	w.t.Helper()
	return must[*projectv1.ProgressReport](w.t)(w.as(zezhou).CreateProgressReport(w.t.Context(), &projectv1.CreateProgressReportRequest{
		Parent: project, ProgressReportId: month,
		ProgressReport: &projectv1.ProgressReport{PlannedInvestmentFen: planned, ActualInvestmentFen: actual},
	}))
}

func TestVerifiedProgressIsCountedOnce(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	june, july := w.report(p.GetName(), "2023-06", 100, 100), w.report(p.GetName(), "2023-07", 100, 10)
	if got := w.get(p.GetName()); got.GetActualInvestmentFen() != 0 {
		t.Errorf("%d fen are counted before anybody verified them", got.GetActualInvestmentFen())
	}
	july = must[*projectv1.ProgressReport](t)(w.as(zezhou).UpdateProgressReport(t.Context(), &projectv1.UpdateProgressReportRequest{
		ProgressReport: &projectv1.ProgressReport{Name: july.GetName(), ActualInvestmentFen: 19},
		UpdateMask:     &fieldmaskpb.FieldMask{Paths: []string{"actual_investment_fen"}},
	}))
	verify := &projectv1.VerifyProgressReportRequest{Name: june.GetName(), RequestId: "june"}
	verified := must[*projectv1.ProgressReport](t)(w.as(inspector).VerifyProgressReport(t.Context(), verify))
	same(t, must[*projectv1.ProgressReport](t)(w.as(inspector).VerifyProgressReport(t.Context(), verify)), verified)
	if verified.GetState() != projectv1.ProgressReport_STATE_VERIFIED || verified.GetMonth() != "2023-06" {
		t.Errorf("verified as %v", verified)
	}
	must[*projectv1.ProgressReport](t)(w.as(inspector).VerifyProgressReport(t.Context(), &projectv1.VerifyProgressReportRequest{Name: july.GetName()}))
	_, err := w.as(inspector).VerifyProgressReport(t.Context(), &projectv1.VerifyProgressReportRequest{Name: july.GetName()})
	refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")
	_, err = w.as(zezhou).UpdateProgressReport(t.Context(), &projectv1.UpdateProgressReportRequest{ProgressReport: &projectv1.ProgressReport{Name: july.GetName(), Note: "more"}})
	refused(t, err, codes.FailedPrecondition, "NOT_EDITABLE", "")

	got := w.get(p.GetName())
	if got.GetActualInvestmentFen() != 119 || got.GetScheduledInvestmentFen() != 200 {
		t.Errorf("sums are %d of %d fen, want 119 of 200", got.GetActualInvestmentFen(), got.GetScheduledInvestmentFen())
	}
	cause := got.GetLightCauses()
	if got.GetLight() != projectv1.Project_LIGHT_RED || len(cause) != 1 || cause[0].GetProgressBp() != 5950 {
		t.Errorf("119 of 200 fen make it %v for %v", got.GetLight(), cause)
	}
	sum := must[*projectv1.SummarizeProjectsResponse](t)(w.as(city).SummarizeProjects(t.Context(), &projectv1.SummarizeProjectsRequest{}))
	if sum.GetSum().GetActualInvestmentFen() != 119 {
		t.Errorf("the division's total is %v", sum.GetSum())
	}
	list := must[*projectv1.ListProgressReportsResponse](t)(w.as(zezhou).ListProgressReports(t.Context(), &projectv1.ListProgressReportsRequest{Parent: p.GetName()}))
	if r := list.GetProgressReports(); len(r) != 2 || r[0].GetMonth() != "2023-06" {
		t.Errorf("lists %v", r)
	}
}

func TestProgressReportsRefused(t *testing.T) {
	w := newWorld(t)
	p := w.enter("140525-line-2")
	create := func(month string) error {
		_, err := w.as(zezhou).CreateProgressReport(t.Context(), &projectv1.CreateProgressReportRequest{
			Parent: p.GetName(), ProgressReportId: month, ProgressReport: &projectv1.ProgressReport{ActualInvestmentFen: 1},
		})
		return err
	}
	refused(t, create("2023-08"), codes.InvalidArgument, "MONTH_NOT_BEGUN", "progress_report_id")
	refused(t, create("2023-13"), codes.InvalidArgument, "INVALID_FIELD", "progress_report_id")
	// The month begins in the city, where it is August while it is still July in Greenwich.
	w.clock.Set(civil.Start(civil.New(2023, 8, 1)))
	if err := create("2023-08"); err != nil {
		t.Errorf("the first minute of August: %v", err)
	}
	refused(t, create("2023-08"), codes.AlreadyExists, "RESOURCE_EXISTS", "")
	w.drive(p.GetName(), "cancel")
	refused(t, create("2023-06"), codes.FailedPrecondition, "PROJECT_CANCELLED", "")
	_, err := w.as(inspector).VerifyProgressReport(t.Context(), &projectv1.VerifyProgressReportRequest{Name: p.GetName() + "/progressReports/2023-08"})
	refused(t, err, codes.FailedPrecondition, "PROJECT_CANCELLED", "")
}
