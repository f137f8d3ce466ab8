package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// load is something that callers do as often as they can.
type load struct {
	callers int
	// call does it once. Each caller waits for its own; the callers do it at the same time.
	call func(ctx context.Context, caller int) error

	measured figures
}

// figures are what came of a load.
type figures struct {
	took      time.Duration
	latencies []time.Duration
}

// rate returns how often it was done in a second.
func (f figures) rate() float64 {
	if f.took == 0 {
		return 0
	}
	return float64(len(f.latencies)) / f.took.Seconds()
}

// quantile returns the time that a share of the calls took at most, in per cent.
func (f figures) quantile(percent int) time.Duration {
	if len(f.latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.latencies))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

// warmUp is the part of a turn that goes before the first one and is not counted.
const warmUp = 0.3

// alternate gives loads their turns, one after the other and round for round, so that what disturbs the machine for a
// while meets all of them.
func alternate(ctx context.Context, rounds int, turn time.Duration, loads ...*load) error {
	for _, l := range loads {
		if _, err := l.run(ctx, time.Duration(warmUp*float64(turn))); err != nil {
			return err
		}
	}
	for range rounds {
		for _, l := range loads {
			f, err := l.run(ctx, turn)
			if err != nil {
				return err
			}
			l.measured.took += f.took
			l.measured.latencies = append(l.measured.latencies, f.latencies...)
		}
	}
	return nil
}

// run lets the callers call for a while.
func (l *load) run(ctx context.Context, turn time.Duration) (f figures, err error) {
	each := make([][]time.Duration, l.callers)
	errs := make([]error, l.callers)
	var group sync.WaitGroup
	begun := time.Now()
	end := begun.Add(turn)
	for caller := range l.callers {
		group.Go(func() {
			for at := time.Now(); at.Before(end); {
				if errs[caller] = l.call(ctx, caller); errs[caller] != nil {
					return
				}
				now := time.Now()
				each[caller] = append(each[caller], now.Sub(at))
				at = now
			}
		})
	}
	group.Wait()
	return figures{took: time.Since(begun), latencies: slices.Concat(each...)}, errors.Join(errs...)
}
