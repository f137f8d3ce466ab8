package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/uscc"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/town"
	"github.com/yizhen/yizhen/services/town/totals"
)

// designatedTowns is how many towns have a designation from the start, so that they can report.
const designatedTowns = 16

const batch = "batches/2022-first"

var townLoad = load{
	service:  "town",
	schema:   func() *store.Schema { return town.New(nil).Schema() },
	register: func(db *journal.DB) func(grpc.ServiceRegistrar) { return town.New(db).Register },
	fill:     fillTowns,
	step:     stepTowns,
	own:      checkTowns,
	shapes: shapes(map[string]string{
		"CreateTown":           "+Town",
		"UpdateTown":           "~Town *Total:0-99",
		"CreateEnterprise":     "+Enterprise",
		"UpdateEnterprise":     "~Enterprise",
		"DeleteEnterprise":     "-Enterprise",
		"CreateDesignation":    "+Designation",
		"SubmitDesignation":    "~Designation",
		"RecommendDesignation": "~Designation",
		"ReviewDesignation":    "~Designation",
		"ReturnDesignation":    "~Designation",
		"UpdateBatch":          fmt.Sprintf("~Batch ~Designation:%d", designatedTowns),
		"CreateReport":         "+Report",
		"UpdateReport":         "~Report",
		"SubmitReport":         "~Report",
		"VerifyReport":         "~Report",
		"PublishReport":        "~Report *Total",
		"ReviseReport":         "~Report ~Total",
	}),
}

func designatedTown(n int) string { return fmt.Sprintf("towns/140525-old-%d", n) }

func newTown(title string) *townv1.Town {
	return &townv1.Town{
		Division: "140525", IndustryCodes: []string{"3391"}, Field: townv1.Field_FIELD_MANUFACTURING, TitleZh: title, TitleEn: "Casting town",
	}
}

// fillTowns makes what the callers build on: a county, a batch, and towns that have been designated.
func fillTowns(ctx context.Context, f *filler) {
	f.ask(ctx, &townv1.CreateDivisionRequest{DivisionId: "140525", Division: &townv1.Division{TitleZh: "泽州县", TitleEn: "Zezhou"}})
	year := f.clock.Now().Year()
	for _, y := range []int{year, year + 1} {
		f.ask(ctx, &townv1.CreateHolidayCalendarRequest{HolidayCalendarId: fmt.Sprint(y), HolidayCalendar: &townv1.HolidayCalendar{}})
	}
	f.ask(ctx, &townv1.CreateBatchRequest{BatchId: "2022-first", Batch: &townv1.Batch{
		Level: townv1.Level_LEVEL_MUNICIPAL, Title: "第一批", EffectiveDate: civil.New(2022, 7, 1),
		Document: &typev1.Document{Title: "公布文件", Number: "〔2022〕1号"},
	}})
	name := func(n int) string { return designatedTown(n) + "/designations/municipal" }
	for n := range designatedTowns {
		f.ask(ctx, &townv1.CreateTownRequest{TownId: strings.TrimPrefix(designatedTown(n), "towns/"), Town: newTown("铸造镇")})
		f.ask(ctx, &townv1.CreateDesignationRequest{Parent: designatedTown(n), DesignationId: "municipal", Designation: &townv1.Designation{}})
		f.ask(ctx, &townv1.SubmitDesignationRequest{Name: name(n)})
		f.ask(ctx, &townv1.RecommendDesignationRequest{Name: name(n)})
		f.ask(ctx, &townv1.ReviewDesignationRequest{Name: name(n)})
		f.ask(ctx, &townv1.AnnounceDesignationRequest{Name: name(n)})
	}
	f.clock.Advance(20 * 24 * time.Hour)
	for n := range designatedTowns {
		f.ask(ctx, &townv1.DesignateTownRequest{Name: name(n), Batch: batch})
	}
}

func stepTowns(ctx context.Context, w *worker) {
	switch w.random.IntN(10) {
	case 0:
		id := fmt.Sprintf("140525-w%d-r%d-%d", w.number, w.round, w.sent)
		if t := do(ctx, w, maker, &townv1.CreateTownRequest{TownId: id, Town: newTown("新镇")}, (*townv1.Town)(nil)); t != nil {
			w.mine = append(w.mine, t.GetName())
		}
	case 1: // all of them change the same few towns, and where their published figures count
		t := get(ctx, w, &townv1.GetTownRequest{Name: designatedTown(w.random.IntN(4))}, (*townv1.Town)(nil))
		if t == nil {
			return
		}
		t.TitleEn = fmt.Sprintf("Renamed by %d-%d-%d", w.round, w.number, w.sent)
		if w.one(4) {
			t.Field = townv1.Field(1 + w.random.IntN(3))
		}
		do(ctx, w, maker, &townv1.UpdateTownRequest{Town: t}, t)
	case 2:
		b := get(ctx, w, &townv1.GetBatchRequest{Name: batch}, (*townv1.Batch)(nil))
		if b == nil {
			return
		}
		b.Document.Number = fmt.Sprintf("〔2022〕%d-%d-%d号", w.round, w.number, w.sent)
		do(ctx, w, maker, &townv1.UpdateBatchRequest{Batch: b, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"document"}}}, b)
	case 3, 4:
		if len(w.mine) > 0 {
			stepDesignation(ctx, w, w.mine[w.random.IntN(len(w.mine))])
		}
	case 5, 6:
		stepEnterprise(ctx, w)
	default:
		stepReport(ctx, w)
	}
}

func stepDesignation(ctx context.Context, w *worker, of string) {
	name := of + "/designations/municipal"
	d := get(ctx, w, &townv1.GetDesignationRequest{Name: name}, (*townv1.Designation)(nil))
	switch {
	case d == nil && !w.gone:
		do(ctx, w, maker, &townv1.CreateDesignationRequest{Parent: of, DesignationId: "municipal", Designation: &townv1.Designation{Statement: "铸造"}}, d)
	case d.GetState() == townv1.Designation_STATE_DRAFT:
		do(ctx, w, maker, &townv1.SubmitDesignationRequest{Name: name, Etag: d.GetEtag()}, d)
	case d.GetState() == townv1.Designation_STATE_SUBMITTED:
		do(ctx, w, maker, &townv1.RecommendDesignationRequest{Name: name, Etag: d.GetEtag()}, d)
	case d.GetState() == townv1.Designation_STATE_RECOMMENDED:
		do(ctx, w, checks, &townv1.ReviewDesignationRequest{Name: name, Etag: d.GetEtag()}, d)
	case d.GetState() == townv1.Designation_STATE_REVIEWED:
		do(ctx, w, checks, &townv1.ReturnDesignationRequest{Name: name, Etag: d.GetEtag(), Reason: "again"}, d)
	}
}

func stepEnterprise(ctx context.Context, w *worker) {
	code, err := uscc.Complete(fmt.Sprintf("91140525%08d", w.number*10+w.random.IntN(5)))
	if err != nil {
		w.history.broken("%v", err)
		return
	}
	parent := designatedTown(w.number % designatedTowns)
	e := get(ctx, w, &townv1.GetEnterpriseRequest{Name: parent + "/enterprises/" + code}, (*townv1.Enterprise)(nil))
	switch {
	case e == nil && !w.gone:
		do(ctx, w, maker, &townv1.CreateEnterpriseRequest{Parent: parent, EnterpriseId: code, Enterprise: &townv1.Enterprise{
			Title: "铸造公司", Role: townv1.Enterprise_ROLE_LEADER,
		}}, e)
	case e == nil:
	case w.one(3):
		do(ctx, w, maker, &townv1.DeleteEnterpriseRequest{Name: e.GetName(), Etag: e.GetEtag()}, (*emptypb.Empty)(nil))
	default:
		e.Title = fmt.Sprintf("铸造公司 %d-%d", w.round, w.sent)
		do(ctx, w, maker, &townv1.UpdateEnterpriseRequest{Enterprise: e}, e)
	}
}

func stepReport(ctx context.Context, w *worker) {
	parent := designatedTown(w.number % designatedTowns)
	period := fmt.Sprintf("%d-%02d", 2023+w.random.IntN(2), 1+w.random.IntN(12))
	name := parent + "/reports/" + period
	figures := &townv1.Figures{OutputValueFen: w.random.Int64N(1e12), EmployeesPersons: w.random.Int64N(1e5), TaxFen: 1 + int64(w.round*1000+w.sent)}
	r := get(ctx, w, &townv1.GetReportRequest{Name: name}, (*townv1.Report)(nil))
	switch {
	case r == nil && !w.gone:
		do(ctx, w, maker, &townv1.CreateReportRequest{Parent: parent, ReportId: period, Report: &townv1.Report{Figures: figures}}, r)
	case r.GetState() == townv1.Report_STATE_DRAFT && w.one(3):
		r.Figures = figures
		do(ctx, w, maker, &townv1.UpdateReportRequest{Report: r}, r)
	case r.GetState() == townv1.Report_STATE_DRAFT:
		do(ctx, w, maker, &townv1.SubmitReportRequest{Name: name, Etag: r.GetEtag()}, r)
	case r.GetState() == townv1.Report_STATE_SUBMITTED:
		do(ctx, w, checks, &townv1.VerifyReportRequest{Name: name, Etag: r.GetEtag()}, r)
	case r.GetState() == townv1.Report_STATE_VERIFIED:
		do(ctx, w, checks, &townv1.PublishReportRequest{Name: name, Etag: r.GetEtag()}, r)
	case r.GetState() == townv1.Report_STATE_PUBLISHED:
		do(ctx, w, checks, &townv1.ReviseReportRequest{Name: name, Etag: r.GetEtag(), Reason: "census", Figures: figures}, r)
	}
}

// checkTowns adds up what is published, and compares the document numbers of a batch with those in its designations.
func checkTowns(t *tables) {
	fields := map[string]townv1.Field{}
	each(t, func(row *townv1.Town) { fields[row.GetName()] = row.GetField() })
	want := map[string]*townv1.Total{}
	each(t, func(r *townv1.Report) {
		if len(r.GetPublications()) == 0 {
			return
		}
		of, _, _ := strings.Cut(r.GetName(), "/reports/")
		name := fmt.Sprintf("periods/%s/totals/140525-%d", r.GetPeriod(), fields[of])
		if want[name] == nil {
			want[name] = &townv1.Total{Name: name, Period: r.GetPeriod(), Division: "140525", Field: fields[of]}
		}
		if err := totals.Enter(want[name], r.GetPublications()[len(r.GetPublications())-1].GetFigures()); err != nil {
			t.report("%s: %v", r.GetName(), err)
		}
	})
	each(t, func(total *townv1.Total) {
		if !proto.Equal(total, want[total.GetName()]) {
			t.report("%s is %v, adding up gives %v", total.GetName(), total, want[total.GetName()])
		}
		delete(want, total.GetName())
	})
	for name := range want {
		t.report("%s is missing", name)
	}
	numbers := map[string]string{}
	each(t, func(b *townv1.Batch) { numbers[b.GetName()] = b.GetDocument().GetNumber() })
	each(t, func(d *townv1.Designation) {
		if d.GetBatch() == "" {
			return
		}
		if d.GetDocumentNumber() != numbers[d.GetBatch()] {
			t.report("%s is of %s with number %s, which has number %s", d.GetName(), d.GetBatch(), d.GetDocumentNumber(), numbers[d.GetBatch()])
		}
	})
}
