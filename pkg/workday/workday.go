// Package workday counts working days, for notices and terms that run in them.
//
// A week has five. The State Council's yearly notice takes days off it for holidays and gives some Saturdays and
// Sundays back; without that year's notice there is no answer, and none is guessed.
package workday

import (
	"fmt"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/civil"
)

// Calendar holds the holidays of the years that are loaded.
type Calendar struct {
	years    map[int32]bool
	holidays map[string]bool
	makeUps  map[string]bool
}

// MissingYearError says that a year's holidays are not loaded.
type MissingYearError struct{ Year int32 }

func (e *MissingYearError) Error() string {
	return fmt.Sprintf("the holiday calendar of %d is not loaded", e.Year)
}

// Load adds a year's holidays and the week-end days that are worked instead.
func (c *Calendar) Load(year int32, holidays, makeUps []*date.Date) {
	if c.years == nil {
		c.years, c.holidays, c.makeUps = map[int32]bool{}, map[string]bool{}, map[string]bool{}
	}
	c.years[year] = true
	for _, d := range holidays {
		c.holidays[civil.Text(d)] = true
	}
	for _, d := range makeUps {
		c.makeUps[civil.Text(d)] = true
	}
}

// IsWorkday tells whether a day is worked, or fails with a MissingYearError.
func (c *Calendar) IsWorkday(d *date.Date) (bool, error) {
	if !c.years[d.GetYear()] {
		return false, &MissingYearError{Year: d.GetYear()}
	}
	day := civil.Text(d)
	if c.makeUps[day] {
		return true, nil
	}
	return !c.holidays[day] && !Weekend(d), nil
}

// LastOf returns the n-th working day from first on, first included if it is one. n is at least 1.
func (c *Calendar) LastOf(first *date.Date, n int) (*date.Date, error) {
	if n < 1 {
		return nil, fmt.Errorf("%d working days", n)
	}
	for d := first; ; d = civil.AddDays(d, 1) {
		works, err := c.IsWorkday(d)
		if err != nil {
			return nil, err
		}
		if works {
			n--
		}
		if n == 0 {
			return d, nil
		}
	}
}

// Weekend tells whether a day is a Saturday or a Sunday.
func Weekend(d *date.Date) bool {
	w := civil.Start(d).Weekday()
	return w == 0 || w == 6
}
