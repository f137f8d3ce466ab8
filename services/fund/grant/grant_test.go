package grant_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/services/fund/grant"
)

func TestShareAgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(0, 1e6), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "amount")
		bp := rapid.Int32Range(0, 10000).Draw(t, "bp")
		want := new(big.Int).Mul(big.NewInt(amount), big.NewInt(int64(bp)))
		want.Quo(want, big.NewInt(10000))
		if got := grant.Share(amount, bp); want.Cmp(big.NewInt(got)) != 0 {
			t.Fatalf("%d basis points of %d are %d, want %s", bp, amount, got, want)
		}
	})
}

func TestSplitIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, math.MaxInt64).Draw(t, "amount")
		var shares []int32
		for left := int32(10000); left > 0; {
			bp := rapid.Int32Range(1, left).Draw(t, "bp")
			shares, left = append(shares, bp), left-bp
		}
		var sum int64
		for i, part := range grant.Split(amount, shares) {
			if least := grant.Share(amount, shares[i]); part < least || part-least > int64(len(shares)) {
				t.Fatalf("part %d of %d is %d", i, amount, part)
			}
			sum += part
		}
		if sum != amount {
			t.Fatalf("the parts of %d add up to %d", amount, sum)
		}
	})
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits grant.Limits
		wanted int64
		want   int64
		breaks grant.Limit
	}{
		"what is asked for":          {grant.Limits{50, 100, 100, 100}, 0, 50, -1},
		"the least of the bounds":    {grant.Limits{50, 40, 30, 20}, 0, 20, -1},
		"what is wanted":             {grant.Limits{50, 40, 30, 20}, 20, 20, -1},
		"more than was asked for":    {grant.Limits{50, 100, 100, 100}, 51, 50, grant.Request},
		"more than the rate":         {grant.Limits{50, 40, 100, 100}, 41, 40, grant.Rate},
		"more than one may get":      {grant.Limits{50, 50, 30, 100}, 31, 30, grant.ApplicationCap},
		"more than the firm may get": {grant.Limits{50, 50, 50, 20}, 21, 20, grant.EnterpriseCap},
		"nothing left for the firm":  {grant.Limits{50, 50, 50, 0}, 0, 0, grant.EnterpriseCap},
		"a rate that gives nothing":  {grant.Limits{50, 0, 50, 50}, 0, 0, grant.Rate},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.limits.Amount(c.wanted)
			var exceeded *grant.Exceeded
			if errors.As(err, &exceeded) {
				if exceeded.Limit != c.breaks || exceeded.MostFen != c.want {
					t.Errorf("breaks %+v, want limit %d with %d fen", exceeded, c.breaks, c.want)
				}
			} else if c.breaks >= 0 || got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestAverage(t *testing.T) {
	for want, points := range map[string][]int32{
		"0.00": {0}, "100.00": {100}, "86.67": {86, 87, 87}, "86.33": {86, 86, 87}, "50.13": {50, 50, 50, 50, 50, 50, 50, 51},
	} {
		if got := grant.Average(points); got != want {
			t.Errorf("average of %v is %s, want %s", points, got, want)
		}
	}
}
