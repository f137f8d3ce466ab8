package town

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/town/totals"
)

// The faults stand in the order of the contract's list of reasons, those that other services answer too at the end. A
// fault says in Chinese and English which rule was broken and what to do, and names what it is about for programs.

func divisionNotLoaded(division string) error {
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_DIVISION_UNKNOWN,
		"区划 "+division+" 尚未录入；请先录入该区划", "division "+division+" is not loaded: load it first",
		fault.Field("town.division", "is not loaded"), fault.With("division", division))
}

func divisionNotACounty(division string) error {
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_DIVISION_UNKNOWN,
		"区划 "+division+" 不是县（市、区）；专业镇属于县一级", "division "+division+" is no county or district, and a town belongs to one",
		fault.Field("town.division", "is no county or district"), fault.With("division", division))
}

func batchLevelMismatch(batch *townv1.Batch, want townv1.Level) error {
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_BATCH_LEVEL_MISMATCH,
		fmt.Sprintf("批次 %s 的级别为%s，而此认定为%s", batch.GetName(), levelZH(batch.GetLevel()), levelZH(want)),
		fmt.Sprintf("%s designates at the %s level, this is a %s designation", batch.GetName(), levelID(batch.GetLevel()), levelID(want)),
		fault.Field("batch", "designates at another level"),
		fault.With("batch_level", batch.GetLevel().String()), fault.With("level", want.String()))
}

func municipalLevelRequired(town string) error {
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_MUNICIPAL_LEVEL_REQUIRED,
		town+" 须先取得有效的市级认定，方可申请省级认定",
		"a provincial designation begins from a municipal one that holds, and "+town+" has none",
		fault.With("resource", municipalOf(town)))
}

func figurePublished(name string) error {
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE,
		name+" 的数字已公布，不能再编辑；请用修订（revise）", "the figures of "+name+" are published and cannot be edited: revise them instead",
		fault.With("state", lifecycle.Name(townv1.Report_STATE_PUBLISHED)))
}

func termRunning(name string, end *date.Date) error {
	last := civil.Text(end)
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_TERM_RUNNING,
		name+" 的有效期至 "+last+"，期满后方可失效", "the term of "+name+" runs until "+last+": it can lapse after that day",
		fault.With("term_end_date", last))
}

// calendarInvalid names every date that is wrong: a calendar is typed in from a notice and corrected in one go.
func calendarInvalid(wrong []wrongDate) error {
	var zh, en []string
	var about []fault.Detail
	for _, w := range wrong {
		zh = append(zh, w.path+" "+w.zh)
		en = append(en, w.path+" "+w.en)
		about = append(about, fault.Field(w.path, w.en))
	}
	return fault.New(codes.InvalidArgument, townv1.Reason_REASON_CALENDAR_INVALID,
		"节假日安排有误："+strings.Join(zh, "；"), "the holiday calendar is wrong: "+strings.Join(en, "; "), about...)
}

func townNotDesignated(town string) error {
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_TOWN_NOT_DESIGNATED,
		town+" 尚无有效认定，不能报送统计报表", town+" holds no designation, so nothing is reported for it",
		fault.With("resource", town))
}

// sumFault makes a fault of what the rule of sums answers. That more is taken out than was put in is no caller's doing.
func sumFault(err error) error {
	var overflow *totals.OverflowError
	if !errors.As(err, &overflow) {
		return err
	}
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW,
		"合计 "+overflow.Figure+" 超出 64 位整数范围；请核对单位（分）", overflow.Error()+": look whether the unit is right",
		fault.With("figure", overflow.Figure))
}

func levelZH(l townv1.Level) string {
	if l == townv1.Level_LEVEL_PROVINCIAL {
		return "省级"
	}
	return "市级"
}
