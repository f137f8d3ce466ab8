package fund

import (
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/fund/grant"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// This file makes every error that is this service's own. Reasons stand in proto/yizhen/fund/v1/reasons.proto.

func fen(n int64) string { return strconv.FormatInt(n, 10) }

func budgetNotAdopted(name, state string) error {
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_BUDGET_NOT_ADOPTED,
		"预算 "+name+" 当前状态为 "+state+"，不能下达指标或批准申请",
		name+" is "+state+": nothing is appropriated or approved under it",
		fault.With("budget", name), fault.With("state", state))
}

func sharesNotWhole(sumBP int64) error {
	sum := fen(sumBP)
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_SHARES_NOT_WHOLE,
		"各期比例之和为 "+sum+"，应为 10000 个基点", "the shares of the tranches add up to "+sum+" basis points and not 10000",
		fault.With("sum_bp", sum), fault.Field("call.tranche_plan", "the shares add up to "+sum+" and not 10000"))
}

func rateTooHigh() error {
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_RATE_TOO_HIGH,
		"补助比例与重点镇加成之和超过 10000 个基点", "the rate and the extra for key towns add up to more than 10000 basis points",
		fault.Field("call.key_town_extra_bp", "with rate_bp it is more than 10000"))
}

func datesReversed(start, end string) error {
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_DATES_REVERSED,
		"结束日期 "+end+" 早于开始日期 "+start, end+" is before "+start+": the period ends before it begins",
		fault.Field(end, "is before "+start))
}

func yearMismatch(call, line string) error {
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_YEAR_MISMATCH,
		"申报通知 "+call+" 与指标 "+line+" 不属于同一年度", call+" is of another year than "+line,
		fault.Field("call.line", "is of another year than the call"))
}

func callNotOpen(c *fundv1.Call, state string) error {
	opens, closes := civil.Text(c.GetOpenDate()), civil.Text(c.GetCloseDate())
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_CALL_NOT_OPEN,
		c.GetName()+" 当前状态为 "+state+"，申报期为 "+opens+" 至 "+closes,
		fmt.Sprintf("%s is %s and takes applications from %s to %s", c.GetName(), state, opens, closes),
		fault.With("call", c.GetName()), fault.With("state", state),
		fault.With("open_date", opens), fault.With("close_date", closes))
}

func duplicateEvidence(other, sha256 string) error {
	return fault.New(codes.AlreadyExists, fundv1.Reason_REASON_DUPLICATE_EVIDENCE,
		"同一凭证已用于 "+other+"："+sha256, other+" rests on the same paper: "+sha256,
		fault.With("application", other), fault.With("sha256", sha256),
		fault.Field("application.evidence_sha256s", "has a paper that "+other+" rests on"))
}

func duplicateProject(other, project string, action typev1.Action) error {
	return fault.New(codes.AlreadyExists, fundv1.Reason_REASON_DUPLICATE_PROJECT,
		fmt.Sprintf("%s 已就同一项目 %s 的第 %d 项行动提出申请", other, project, action),
		fmt.Sprintf("%s is for the same project, %s, in action %d", other, project, action),
		fault.With("application", other), fault.Field("application.project", "has an application in the same action"))
}

func verifiedInvestmentRequired() error {
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_VERIFIED_INVESTMENT_REQUIRED,
		"此申报通知以核定投资为基数；请填写核定投资额", "the call goes by verified investment: give what was verified",
		fault.Field("verified_investment_fen", "is required by the call"))
}

func scoresRequired(problemZH, problem string) error {
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_SCORES_REQUIRED,
		"专家评分有误："+problemZH, "the scores do not do: "+problem, fault.Field("scores", problem))
}

// limitExceeded says which of a call's bounds an amount breaks.
func limitExceeded(e *grant.Exceeded) error {
	most := fen(e.MostFen)
	reason, zh, en := fundv1.Reason_REASON_REQUEST_EXCEEDED, "申请金额", "what is asked for"
	switch e.Limit {
	case grant.Rate:
		reason, zh, en = fundv1.Reason_REASON_RATE_EXCEEDED, "补助比例允许的金额", "what the rate permits for the investment"
	case grant.ApplicationCap:
		reason, zh, en = fundv1.Reason_REASON_APPLICATION_CAP_EXCEEDED, "单个申请的上限", "the cap for one application"
	case grant.EnterpriseCap:
		reason, zh, en = fundv1.Reason_REASON_ENTERPRISE_CAP_EXCEEDED, "该企业在此通知下的剩余额度", "what the cap for one enterprise leaves"
	}
	return fault.New(codes.FailedPrecondition, reason, "批准金额超过"+zh+"："+most+" 分",
		"the amount is more than "+en+", "+most+" fen", fault.With("limit_fen", most))
}

// postingFault says why the ledger does not take a transfer. What only a mistake in this service can cause stays as it is.
func postingFault(err error) error {
	var insufficient *ledger.InsufficientError
	var posted *ledger.PostedError
	switch {
	case errors.As(err, &insufficient):
		account := "accounts/" + insufficient.Account
		return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_INSUFFICIENT_BALANCE,
			fmt.Sprintf("科目 %s 余额 %d 分，不足 %d 分；未记账", account, insufficient.BalanceFen, insufficient.AmountFen),
			fmt.Sprintf("%s holds %d fen and not %d: nothing was posted", account, insufficient.BalanceFen, insufficient.AmountFen),
			fault.With("account", account), fault.With("balance_fen", fen(insufficient.BalanceFen)),
			fault.With("amount_fen", fen(insufficient.AmountFen)))
	case errors.As(err, &posted):
		return fault.New(codes.AlreadyExists, fundv1.Reason_REASON_TRANSFER_EXISTS,
			"分录 "+posted.ID+" 已记账", "transfer "+posted.ID+" was posted before", fault.With("transfer", posted.ID))
	case errors.Is(err, ledger.ErrOverflow):
		return amountOverflow()
	}
	return err
}

func amountOverflow() error {
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW,
		"金额之和超出 64 位整数的范围；未作任何更改", ledger.ErrOverflow.Error()+": nothing was done")
}

func milestoneNotAccepted(milestone, state string) error {
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_MILESTONE_NOT_ACCEPTED,
		"里程碑 "+milestone+" 尚未验收通过（"+state+"）", milestone+" is not accepted; it is "+state,
		fault.With("milestone", milestone), fault.With("state", state))
}

func trancheNotPayable(name, state string) error {
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_TRANCHE_NOT_PAYABLE,
		name+" 当前状态为 "+state+"，不能拨付", name+" is "+state+" and not payable",
		fault.With("tranche", name), fault.With("state", state))
}

func disbursementStands(tranche, disbursement string) error {
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_DISBURSEMENT_STANDS,
		tranche+" 已有拨付单 "+disbursement+"；请先撤销它，或等待其完成",
		disbursement+" stands for "+tranche+": cancel it, or wait for it", fault.With("disbursement", disbursement))
}

func samePrincipal(who, name string) error {
	return fault.New(codes.PermissionDenied, typev1.Reason_REASON_SAME_PRINCIPAL,
		who+" 已参与拨付单 "+name+"；制单、复核、发送须由三个不同的主体完成",
		who+" has prepared or checked "+name+": three different principals prepare, check and send it",
		fault.With("principal", who))
}

func notTheMaker(name, maker string) error {
	return fault.New(codes.PermissionDenied, fundv1.Reason_REASON_NOT_THE_MAKER,
		"只有制单人 "+maker+" 可以修改 "+name, "only "+maker+", who prepared "+name+", may change it", fault.With("maker", maker))
}

func receiptConflict(name, reference string) error {
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_RECEIPT_CONFLICT,
		name+" 已有另一银行流水号的回单："+reference, "the bank's receipt for "+name+" is there already, under the number "+reference,
		fault.With("bank_reference", reference))
}

func notPaidSoMuch(award string, mostFen int64) error {
	most := fen(mostFen)
	return fault.New(codes.FailedPrecondition, fundv1.Reason_REASON_NOT_PAID_SO_MUCH,
		award+" 已付且未被追回的金额为 "+most+" 分", "of "+award+" no more than "+most+" fen is paid and not demanded back or recovered",
		fault.With("limit_fen", most))
}

func dateInFuture(field string, d *date.Date) error {
	return fault.New(codes.InvalidArgument, fundv1.Reason_REASON_DATE_IN_FUTURE,
		"日期 "+civil.Text(d)+" 尚未到来", civil.Text(d)+" lies in the future", fault.Field(field, "lies in the future"))
}
