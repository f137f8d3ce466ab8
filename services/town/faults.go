package town

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/uscc"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/town/totals"
)

// The faults stand in the order of the contract's list of reasons, those that other services answer too at the end. A
// fault says in Chinese and English which rule was broken and what to do, and names what it is about for programs.

func divisionMismatch(id, division string) error {
	return fault.New(codes.InvalidArgument, townv1.Reason_REASON_DIVISION_MISMATCH,
		fmt.Sprintf("专业镇标识 %s 须以其区划代码 %s 开头", id, division),
		fmt.Sprintf("the identifier %s has to begin with the town's division, %s-", id, division),
		fault.Field("town_id", "does not begin with the town's division"), fault.With("division", division))
}

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

// creditCodeInvalid names the rule of GB 32100 that a code breaks.
func creditCodeInvalid(path, code string, broken error) error {
	rule, zh := "form", "应为 18 位数字或大写字母（不含 I、O、S、V、Z）"
	switch {
	case errors.Is(broken, uscc.ErrOrganisationCheck):
		rule, zh = "organisation_check", "第 17 位（组织机构代码校验码）不正确"
	case errors.Is(broken, uscc.ErrCheck):
		rule, zh = "check", "第 18 位（校验码）不正确"
	}
	return fault.New(codes.InvalidArgument, townv1.Reason_REASON_CREDIT_CODE_INVALID,
		"统一社会信用代码 "+code+" 有误："+zh, code+" is no unified social credit code: "+broken.Error(),
		fault.Field(path, broken.Error()), fault.With("rule", rule), fault.With("code", code))
}

func noticeRunning(name string, end *date.Date) error {
	last := civil.Text(end)
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_NOTICE_RUNNING,
		name+" 的公示期至 "+last+"，期满后方可认定", "the public notice of "+name+" runs until "+last+": designate it after that day",
		fault.With("notice_end_date", last))
}

func noticeTooShort(days int32) error {
	return fault.New(codes.InvalidArgument, townv1.Reason_REASON_NOTICE_TOO_SHORT,
		fmt.Sprintf("公示期 %d 个工作日不足 %d 个工作日", days, minNoticeDays),
		fmt.Sprintf("a public notice of %d working days is shorter than %d", days, minNoticeDays),
		fault.Field("notice_working_days", fmt.Sprintf("is less than %d", minNoticeDays)))
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

func notADraft(name string, state protoreflect.Enum) error {
	zh, en := "", ""
	if state == townv1.Report_STATE_PUBLISHED {
		zh, en = "；已公布的数字请用修订（revise）", ": a published figure is revised instead"
	}
	is := lifecycle.Name(state)
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_NOT_A_DRAFT,
		name+" 处于 "+is+" 状态，仅草稿可编辑"+zh, name+" is "+is+" and only a draft can be edited"+en,
		fault.With("state", is))
}

func termRunning(name string, end *date.Date) error {
	last := civil.Text(end)
	return fault.New(codes.FailedPrecondition, townv1.Reason_REASON_TERM_RUNNING,
		name+" 的有效期至 "+last+"，期满后方可失效", "the term of "+name+" runs until "+last+": it can lapse after that day",
		fault.With("term_end_date", last))
}

func reasonRequired(verb string) error {
	return fault.New(codes.InvalidArgument, townv1.Reason_REASON_REASON_REQUIRED,
		"操作 "+verb+" 须说明理由", "to "+verb+" needs a reason: say why",
		fault.Field("reason", "is required for this step"), fault.With("verb", verb))
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

func calendarNotLoaded(year int32) error {
	y := strconv.Itoa(int(year))
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_CALENDAR_NOT_LOADED,
		y+" 年的节假日安排尚未录入，无法计算工作日", "the holiday calendar of "+y+" is not loaded, so its working days cannot be counted: load it first",
		fault.With("year", y))
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

func notADate(path string) error {
	return fault.InvalidField(path, "不是完整有效的日期", "is no day of the calendar, with year, month and day")
}

func levelZH(l townv1.Level) string {
	if l == townv1.Level_LEVEL_PROVINCIAL {
		return "省级"
	}
	return "市级"
}
