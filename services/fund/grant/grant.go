// Package grant works out what a call permits: how much an application may get, how an award is split into tranches, and
// what its experts gave it on average.
package grant

import "fmt"

// whole is all of something in basis points.
const whole = 10000

// Share returns so many basis points of an amount, rounded down to the fen. Neither is negative, and the share is 10000
// at most, so it cannot overflow: the amount is never multiplied as a whole.
func Share(amountFen int64, bp int32) int64 {
	return amountFen/whole*int64(bp) + amountFen%whole*int64(bp)/whole
}

// Limit is one bound on what is approved.
type Limit int

// The bounds, in the order in which they are looked at.
const (
	Request Limit = iota
	Rate
	ApplicationCap
	EnterpriseCap
	limits
)

// Limits are the most that each bound permits, in fen.
type Limits [limits]int64

// Exceeded says which bound an amount breaks.
type Exceeded struct {
	Limit   Limit
	MostFen int64
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("more than the %d fen of limit %d", e.MostFen, e.Limit)
}

// Amount returns what to approve: what is wanted, or if that is 0 the most that all bounds permit. It fails with Exceeded
// where a bound permits less than is wanted, or nothing.
func (l Limits) Amount(wantedFen int64) (int64, error) {
	most := l[Request]
	for bound, fen := range l {
		if fen <= 0 || wantedFen > fen {
			return 0, &Exceeded{Limit: Limit(bound), MostFen: max(fen, 0)}
		}
		most = min(most, fen)
	}
	if wantedFen == 0 {
		return most, nil
	}
	return wantedFen, nil
}

// Split divides an award by shares that add up to the whole. Each part is rounded down to the fen, and the last one has
// the rest, so the parts add up to the amount.
func Split(amountFen int64, sharesBP []int32) []int64 {
	parts := make([]int64, len(sharesBP))
	rest := amountFen
	for i, bp := range sharesBP {
		parts[i] = Share(amountFen, bp)
		rest -= parts[i]
	}
	if len(parts) > 0 {
		parts[len(parts)-1] += rest
	}
	return parts
}

// Average writes the average of points with two decimals: `86.67`. Halves go up. There is at least one, and none is
// negative.
func Average(points []int32) string {
	var sum int64
	for _, p := range points {
		sum += int64(p)
	}
	n := int64(len(points))
	hundredths := (sum*200 + n) / (2 * n)
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}
