package clock_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/clock"
)

var (
	_ clock.Clock = clock.System{}
	_ clock.Clock = (*clock.Manual)(nil)
	_ clock.Clock = (*clock.Shifted)(nil)
)

var march = time.Date(2023, 3, 1, 1, 0, 0, 0, time.UTC)

func TestManualStandsStillUntilItIsMoved(t *testing.T) {
	c := clock.NewManual(march)
	if got := c.Now(); !got.Equal(march) {
		t.Errorf("stands at %v, want %v", got, march)
	}
	c.Advance(36 * time.Hour)
	if got, want := c.Now(), march.Add(36*time.Hour); !got.Equal(want) {
		t.Errorf("after an advance %v, want %v", got, want)
	}
	c.Set(march.Add(-time.Minute))
	if got, want := c.Now(), march.Add(-time.Minute); !got.Equal(want) {
		t.Errorf("set back %v, want %v", got, want)
	}
}

func TestSystemTellsTheTime(t *testing.T) {
	before, now, after := time.Now(), clock.System{}.Now(), time.Now()
	if now.Before(before) || now.After(after) {
		t.Errorf("%v is not between %v and %v", now, before, after)
	}
}

// slack is far more than a test takes, and far less than a clock is shifted by.
const slack = time.Minute

func near(t *testing.T, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want); d < 0 || d > slack {
		t.Errorf("it is %v, want %v or a little later", got, want)
	}
}

func TestShifted(t *testing.T) {
	t.Run("unset it is the machine's clock", func(t *testing.T) {
		var c clock.Shifted
		near(t, c.Now(), time.Now().Add(-time.Second))
	})
	t.Run("it runs on from where it is set", func(t *testing.T) {
		var c clock.Shifted
		c.Set(march)
		first := c.Now()
		near(t, first, march)
		second := c.Now()
		for !second.After(first) {
			second = c.Now() // a clock that stands still never leaves this loop
		}
		near(t, second, march)
	})
	t.Run("it may be set forward and back", func(t *testing.T) {
		var c clock.Shifted
		for _, at := range []time.Time{march.AddDate(30, 0, 0), march.AddDate(-20, 0, 0), march} {
			c.Set(at)
			near(t, c.Now(), at)
		}
	})
	t.Run("it is safe for concurrent use", func(t *testing.T) {
		var c clock.Shifted
		c.Set(march)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 100 {
					c.Set(march)
					if d := c.Now().Sub(march).Abs(); d > slack {
						t.Errorf("it is %v off", d)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

func ExampleManual() {
	c := clock.NewManual(time.Date(2023, 3, 1, 8, 0, 0, 0, time.UTC))
	c.Advance(48 * time.Hour)
	fmt.Println(c.Now().Format(time.DateOnly))
	// Output: 2023-03-03
}
