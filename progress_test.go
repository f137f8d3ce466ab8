package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/clock"
)

// screen is what a terminal is written.
type screen struct{ strings.Builder }

func (*screen) Stat() (os.FileInfo, error) { return os.Stat(os.DevNull) }

func TestABarIsDrawnOnATerminal(t *testing.T) {
	var seen screen
	c := clock.NewManual(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	p := newProgress(&seen, "town.backup", "received", 64<<20)
	p.clock, p.begun, p.last = c, c.Now(), c.Now()
	chunk := make([]byte, 1<<20)
	for range 64 {
		c.Advance(50 * time.Millisecond)
		if _, err := p.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	p.end()
	lines := strings.Split(strings.TrimPrefix(seen.String(), "\r"), "\r")
	if len(lines) != 64/4+2 {
		t.Errorf("it is drawn %d times", len(lines))
	}
	if want := "town.backup:  50% of 64 MiB received [===============               ], 20 MiB/s"; strings.TrimSpace(lines[7]) != want {
		t.Errorf("half way it is %q, want %q", lines[7], want)
	}
	if last := lines[len(lines)-2]; strings.TrimSpace(last) != "" {
		t.Errorf("at the end it leaves %q", last)
	}
	if strings.Contains(seen.String(), "\n") {
		t.Error("it takes more than a line")
	}
}

func TestElsewhereALineIsKeptNowAndThen(t *testing.T) {
	var kept strings.Builder
	c := clock.NewManual(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	p := newProgress(&kept, "town.backup", "checked", 1<<30)
	p.clock, p.begun, p.last = c, c.Now(), c.Now()
	for i := range int64(1 << 10) {
		c.Advance(10 * time.Millisecond)
		p.at((i + 1) << 20)
	}
	p.end()
	want := "town.backup:  25% of 1024 MiB checked, 100 MiB/s\ntown.backup:  50% of 1024 MiB checked, 100 MiB/s\n" +
		"town.backup:  75% of 1024 MiB checked, 100 MiB/s\ntown.backup: 100% of 1024 MiB checked, 100 MiB/s\n"
	if kept.String() != want {
		t.Errorf("it says\n%swant\n%s", &kept, want)
	}
}
