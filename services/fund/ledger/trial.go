package ledger

import "math"

// Sum is a pair of sums.
type Sum struct{ DebitFen, CreditFen int64 }

// BalanceFen is the debits less the credits.
func (s Sum) BalanceFen() int64 { return s.DebitFen - s.CreditFen }

// Trial is a trial balance: the accounts of a budget summed by stage, and in all.
type Trial struct {
	ByStage map[Stage]Sum
	Total   Sum
}

// Foots tells whether the books are in order: as much was debited as was credited.
func (t Trial) Foots() bool { return t.Total.DebitFen == t.Total.CreditFen }

// Add takes an account into the trial balance, or fails with ErrOverflow.
func (t *Trial) Add(a Account) error {
	if t.ByStage == nil {
		t.ByStage = map[Stage]Sum{}
	}
	// The total is the sum of the stages, none of which is negative: what fits the total fits them.
	if t.Total.DebitFen > math.MaxInt64-a.DebitFen || t.Total.CreditFen > math.MaxInt64-a.CreditFen {
		return ErrOverflow
	}
	t.Total.DebitFen += a.DebitFen
	t.Total.CreditFen += a.CreditFen
	row := t.ByStage[a.Stage]
	row.DebitFen += a.DebitFen
	row.CreditFen += a.CreditFen
	t.ByStage[a.Stage] = row
	return nil
}
