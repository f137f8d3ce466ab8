package project

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
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project/quota"
	"github.com/yizhen/yizhen/services/project/tally"
)

func divisionMismatch(path, name, id string) error {
	return fault.New(codes.InvalidArgument, projectv1.Reason_REASON_DIVISION_MISMATCH,
		name+" 不属于标识 "+id+" 开头的区划；请使用本区划的标识",
		name+" is not of the division that "+id+" begins with: use an identifier of its division",
		fault.Field(path, "is not of the same division"), fault.With("resource", name))
}

func townMismatch(path, name, town string) error {
	return fault.New(codes.InvalidArgument, projectv1.Reason_REASON_TOWN_MISMATCH,
		name+" 属于 "+town+"；专业镇须一致", name+" belongs to "+town+": name the same town",
		fault.Field(path, "is another town's"), fault.With("town", town))
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
	return fault.New(codes.InvalidArgument, projectv1.Reason_REASON_CREDIT_CODE_INVALID,
		"统一社会信用代码 "+code+" 有误："+zh, code+" is no unified social credit code: "+broken.Error(),
		fault.Field(path, broken.Error()), fault.With("rule", rule), fault.With("code", code))
}

func projectCodeTaken(code, project string) error {
	return fault.New(codes.AlreadyExists, projectv1.Reason_REASON_PROJECT_CODE_TAKEN,
		"项目代码 "+code+" 已属于 "+project+"；同一项目不得重复录入",
		"the project code "+code+" is that of "+project+": a project is entered once",
		fault.Field("project.project_code", "is another project's"), fault.With("project", project))
}

func notADate(path string) error {
	return fault.InvalidField(path, "不是完整有效的日期", "is no day of the calendar, with year, month and day")
}

func dateNotAhead(path string, d, today *date.Date) error {
	return fault.New(codes.InvalidArgument, projectv1.Reason_REASON_DATE_NOT_AHEAD,
		"新期限 "+civil.Text(d)+" 须晚于今天 "+civil.Text(today),
		"the new date "+civil.Text(d)+" has to be after today, "+civil.Text(today),
		fault.Field(path, "is not after today"), fault.With("today", civil.Text(today)))
}

func monthNotBegun(month string) error {
	return fault.New(codes.InvalidArgument, projectv1.Reason_REASON_MONTH_NOT_BEGUN,
		month+" 尚未开始，不能报送该月投资", month+" has not begun, so nothing can have been invested in it: report it then",
		fault.Field("progress_report_id", "is a month that has not begun"), fault.With("month", month))
}

func projectCancelled(name string) error {
	return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_PROJECT_CANCELLED,
		name+" 已取消，不再新增或办理事项", name+" is cancelled: nothing is added to it, and nothing in it goes on",
		fault.With("project", name))
}

func notEditable(name string, state protoreflect.Enum) error {
	is := lifecycle.Name(state)
	return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_NOT_EDITABLE,
		name+" 处于 "+is+" 状态，不可编辑", name+" is "+is+" and cannot be edited any more", fault.With("state", is))
}

func dueDateFixed(name string, state protoreflect.Enum) error {
	is := lifecycle.Name(state)
	return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_NOT_EDITABLE,
		name+" 处于 "+is+" 状态，期限只能在交办或升级时调整",
		name+" is "+is+": its date changes with an assignment or an escalation only",
		fault.With("state", is), fault.Field("case.due_date", "changes with an assignment or an escalation only"))
}

func expectedOutputRequired(name string) error {
	return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_EXPECTED_OUTPUT_REQUIRED,
		name+" 未填写预期产值，无法计算达效率；请先补充",
		name+" has no expected output to set the actual one against: update expected_output_fen first",
		fault.With("project", name))
}

func samePrincipal(name, principal string) error {
	return fault.New(codes.PermissionDenied, projectv1.Reason_REASON_SAME_PRINCIPAL,
		name+" 由 "+principal+" 申报，验收须由他人办理", name+" was reported by "+principal+": somebody else has to accept it",
		fault.With("principal", principal))
}

func poolElsewhere(name, division string) error {
	return fault.New(codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION,
		name+" 不在凭证所属区划 "+division+" 管辖之内，须由其主管部门办理",
		name+" is not in the charge of division "+division+", to which the credential is bound: those in charge of the pool reserve from it",
		fault.With("division", division), fault.With("factor_quota", name))
}

// quotaFault makes a fault of what the rule of pools answers. A reservation that falls short is no caller's doing.
func quotaFault(name string, err error) error {
	var short *quota.InsufficientError
	if errors.As(err, &short) {
		left, wanted := strconv.FormatInt(short.Available, 10), strconv.FormatInt(short.Wanted, 10)
		return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_INSUFFICIENT_QUOTA,
			name+" 余量为千分之 "+left+"，不足申请的千分之 "+wanted,
			name+" has "+left+" thousandths of its unit left, less than the "+wanted+" asked for: ask for less, or have the pool enlarged",
			fault.With("factor_quota", name), fault.With("available_thousandths", left), fault.With("wanted_thousandths", wanted))
	}
	var used *quota.InUseError
	if errors.As(err, &used) {
		least := strconv.FormatInt(used.Used, 10)
		return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_QUOTA_IN_USE,
			name+" 已预留和使用千分之 "+least+"，总量不得低于此数",
			name+" has "+least+" thousandths of its unit reserved or consumed: its total cannot be less",
			fault.With("factor_quota", name), fault.With("used_thousandths", least),
			fault.Field("factor_quota.total_thousandths", "is less than what is reserved and consumed"))
	}
	return err
}

func notOverdue(name string, due *date.Date) error {
	return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_NOT_OVERDUE,
		name+" 的期限为 "+civil.Text(due)+"，尚未逾期，不能升级", name+" is due on "+civil.Text(due)+" and not overdue: only an overdue case escalates",
		fault.With("due_date", civil.Text(due)))
}

func topLevel(name string) error {
	return fault.New(codes.FailedPrecondition, projectv1.Reason_REASON_TOP_LEVEL,
		name+" 已由领导小组督办，没有更高层级", name+" is with the leading group already: there is no level above")
}

// sumFault makes a fault of what the rule of totals answers.
func sumFault(err error) error {
	var overflow *tally.OverflowError
	if !errors.As(err, &overflow) {
		return err
	}
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW,
		"合计 "+overflow.Figure+" 超出 64 位整数范围；请核对单位（分）", overflow.Error()+": look whether the unit is right",
		fault.With("figure", overflow.Figure))
}

// notPermitted makes a fault of what a lifecycle table answers.
func notPermitted(name string, err error) error {
	var no *lifecycle.NotPermittedError
	if !errors.As(err, &no) {
		return err
	}
	permitted := strings.Join(no.Permitted, ",")
	zh := fmt.Sprintf("%s 处于 %s 状态，不能执行 %s", name, no.State, no.Verb)
	if permitted != "" {
		zh += "；可执行：" + permitted
	}
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, zh, name+": "+no.Error(),
		fault.With("state", no.State), fault.With("verb", no.Verb), fault.With("permitted", permitted))
}
