package project

import (
	"errors"
	"strconv"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project/quota"
	"github.com/yizhen/yizhen/services/project/tally"
)

func townMismatch(path, name, town string) error {
	return fault.New(codes.InvalidArgument, projectv1.Reason_REASON_TOWN_MISMATCH,
		name+" 属于 "+town+"；专业镇须一致", name+" belongs to "+town+": name the same town",
		fault.Field(path, "is another town's"), fault.With("town", town))
}

func projectCodeTaken(code, project string) error {
	return fault.New(codes.AlreadyExists, projectv1.Reason_REASON_PROJECT_CODE_TAKEN,
		"项目代码 "+code+" 已属于 "+project+"；同一项目不得重复录入",
		"the project code "+code+" is that of "+project+": a project is entered once",
		fault.Field("project.project_code", "is another project's"), fault.With("project", project))
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

func dueDateFixed(name string, state protoreflect.Enum) error {
	is := lifecycle.Name(state)
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE,
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
	return fault.New(codes.PermissionDenied, typev1.Reason_REASON_SAME_PRINCIPAL,
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
