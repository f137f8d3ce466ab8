package record

import (
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/uscc"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// These checks are rules of the contract, too, that protovalidate has no words for.

// CheckDate refuses a date that is given and is no day of the calendar.
func CheckDate(path string, d *date.Date) error {
	if d != nil && !civil.Valid(d) {
		return fault.NotADate(path)
	}
	return nil
}

// CheckDocuments refuses documents with dates that are no days of the calendar.
func CheckDocuments(path string, documents []*typev1.Document) error {
	for i, doc := range documents {
		if err := CheckDate(fmt.Sprintf("%s[%d].issue_date", path, i), doc.GetIssueDate()); err != nil {
			return err
		}
	}
	return nil
}

// CheckDivision refuses a resource that a field names and that is not of the division that an identifier begins with.
func CheckDivision(path, named, id string) error {
	if authz.DivisionOf(named) != authz.DivisionOf(id) {
		return fault.DivisionMismatch(path, named, id)
	}
	return nil
}

// CheckCreditCode refuses a unified social credit code that is given and breaks GB 32100, and names the rule it breaks.
func CheckCreditCode(path, code string) error {
	if code == "" {
		return nil
	}
	broken := uscc.Check(code)
	if broken == nil {
		return nil
	}
	rule, zh := "form", "应为 18 位数字或大写字母（不含 I、O、S、V、Z）"
	switch {
	case errors.Is(broken, uscc.ErrOrganisationCheck):
		rule, zh = "organisation_check", "第 17 位与第 9 至 16 位的组织机构代码（GB 11714）不符"
	case errors.Is(broken, uscc.ErrCheck):
		rule, zh = "check", "第 18 位校验码与前 17 位不符"
	}
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_CREDIT_CODE_INVALID,
		"统一社会信用代码 "+code+" 不符合 GB 32100："+zh, code+" is no unified social credit code: "+broken.Error(),
		fault.Field(path, broken.Error()), fault.With("rule", rule), fault.With("code", code))
}
