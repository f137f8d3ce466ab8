package project

import (
	"strings"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/record"
)

// covers tells whether a division is another one or lies above it.
func covers(division, other string) bool {
	return strings.HasPrefix(other, authn.DivisionPrefix(division))
}

// checkAhead refuses a new deadline that is no day of the calendar, or not after today.
func checkAhead(path string, d, today *date.Date) error {
	if err := record.CheckDate(path, d); err != nil {
		return err
	}
	if civil.Compare(d, today) <= 0 {
		return dateNotAhead(path, d, today)
	}
	return nil
}
