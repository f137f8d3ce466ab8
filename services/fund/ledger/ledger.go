// Package ledger keeps the books of the fund by double entry, so that money neither appears nor goes: it moves.
//
// These rules hold whatever the rest of the service does: what a transfer takes from accounts it brings to others;
// nothing but the sources of a budget is overdrawn; a transfer stays within one budget, so each budget foots by itself;
// an identifier is used once; what was posted is never changed, only reversed by its mirror image, once; sums that do
// not fit are refused. A transfer that breaks a rule changes nothing.
package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math"
)

// Account is what the books have of one account.
type Account struct {
	// Year is the budget that it belongs to.
	Year string
	// Stage is where its money is.
	Stage Stage
	// DebitFen and CreditFen are the sums of what came to it and of what left it. Both only grow.
	DebitFen, CreditFen int64
	// Transfers is how many transfers have touched it.
	Transfers int64
}

// BalanceFen is what is there. It cannot overflow: neither sum is negative.
func (a Account) BalanceFen() int64 { return a.DebitFen - a.CreditFen }

// Leg is one side of a transfer: an amount comes to an account, or leaves it.
type Leg struct {
	Account             string
	DebitFen, CreditFen int64
}

// Transfer is one movement of money.
type Transfer struct {
	ID   string
	Legs []Leg
	// Reverses is the identifier of the transfer that it undoes; empty if it undoes none.
	Reverses string
}

// Books are accounts and the transfers posted between them: all there are, or those that the next transfer is held
// against.
type Books struct {
	Accounts  map[string]Account
	Transfers map[string]Transfer
	// Reversals maps what was reversed to what reversed it.
	Reversals map[string]string
}

// NewBooks returns books with nothing in them.
func NewBooks() *Books {
	return &Books{Accounts: map[string]Account{}, Transfers: map[string]Transfer{}, Reversals: map[string]string{}}
}

// ErrOverflow says that a sum does not fit into 64 bits of fen.
var ErrOverflow = errors.New("the sum does not fit into 64 bits of fen")

// Add returns the sum of two amounts, or ErrOverflow.
func Add(a, b int64) (int64, error) {
	if b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// InsufficientError says that an account does not hold what a transfer would take from it.
type InsufficientError struct {
	Account               string
	BalanceFen, AmountFen int64
}

func (e *InsufficientError) Error() string {
	return fmt.Sprintf("account %s holds %d fen and not %d", e.Account, e.BalanceFen, e.AmountFen)
}

// PostedError says that a transfer of the identifier was posted before.
type PostedError struct{ ID string }

func (e *PostedError) Error() string { return fmt.Sprintf("transfer %s was posted before", e.ID) }

// InvalidError says that a transfer is none that any books would take.
type InvalidError struct{ ID, Problem string }

func (e *InvalidError) Error() string { return fmt.Sprintf("transfer %s %s", e.ID, e.Problem) }

// Post enters a transfer, or fails and leaves the books as they are.
func (b *Books) Post(t Transfer) error {
	if err := b.check(t); err != nil {
		return err
	}
	touched := map[string]Account{}
	for _, leg := range t.Legs {
		a := b.Accounts[leg.Account]
		if leg.CreditFen > a.BalanceFen() && a.Stage != Sources {
			return &InsufficientError{Account: leg.Account, BalanceFen: a.BalanceFen(), AmountFen: leg.CreditFen}
		}
		if a.DebitFen > math.MaxInt64-leg.DebitFen || a.CreditFen > math.MaxInt64-leg.CreditFen {
			return ErrOverflow
		}
		a.DebitFen += leg.DebitFen
		a.CreditFen += leg.CreditFen
		a.Transfers++
		touched[leg.Account] = a
	}
	maps.Copy(b.Accounts, touched)
	b.Transfers[t.ID] = t
	if t.Reverses != "" {
		b.Reversals[t.Reverses] = t.ID
	}
	return nil
}

// check holds a transfer against the rules that do not depend on balances.
func (b *Books) check(t Transfer) error {
	invalid := func(format string, args ...any) error {
		return &InvalidError{ID: t.ID, Problem: fmt.Sprintf(format, args...)}
	}
	if t.ID == "" || len(t.Legs) < 2 {
		return invalid("has no identifier or fewer than two legs")
	}
	if _, posted := b.Transfers[t.ID]; posted {
		return &PostedError{ID: t.ID}
	}
	seen := map[string]bool{}
	var debit, credit int64
	for _, leg := range t.Legs {
		a, known := b.Accounts[leg.Account]
		switch {
		case !known:
			return invalid("touches account %s, which is not there", leg.Account)
		case seen[leg.Account]:
			return invalid("touches account %s twice", leg.Account)
		case a.Year != b.Accounts[t.Legs[0].Account].Year:
			return invalid("leads from one budget to another")
		case leg.DebitFen < 0, leg.CreditFen < 0, (leg.DebitFen == 0) == (leg.CreditFen == 0):
			return invalid("has a leg that is not either a debit or a credit")
		case debit > math.MaxInt64-leg.DebitFen, credit > math.MaxInt64-leg.CreditFen:
			return ErrOverflow
		}
		seen[leg.Account] = true
		debit += leg.DebitFen
		credit += leg.CreditFen
	}
	if debit != credit {
		return invalid("debits %d fen and credits %d", debit, credit)
	}
	return b.checkReversal(t, invalid)
}

// checkReversal makes sure that a reversal is the mirror image of a transfer that stands.
func (b *Books) checkReversal(t Transfer, invalid func(string, ...any) error) error {
	if t.Reverses == "" {
		return nil
	}
	original, posted := b.Transfers[t.Reverses]
	if !posted {
		return invalid("reverses %s, which was not posted", t.Reverses)
	}
	if by, reversed := b.Reversals[t.Reverses]; reversed {
		return invalid("reverses %s, which %s has reversed", t.Reverses, by)
	}
	mirror := map[Leg]bool{}
	for _, leg := range original.Legs {
		mirror[Leg{Account: leg.Account, DebitFen: leg.CreditFen, CreditFen: leg.DebitFen}] = true
	}
	if len(t.Legs) != len(mirror) {
		return invalid("is not the mirror image of %s", t.Reverses)
	}
	for _, leg := range t.Legs {
		if !mirror[leg] {
			return invalid("is not the mirror image of %s", t.Reverses)
		}
	}
	return nil
}
