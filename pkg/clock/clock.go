// Package clock passes the time in, so that rules about days can be tried on any day and nothing waits
// in a test.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock tells the time.
type Clock interface {
	Now() time.Time
}

// System is the machine's clock.
type System struct{}

// Now implements Clock.
func (System) Now() time.Time { return time.Now() }

// Manual is a clock that stands still until it is moved.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// NewManual returns a clock that stands at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t} }

// Now implements Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Set moves the clock to t, forward or back.
func (m *Manual) Set(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = t
}

// Advance moves the clock forward by d.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

// Shifted runs at the machine's pace from wherever it was last set: a demonstration that lives through a year still sees
// time pass between two clicks. The zero value is the machine's clock. It is safe for concurrent use.
type Shifted struct{ shift atomic.Int64 }

// Now implements Clock.
func (s *Shifted) Now() time.Time {
	return time.Now().Add(time.Duration(s.shift.Load()))
}

// Set makes it t now, and lets the clock run on from there.
func (s *Shifted) Set(t time.Time) { s.shift.Store(int64(time.Until(t))) }
