package project

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/uscc"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// checkDivision refuses a resource that is not of the division that an identifier begins with.
func checkDivision(path, name, id string) error {
	if authz.DivisionOf(name) != authz.DivisionOf(id) {
		return divisionMismatch(path, name, id)
	}
	return nil
}

// covers tells whether a division is another one or lies above it.
func covers(division, other string) bool {
	return strings.HasPrefix(other, authn.DivisionPrefix(division))
}

// checkDate refuses a date that is given and is no day of the calendar.
func checkDate(path string, d *date.Date) error {
	if d != nil && !civil.Valid(d) {
		return notADate(path)
	}
	return nil
}

// checkAhead refuses a new deadline that is no day of the calendar, or not after today.
func checkAhead(path string, d, today *date.Date) error {
	if err := checkDate(path, d); err != nil {
		return err
	}
	if civil.Compare(d, today) <= 0 {
		return dateNotAhead(path, d, today)
	}
	return nil
}

// checkDocuments refuses documents with dates that are no days of the calendar.
func checkDocuments(documents []*typev1.Document) error {
	for i, doc := range documents {
		if err := checkDate(fmt.Sprintf("documents[%d].issue_date", i), doc.GetIssueDate()); err != nil {
			return err
		}
	}
	return nil
}

// checkCreditCode refuses a unified social credit code that is given and breaks GB 32100.
func checkCreditCode(path, code string) error {
	if code == "" {
		return nil
	}
	if err := uscc.Check(code); err != nil {
		return creditCodeInvalid(path, code, err)
	}
	return nil
}
