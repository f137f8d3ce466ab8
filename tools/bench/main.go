// Bench measures what the suite gives of what the machine gives. Every figure is measured in the same run as the limit it
// is held against, in turns of a second or so, so that what else the machine does meets both alike. It prints one table.
//
// Servers run as processes of their own, on loopback, with authentication, validation, journal and receipts: as they do in
// service. What is measured includes the client, which shares the processors with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// options say what is measured, and for how long.
type options struct {
	parts    string
	sizes    []int
	callers  []int
	turn     time.Duration
	rounds   int
	watchers int
	commits  int
	etcd     string
	folder   string
	profiles string
}

// The parts of a run.
const (
	partCalls  = "calls"
	partGrowth = "growth"
	partWatch  = "watch"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		exit(child(os.Args[2:], os.Stdin, os.Stdout))
	}
	o := options{sizes: []int{10_000, 100_000, 1_000_000}, callers: []int{1, 16, 64, 256}}
	quick := flag.Bool("quick", false, "take fractions of a second and at most 20,000 rows: does it work, rather than how fast")
	flag.StringVar(&o.parts, "parts", strings.Join([]string{partCalls, partGrowth, partWatch}, ","), "the parts to measure")
	flag.DurationVar(&o.turn, "turn", time.Second, "how long one turn of one measurement is")
	flag.IntVar(&o.rounds, "rounds", 3, "how many turns each measurement gets")
	flag.IntVar(&o.watchers, "watchers", 1000, "how many watch the journal")
	flag.IntVar(&o.commits, "commits", 100, "how many commits they watch")
	flag.StringVar(&o.etcd, "etcd", filepath.Join(".build", "bin", "etcd"), "the etcd server to measure, left out if it is not there")
	flag.StringVar(&o.folder, "folder", "", "where the stores are while they are measured (default: a temporary folder)")
	flag.StringVar(&o.profiles, "profiles", "", "a folder to write CPU profiles of the servers to")
	flag.Parse()
	if *quick {
		o.sizes, o.turn, o.rounds, o.watchers, o.commits = []int{2_000, 20_000}, 200*time.Millisecond, 1, 100, 20
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run measures the parts and prints the table.
func run(ctx context.Context, o options) (err error) {
	parent := o.folder
	if o.folder, err = os.MkdirTemp(parent, "yizhen-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.folder)) }()
	b := &bench{options: o, table: &table{}}
	defer func() { err = errors.Join(err, b.close()) }()
	b.table.note("%s/%s, %s, %d processors, stores in %s", runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(),
		filepath.Dir(o.folder))
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{partCalls, b.calls}, {partGrowth, b.growth}, {partWatch, b.watch}} {
		if !slices.Contains(strings.Split(o.parts, ","), part.name) {
			continue
		}
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.table.print(os.Stdout)
}

// bench is one run.
type bench struct {
	options
	table  *table
	closed []func() error
}

// later puts off to the end of the run what gives something back.
func (b *bench) later(giveBack func() error) { b.closed = append(b.closed, giveBack) }

func (b *bench) close() error {
	var errs []error
	for _, giveBack := range slices.Backward(b.closed) {
		errs = append(errs, giveBack())
	}
	b.closed = nil
	return errors.Join(errs...)
}

// progress tells whoever waits what is being done.
func progress(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", arguments...)
}
