package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/yizhen/yizhen/pkg/clock"
)

const (
	// progressBytes is after how much of a large file a line says how far it is, where lines are kept.
	progressBytes = 256 << 20
	// progressPause is how often a bar is drawn.
	progressPause = 200 * time.Millisecond
	// barWidth is that of a bar in characters.
	barWidth = 30
)

// progress is written what is read or written of a file, and tells how far that is: on a terminal as a bar that is drawn over
// and over in its line, elsewhere as a line now and then.
type progress struct {
	out      io.Writer
	clock    clock.Clock
	terminal bool
	of, verb string
	total    int64 // 0 if it is not known
	done     int64
	told     int64 // done, when it was last told
	drawn    int   // how wide what stands in the line is
	begun    time.Time
	last     time.Time
}

func newProgress(out io.Writer, of, verb string, total int64) *progress {
	p := &progress{out: out, clock: clock.System{}, terminal: isTerminal(out), of: of, verb: verb, total: total}
	p.begun = p.clock.Now()
	p.last = p.begun
	return p
}

// isTerminal tells whether what is written is seen by a person, who can be shown a line that changes.
func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	p.at(p.done + int64(len(b)))
	return len(b), nil
}

// at says how much is done.
func (p *progress) at(done int64) {
	p.done = done
	switch now := p.clock.Now(); {
	case p.terminal && now.Sub(p.last) >= progressPause:
		p.last = now
		p.draw(p.line(now))
	case !p.terminal && p.done-p.told >= progressBytes:
		p.told = p.done
		fmt.Fprintln(p.out, p.line(now))
	}
}

// end takes the bar away: what comes next says how it ended.
func (p *progress) end() {
	if p.drawn > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}

func (p *progress) draw(line string) {
	fmt.Fprintf(p.out, "\r%-*s", p.drawn, line)
	p.drawn = len(line)
}

func (p *progress) line(now time.Time) string {
	line := fmt.Sprintf("%s: %d MiB %s", p.of, p.done>>20, p.verb)
	if p.total > 0 {
		part := float64(min(p.done, p.total)) / float64(p.total)
		line = fmt.Sprintf("%s: %3.0f%% of %d MiB %s", p.of, 100*part, p.total>>20, p.verb)
		if p.terminal {
			line = fmt.Sprintf("%s [%-*s]", line, barWidth, strings.Repeat("=", int(barWidth*part)))
		}
	}
	if took := now.Sub(p.begun).Seconds(); took > 0 {
		line += fmt.Sprintf(", %.0f MiB/s", float64(p.done)/(1<<20)/took)
	}
	return line
}
