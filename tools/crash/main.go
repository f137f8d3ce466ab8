// Command crash kills services while they work, and looks for what was lost. It runs one as a process under load, keeps
// its own record of what was asked and answered, ends the process with SIGKILL at a random instant or at a fail point,
// holds the store that is left against the record, and starts the service again on it. docs/testing.md tells more.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/yizhen/yizhen/pkg/clock"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in. It returns 1 if a promise was broken, 2 if nothing could be tried.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{}
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.kills, "kills", 20, "how often to kill")
	flags.Uint64Var(&o.seed, "seed", 0, "repeat the decisions of a run; 0 takes a new seed")
	flags.StringVar(&o.binary, "bin", "", "the yizhen program; it is built if this is empty")
	flags.StringVar(&o.engine, "engine", "bolt", "what the stores are on: bolt, or etcd, where two processes share one and members are killed too")
	points := flags.String("failpoints", "", "fail points that the program was built with, with commas between: every second kill is at one")
	flags.StringVar(&o.folder, "folder", "", "where the stores are; one that is thrown away, if this is empty")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if o.engine != "bolt" && o.engine != "etcd" {
		fmt.Fprintf(stderr, "crash: there is no engine %q\n", o.engine)
		return 2
	}
	if *points != "" {
		o.points = strings.Split(*points, ",")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	o.clock = clock.System{}
	r, err := o.run(ctx, stdout)
	if r != nil {
		r.print(stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "crash:", err)
		return 2
	case len(r.violations) > 0:
		fmt.Fprintf(stderr, "crash: %d promises broken; the store is in %s; once more: make crash ENGINE=%s KILLS=%d SEED=%d\n", len(r.violations), o.folder, o.engine, o.kills, o.seed)
		return 1
	}
	return 0
}

// build builds the program as it is.
func build(ctx context.Context, folder string) (string, error) {
	out := filepath.Join(folder, "yizhen")
	raw, err := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/yizhen/yizhen").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, raw)
	}
	return out, nil
}
