package civil_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/civil"
)

func TestDateOfIsTheDayInTheCity(t *testing.T) {
	for instant, want := range map[string]string{
		"2023-02-28T15:59:59Z":      "2023-02-28",
		"2023-02-28T16:00:00Z":      "2023-03-01",
		"2023-03-01T00:00:00+08:00": "2023-03-01",
		"2023-12-31T23:00:00-05:00": "2024-01-01",
	} {
		at, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			t.Fatal(err)
		}
		if got := civil.Text(civil.DateOf(at)); got != want {
			t.Errorf("%s is on %s, want %s", instant, got, want)
		}
	}
}

func TestArithmetic(t *testing.T) {
	for _, c := range []struct {
		what string
		got  *date.Date
		want string
	}{
		{"the 31st of April", civil.New(2023, 4, 31), "2023-05-01"},
		{"the day after the 28th of February", civil.AddDays(civil.New(2023, 2, 28), 1), "2023-03-01"},
		{"the same in a leap year", civil.AddDays(civil.New(2024, 2, 28), 1), "2024-02-29"},
		{"the day before New Year", civil.AddDays(civil.New(2023, 1, 1), -1), "2022-12-31"},
		{"three years later", civil.AddYears(civil.New(2023, 3, 1), 3), "2026-03-01"},
		{"a year after a leap day", civil.AddYears(civil.New(2024, 2, 29), 1), "2025-03-01"},
		{"four years after it", civil.AddYears(civil.New(2024, 2, 29), 4), "2028-02-29"},
	} {
		if got := civil.Text(c.got); got != c.want {
			t.Errorf("%s is %s, want %s", c.what, got, c.want)
		}
	}
}

func TestValid(t *testing.T) {
	for _, c := range []struct {
		d    *date.Date
		want bool
	}{
		{&date.Date{Year: 2023, Month: 3, Day: 1}, true},
		{&date.Date{Year: 2024, Month: 2, Day: 29}, true},
		{&date.Date{Year: 1, Month: 1, Day: 1}, true},
		{&date.Date{Year: 9999, Month: 12, Day: 31}, true},
		{nil, false},
		{&date.Date{}, false},
		{&date.Date{Year: 2023}, false},
		{&date.Date{Year: 2023, Month: 3}, false},
		{&date.Date{Month: 3, Day: 1}, false},
		{&date.Date{Year: 2023, Month: 2, Day: 29}, false},
		{&date.Date{Year: 2023, Month: 4, Day: 31}, false},
		{&date.Date{Year: 2023, Month: 13, Day: 1}, false},
		{&date.Date{Year: 2023, Month: -1, Day: 1}, false},
		{&date.Date{Year: 10000, Month: 1, Day: 1}, false},
	} {
		if got := civil.Valid(c.d); got != c.want {
			t.Errorf("Valid(%v) = %v, want %v", c.d, got, c.want)
		}
	}
}

func TestDaysAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := civil.New(rapid.IntRange(1900, 2100).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(1, 31).Draw(t, "day"))
		n := rapid.IntRange(-1000, 1000).Draw(t, "days")
		later := civil.AddDays(d, n)
		if !civil.Valid(d) || !civil.Valid(later) {
			t.Fatalf("%v and %v are not both days", d, later)
		}
		if got := civil.Compare(later, d); (got > 0) != (n > 0) || (got < 0) != (n < 0) {
			t.Errorf("%v is %d days after %v, Compare says %d", later, n, d, got)
		}
		if back := civil.AddDays(later, -n); !proto.Equal(back, d) {
			t.Errorf("%d days on and back from %v is %v", n, d, back)
		}
		if !proto.Equal(civil.DateOf(civil.Start(d)), d) || proto.Equal(civil.DateOf(civil.Start(d).Add(-time.Nanosecond)), d) {
			t.Errorf("%v does not begin at %v", d, civil.Start(d))
		}
	})
}

func ExampleDateOf() {
	evening := time.Date(2023, 2, 28, 17, 30, 0, 0, time.UTC)
	fmt.Println(civil.Text(civil.DateOf(evening)))
	// Output: 2023-03-01
}
