package assessment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// setFault makes a fault of what is wrong with an indicator set.
func setFault(err error) error {
	var (
		expression *scoring.ExpressionError
		weights    *scoring.WeightsError
		repeated   *scoring.RepeatedError
		steps      *scoring.StepsError
		tiers      *scoring.TiersError
		measure    *scoring.MeasureError
	)
	switch {
	case errors.As(err, &expression):
		return expressionInvalid(expression)
	case errors.As(err, &weights):
		return fault.New(codes.InvalidArgument, assessmentv1.Reason_REASON_WEIGHTS_NOT_WHOLE,
			fmt.Sprintf("各指标权重合计 %d 分，应为 100 分", weights.Sum), weights.Error()+": change them so that they do",
			fault.Field("indicator_set.indicators", weights.Error()), fault.With("sum_points", strconv.Itoa(int(weights.Sum))))
	case errors.As(err, &repeated):
		return fault.New(codes.InvalidArgument, assessmentv1.Reason_REASON_ID_REPEATED,
			"标识重复："+repeated.Item, repeated.Error()+": give each an identifier of its own",
			fault.Field(pathOf(repeated.Item), repeated.Error()), fault.With("item", repeated.Item))
	case errors.As(err, &steps):
		return fault.New(codes.InvalidArgument, assessmentv1.Reason_REASON_STEPS_INVALID,
			steps.Item+" 的分档值须逐档升高", steps.Error()+": put them in rising order",
			fault.Field(pathOf(steps.Item), steps.Error()), fault.With("item", steps.Item))
	case errors.As(err, &tiers):
		return fault.New(codes.InvalidArgument, assessmentv1.Reason_REASON_TIERS_INVALID,
			"等级 "+tiers.Tier+"：等级须由高到低排列，最末一级从 0 分起", tiers.Error(),
			fault.Field("indicator_set.tiers", tiers.Error()), fault.With("tier", tiers.Tier))
	case errors.As(err, &measure):
		return fault.New(codes.InvalidArgument, assessmentv1.Reason_REASON_MEASURE_INVALID,
			"等级 "+measure.Tier+"：fund_weight_bp 仅用于资金权重措施，且该措施必须填写", measure.Error(),
			fault.Field("indicator_set.tiers", measure.Error()), fault.With("tier", measure.Tier))
	}
	return err
}

func expressionInvalid(e *scoring.ExpressionError) error {
	return fault.New(codes.InvalidArgument, assessmentv1.Reason_REASON_EXPRESSION_INVALID,
		fmt.Sprintf("%s 的表达式有误（第 %d 行第 %d 列）：%s", e.Item, e.Line, e.Column, e.Problem),
		"the expression of "+e.Error(), fault.Field(pathOf(e.Item), e.Error()), fault.With("item", e.Item),
		fault.With("line", strconv.Itoa(e.Line)), fault.With("column", strconv.Itoa(e.Column)), fault.With("problem", e.Problem))
}

// pathOf returns the field that an item of a set stands in: indicator_set.vetoes for `vetoes/no-report`.
func pathOf(item string) string {
	part, _, _ := strings.Cut(item, "/")
	return "indicator_set." + part
}

func setNotAdopted(set *assessmentv1.IndicatorSet) error {
	is := lifecycle.Name(set.GetState())
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_SET_NOT_ADOPTED,
		set.GetName()+" 处于 "+is+" 状态，新的考核只能采用已通过的指标体系",
		set.GetName()+" is "+is+", and a campaign begins under an adopted indicator set",
		fault.Field("campaign.indicator_set", "is not adopted"), fault.With("state", is))
}

func noTowns() error {
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_NO_TOWNS,
		"没有已认定的专业镇，无可考核", "no town is designated, so there is nothing to assess")
}

func sourceTooLarge(source string, limit int) error {
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_SOURCE_TOO_LARGE,
		fmt.Sprintf("%s 的记录超过一次采集的上限 %d", source, limit),
		fmt.Sprintf("there are more %s than the %d that a collection reads", source, limit),
		fault.With("source", source), fault.With("limit", strconv.Itoa(limit)))
}

func sourceChanging(service string) error {
	return fault.New(codes.Aborted, assessmentv1.Reason_REASON_SOURCE_CHANGING,
		service+" 服务的数据在读取期间不断变化；未作任何更改，请稍后重试",
		"the records of the "+service+" service kept changing while they were read; nothing was done, try again",
		fault.With("service", service))
}

func appealOpen(campaign, appeal string) error {
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_APPEAL_OPEN,
		campaign+" 有未处理的申诉："+appeal, appeal+" against "+campaign+" is not decided: decide it first",
		fault.With("appeal", appeal))
}

func correctionDue(campaign, appeal string) error {
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_CORRECTION_DUE,
		appeal+" 已被采纳，"+campaign+" 须重新打开并重新采集、计分", appeal+" was accepted: reopen "+campaign+", then collect and score again",
		fault.With("appeal", appeal))
}

func notOnNotice(c *assessmentv1.Campaign) error {
	is := lifecycle.Name(c.GetState())
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_NOT_ON_NOTICE,
		c.GetName()+" 的结果不在公示期内，不能申诉", "the result of "+c.GetName()+" is not on public notice: appeals are filed while it is",
		fault.With("state", is))
}

func notScored(c *assessmentv1.Campaign) error {
	is := lifecycle.Name(c.GetState())
	return fault.New(codes.FailedPrecondition, assessmentv1.Reason_REASON_NOT_SCORED,
		c.GetName()+" 处于 "+is+" 状态，尚无得分", c.GetName()+" is "+is+" and has no scores: score it first", fault.With("state", is))
}

func pinBroken(pin *typev1.Evidence) error {
	revision := strconv.FormatInt(pin.GetRevision(), 10)
	return fault.New(codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT,
		"日志第 "+revision+" 号记录与考核所固定的 "+pin.GetResource()+" 不符",
		"revision "+revision+" of the journal is not the "+pin.GetResource()+" that the campaign pins", fault.With("revision", revision))
}

func amountOverflow(town, fact string) error {
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_AMOUNT_OVERFLOW,
		town+" 的合计 "+fact+" 超出 64 位整数范围", "the sum "+fact+" of "+town+" does not fit into 64 bits",
		fault.With("town", town), fault.With("fact", fact))
}
