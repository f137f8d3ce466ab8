package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/proto"
)

// table gathers what was measured, to be printed at the end.
type table struct {
	notes []string
	lines []string
}

// line is one measurement, and what it is held against.
type line struct {
	what string
	load *load
	// limit is the load it is held against, and against its name; nil for a limit itself.
	limit   *load
	against string
	// latency compares how long it takes, not how often it is done.
	latency bool
	// target is the ratio to reach, at most for latencies and at least for rates; 0 for none.
	target float64
}

// columns are how many each line has.
const columns = 7

// note adds a line above the table.
func (t *table) note(format string, arguments ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, arguments...))
}

func (t *table) section(title string) {
	t.lines = append(t.lines, strings.Repeat("\t", columns), title+strings.Repeat("\t", columns))
}

func (t *table) row(l line) {
	f := l.load.measured
	ratio, target := "", ""
	if l.limit != nil {
		of := f.rate() / l.limit.measured.rate()
		if l.latency {
			of = float64(f.quantile(50)) / float64(l.limit.measured.quantile(50))
		}
		ratio = fmt.Sprintf("%.2f of %s", of, l.against)
		switch {
		case l.target == 0:
		case l.latency:
			target = verdict(fmt.Sprintf("≤ %.2f", l.target), of <= l.target)
		default:
			target = verdict(fmt.Sprintf("≥ %.2f", l.target), of >= l.target)
		}
	}
	t.lines = append(t.lines, fmt.Sprintf("  %s\t%d\t%.0f\t%v\t%v\t%s\t%s\t", l.what, l.load.callers, f.rate(),
		round(f.quantile(50)), round(f.quantile(99)), ratio, target))
}

// fact adds a line that is no rate.
func (t *table) fact(what, value, target string, reached bool) {
	if target != "" {
		target = verdict(target, reached)
	}
	t.lines = append(t.lines, fmt.Sprintf("  %s\t\t\t\t\t%s\t%s\t", what, value, target))
}

func verdict(target string, reached bool) string {
	if reached {
		return target + " reached"
	}
	return target + " MISSED"
}

func (t *table) print(w io.Writer) error {
	for _, n := range t.notes {
		fmt.Fprintln(w, n)
	}
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(aligned, "\tCALLERS\tPER SECOND\tP50\tP99\tRATIO\tTARGET\t")
	for _, l := range t.lines {
		fmt.Fprintln(aligned, l)
	}
	return aligned.Flush()
}

// round drops the digits that mean nothing.
func round(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(time.Millisecond)
	}
}

// answerSize is how many bytes the answer to a read or create has.
func answerSize() int { return proto.Size(answered()) }
