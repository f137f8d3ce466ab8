package project

import (
	"errors"
	"testing"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project/quota"
	"github.com/yizhen/yizhen/services/project/tally"
)

// Amounts are bounded by the contract, so that it takes ten thousand of the largest projects to overflow a sum. That it would
// be refused is shown here.
func TestSumThatDoesNotFitIsRefused(t *testing.T) {
	err := sumFault(&tally.OverflowError{Figure: tally.Planned})
	if !fault.Is(err, typev1.Reason_REASON_AMOUNT_OVERFLOW) {
		t.Errorf("got %v", err)
	}
}

// An account that was not kept is the server's own fault, and no caller is told that it is theirs.
func TestBrokenAccountIsNobodysRefusal(t *testing.T) {
	for _, broken := range []error{&quota.NotReservedError{Reserved: 1, Wanted: 2}, errors.New("was not counted")} {
		if err := sumFault(quotaFault("factorQuotas/140525-land-2023", broken)); fault.IsStatus(err) {
			t.Errorf("%v became %v", broken, err)
		}
	}
}
