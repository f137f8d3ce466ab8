package migrate_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/migrate"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// crashEnv tells the child process where its store is.
const crashEnv = "YIZHEN_TEST_MIGRATE_STORE"

// allSteps are those of layout and of figures, in batches of which there are many.
func allSteps() *registry {
	g := newRegistry()
	g.plan.Steps = small(7, append(layout(), g.figures()...))
	return g
}

// TestKilledMigration kills a process in the middle of a migration, again and again at random instants, and compares what it comes
// to with what comes of it undisturbed.
func TestKilledMigration(t *testing.T) {
	if path := os.Getenv(crashEnv); path != "" {
		migrateAloud(path)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "town.db")
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	g := allSteps()
	db := onto(s)
	for i := range 200 {
		update(t, db, func(tx *journal.Tx) error {
			town := &townv1.Town{Name: fmt.Sprintf("towns/%03d", i), TitleEn: "silk"}
			err := g.towns.Create(tx, town)
			if i%3 == 2 {
				err = errors.Join(err, g.towns.Delete(tx, fmt.Sprintf("towns/%03d", i-1)))
			}
			return err
		})
	}
	age(t, s)
	undisturbed, whole := open(t)
	copyTo(t, s, undisturbed)
	if err := g.plan.Open(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for killAfter(t, path, 1+random.IntN(25)) {
		kills++
	}
	t.Logf("%d kills", kills)
	if kills < 5 {
		t.Error("too few kills to prove anything")
	}
	after := openBolt(t, path)
	if err := g.prove(t, onto(after)); err != nil {
		t.Error(err)
	}
	if keys := difference(dump(t, undisturbed), dump(t, after)); len(keys) > 0 {
		t.Errorf("killed, it has made something else of %q", keys)
	}
}

// migrateAloud migrates, and says on standard output when it is in the middle of a batch.
func migrateAloud(path string) {
	s, err := bolt.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	g := allSteps()
	for i, step := range g.plan.Steps {
		g.plan.Steps[i] = migrate.Step{Name: step.Name, Batch: func(tx *journal.Tx, cursor []byte, limit int) ([]byte, error) {
			next, err := step.Batch(tx, cursor, limit)
			fmt.Println(step.Name)
			return next, err
		}}
	}
	var open store.Store = s
	if err := g.plan.Open(context.Background(), onto(open)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// killAfter lets a child migrate, and kills it in the middle of a batch or soon after. It tells whether the child was killed before
// it was done.
func killAfter(t *testing.T, path string, batches int) bool {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledMigration$")
	child.Env = append(os.Environ(), crashEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); {
		if seen++; seen == batches {
			if err := child.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	err = child.Wait()
	if err != nil && child.ProcessState.ExitCode() != -1 {
		t.Fatal(err)
	}
	return err != nil
}
