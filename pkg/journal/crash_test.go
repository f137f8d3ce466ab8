package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	oracle "github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// crashEnv tells the child process where its store is.
const crashEnv = "YIZHEN_TEST_CRASH_STORE"

// TestKilledProcess kills a process that writes, at random instants, and looks for what it had acknowledged.
func TestKilledProcess(t *testing.T) {
	if path := os.Getenv(crashEnv); path != "" {
		writeUntilKilled(path)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "town.db")
	acknowledged := 0
	for range 5 {
		acknowledged = max(acknowledged, killAfter(t, path, 1+random.IntN(80)))
		checkSurvived(t, path, acknowledged)
	}
}

// writeUntilKilled makes a commit of three changes after another, and says so on standard output.
func writeUntilKilled(path string) {
	s, err := bolt.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	db := journal.Open(s, "town", clock.System{})
	head, err := db.Head(context.Background())
	for n := int(head.GetRevision())/3 + 1; err == nil; n++ {
		err = db.Update(context.Background(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
			for _, part := range []string{"a", "b", "c"} {
				row := &townv1.Town{Name: fmt.Sprintf("towns/%d-%s", n, part), TitleZh: strings.Repeat("铸", n%100)}
				if err := towns.Create(tx, row); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			_, err = fmt.Println("acknowledged", n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// killAfter lets a child write, kills it some time after a number of commits, and returns the last commit that it
// acknowledged.
func killAfter(t *testing.T, path string, commits int) (last int) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
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
		n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "acknowledged "))
		if err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		last = n
		if seen++; seen == commits {
			if err := child.Process.Kill(); err != nil { // SIGKILL; what it still says comes before the end of the pipe
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
	return last
}

func checkSurvived(t *testing.T, path string, acknowledged int) {
	t.Helper()
	s, err := bolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	db := journal.Open(s, "town", clock.System{})
	defer db.Close()
	verify(t, db)
	all := changes(t, db)
	if len(all)%3 != 0 {
		t.Errorf("%d changes: half a commit is there", len(all))
	}
	if len(all) < 3*acknowledged {
		t.Errorf("%d commits were acknowledged, %d are there", acknowledged, len(all)/3)
	}
	kept := rows(t, db)
	for n := 1; n <= acknowledged; n++ {
		if _, ok := kept[fmt.Sprintf("row/Town/towns/%d-b", n)]; !ok {
			t.Errorf("commit %d was acknowledged and is lost", n)
		}
	}
	scratch, err := bolt.Open(filepath.Join(t.TempDir(), "replayed.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer scratch.Close()
	schema := store.NewSchema("town")
	store.Declare[*townv1.Town](schema)
	if _, err := oracle.Check(t.Context(), db, schema, scratch, nil); err != nil {
		t.Errorf("replay: %v", err)
	}
	t.Logf("%d acknowledged, %d there", acknowledged, len(all)/3)
}
