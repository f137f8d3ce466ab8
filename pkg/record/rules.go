package record

import (
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
)

// rulesZH says in Chinese what each rule of the contract asks for; protovalidate knows them in English only. A verb stands
// for the value of the rule.
var rulesZH = map[string]string{
	"required":     "必须填写",
	"pattern":      "须符合格式 %v",
	"len":          "须为 %v 个字符",
	"min_len":      "至少 %v 个字符",
	"max_len":      "至多 %v 个字符",
	"gte":          "不得小于 %v",
	"lte":          "不得大于 %v",
	"gte_lte":      "超出允许的范围",
	"min_items":    "至少 %v 项",
	"max_items":    "至多 %v 项",
	"unique":       "不得重复",
	"defined_only": "不是接口约定的取值",
	"not_in":       "必须选定一个取值",
}

// ruleZH says in Chinese which rule a field breaks, or in English if it is one that the contract had no use for so far.
func ruleZH(v *protovalidate.Violation) string {
	kind, rule, typed := strings.Cut(v.Proto.GetRuleId(), ".")
	if !typed {
		rule = kind
	}
	text, ok := rulesZH[rule]
	switch {
	case !ok:
		return v.Proto.GetMessage()
	case strings.Contains(text, "%v"):
		return fmt.Sprintf(text, v.RuleValue)
	default:
		return text
	}
}
