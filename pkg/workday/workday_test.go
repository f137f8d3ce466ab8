package workday_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/workday"
)

// days are those from one to another of a year, each given as month and day.
func days(year, fromMonth, from, toMonth, to int) (out []*date.Date) {
	last := civil.New(year, toMonth, to)
	for d := civil.New(year, fromMonth, from); civil.Compare(d, last) <= 0; d = civil.AddDays(d, 1) {
		out = append(out, d)
	}
	return out
}

// The General Office of the State Council on the holidays of 2023, 国办发明电〔2022〕16号.
func calendar2023() *workday.Calendar {
	var holidays, makeUps []*date.Date
	holidays = append(holidays, days(2023, 1, 1, 1, 2)...)   // New Year
	holidays = append(holidays, days(2023, 1, 21, 1, 27)...) // Spring Festival
	holidays = append(holidays, days(2023, 4, 5, 4, 5)...)   // Qingming
	holidays = append(holidays, days(2023, 4, 29, 5, 3)...)  // Labour Day
	holidays = append(holidays, days(2023, 6, 22, 6, 24)...) // Dragon Boat
	holidays = append(holidays, days(2023, 9, 29, 10, 6)...) // Mid-Autumn and National Day
	for _, md := range [][2]int{{1, 28}, {1, 29}, {4, 23}, {5, 6}, {6, 25}, {10, 7}, {10, 8}} {
		makeUps = append(makeUps, civil.New(2023, md[0], md[1]))
	}
	c := &workday.Calendar{}
	c.Load(2023, holidays, makeUps)
	return c
}

func TestIsWorkdayIn2023(t *testing.T) {
	c := calendar2023()
	for _, x := range []struct {
		month, day int
		what       string
		want       bool
	}{
		{1, 2, "a holiday on a Monday", false},
		{1, 3, "the day after", true},
		{1, 20, "the Friday before Spring Festival", true},
		{1, 21, "its first day", false},
		{1, 27, "its last day, a Friday", false},
		{1, 28, "a Saturday that is worked instead", true},
		{1, 29, "a Sunday that is worked instead", true},
		{3, 1, "a Wednesday like any other", true},
		{3, 4, "a Saturday like any other", false},
		{3, 5, "a Sunday like any other", false},
		{4, 5, "Qingming, a Wednesday", false},
		{4, 23, "a Sunday before Labour Day", true},
		{5, 6, "a Saturday after Labour Day", true},
		{6, 23, "the Friday of the Dragon Boat Festival", false},
		{6, 25, "the Sunday after it", true},
		{10, 1, "National Day", false},
		{10, 8, "the second Sunday of October", true},
		{12, 31, "the last day, a Sunday", false},
	} {
		got, err := c.IsWorkday(civil.New(2023, x.month, x.day))
		if err != nil || got != x.want {
			t.Errorf("%s, %d/%d: worked %v, %v; want %v", x.what, x.month, x.day, got, err, x.want)
		}
	}
	// 260 days of the year are Monday to Friday; 18 of them are holidays, 7 others are worked instead.
	worked := 0
	for _, d := range days(2023, 1, 1, 12, 31) {
		if works, err := c.IsWorkday(d); err != nil {
			t.Fatal(err)
		} else if works {
			worked++
		}
	}
	if worked != 249 {
		t.Errorf("%d days are worked in 2023, want 249", worked)
	}
}

func TestLastOf(t *testing.T) {
	c := calendar2023()
	for _, x := range []struct {
		what       string
		month, day int
		n          int
		want       string
	}{
		{"a notice of five days from a Wednesday", 3, 1, 5, "2023-03-07"},
		{"a first day that is worked counts", 3, 1, 1, "2023-03-01"},
		{"a first day that is not worked does not", 3, 4, 1, "2023-03-06"},
		{"over Spring Festival, into the week-end that is worked", 1, 18, 5, "2023-01-29"},
		{"over the long holiday of autumn", 9, 27, 5, "2023-10-09"},
		{"over Labour Day", 4, 27, 5, "2023-05-06"},
	} {
		got, err := c.LastOf(civil.New(2023, x.month, x.day), x.n)
		if err != nil || civil.Text(got) != x.want {
			t.Errorf("%s: %s, %v; want %s", x.what, civil.Text(got), err, x.want)
		}
	}
	for _, n := range []int{0, -1} {
		if _, err := c.LastOf(civil.New(2023, 3, 1), n); err == nil {
			t.Errorf("%d working days end", n)
		}
	}
}

func TestNothingIsGuessedOfAYearThatIsNotLoaded(t *testing.T) {
	var missing *workday.MissingYearError
	_, err := (&workday.Calendar{}).IsWorkday(civil.New(2023, 3, 1))
	if !errors.As(err, &missing) || missing.Year != 2023 {
		t.Errorf("an empty calendar answers %v", err)
	}
	c := calendar2023()
	if _, err := c.IsWorkday(civil.New(2022, 12, 31)); !errors.As(err, &missing) || missing.Year != 2022 {
		t.Errorf("the year before: %v", err)
	}
	missing = nil
	if _, err := c.LastOf(civil.New(2023, 12, 28), 5); !errors.As(err, &missing) || missing.Year != 2024 {
		t.Errorf("a term that runs into the next year: %v", err)
	}
	if last, err := c.LastOf(civil.New(2023, 12, 28), 2); err != nil || civil.Text(last) != "2023-12-29" {
		t.Errorf("one that does not: %v, %v", last, err)
	}
	c.Load(2024, []*date.Date{civil.New(2024, 1, 1)}, nil)
	if last, err := c.LastOf(civil.New(2023, 12, 28), 5); err != nil || civil.Text(last) != "2024-01-04" {
		t.Errorf("with the next year loaded: %v, %v", last, err)
	}
}

// TestLastOfCountsWorkdays: from the first day to the last there are as many working days as asked, and the last is one.
func TestLastOfCountsWorkdays(t *testing.T) {
	c := calendar2023()
	rapid.Check(t, func(t *rapid.T) {
		first := civil.AddDays(civil.New(2023, 1, 1), rapid.IntRange(0, 300).Draw(t, "first"))
		n := rapid.IntRange(1, 30).Draw(t, "n")
		last, err := c.LastOf(first, n)
		if err != nil {
			t.Fatal(err)
		}
		counted := 0
		for d := first; civil.Compare(d, last) <= 0; d = civil.AddDays(d, 1) {
			if works, err := c.IsWorkday(d); err == nil && works {
				counted++
			}
		}
		if works, err := c.IsWorkday(last); counted != n || !works || err != nil {
			t.Errorf("from %s to %s are %d working days, want %d", civil.Text(first), civil.Text(last), counted, n)
		}
	})
}

func ExampleCalendar_LastOf() {
	var c workday.Calendar
	holidays := []*date.Date{civil.New(2023, 4, 5)} // Qingming
	c.Load(2023, holidays, nil)
	last, err := c.LastOf(civil.New(2023, 4, 3), 5)
	fmt.Println(civil.Text(last), err)
	// Output: 2023-04-10 <nil>
}
