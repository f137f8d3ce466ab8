package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yizhen/yizhen/pkg/journal"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// signedAt returns the revisions that have checkpoints.
func signedAt(t testing.TB, db *journal.DB) (at []int64) {
	t.Helper()
	all, err := db.Checkpoints(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		at = append(at, c.GetRevision())
	}
	return at
}

// TestNotarySignsAfterSoManyRevisions goes by a clock that stands still while anything is done.
func TestNotarySignsAfterSoManyRevisions(t *testing.T) {
	signer, _ := newSigner(t, 1)
	synctest.Test(t, func(t *testing.T) {
		db, _ := open(t)
		n := &journal.Notary{DB: db, Signer: signer, Every: time.Hour, Revisions: 3, Logger: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- n.Run(ctx) }()
		expect := func(shows string, want ...int64) {
			t.Helper()
			<-time.After(time.Second)
			synctest.Wait()
			if got := signedAt(t, db); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: signed at %v, want %v", shows, got, want)
			}
		}
		putTowns(t, db, "1", "towns/a", "towns/b")
		expect("two revisions wait")
		putTowns(t, db, "2", "towns/a")
		expect("the third does not", 3)
		putTowns(t, db, "3", "towns/a", "towns/b", "towns/c", "towns/d")
		expect("a commit is signed whole", 3, 7)
		putTowns(t, db, "4", "towns/a")
		expect("one more waits", 3, 7)
		<-time.After(time.Hour)
		expect("for the time", 3, 7, 8)
		for i := range 300 { // without a pause
			putTowns(t, db, fmt.Sprint(i), "towns/z")
		}
		expect("what comes in one go is signed in one go", 3, 7, 8, 308)
		putTowns(t, db, "5", "towns/a")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := signedAt(t, db); got[len(got)-1] != 309 {
			t.Errorf("at the end it is signed up to %v, want 309", got)
		}
	})
}

// keeping is a journal whose checkpoints go to a file.
type keeping struct {
	db     *journal.DB
	signer *journal.Signer
	path   string
}

func keep(t *testing.T) *keeping {
	db, _ := open(t)
	signer, _ := newSigner(t, 1)
	return &keeping{db: db, signer: signer, path: filepath.Join(t.TempDir(), "town.checkpoints")}
}

// sign has a notary begin, sign the head and end.
func (k *keeping) sign(t testing.TB) error {
	t.Helper()
	file, err := journal.OpenCheckpointFile(k.path)
	if err != nil {
		return err
	}
	n := &journal.Notary{DB: k.db, Signer: k.signer, Every: time.Hour, Revisions: 2, File: file, Logger: slog.New(slog.DiscardHandler)}
	defer n.Close()
	if err := n.Begin(t.Context()); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return n.Run(ctx)
}

// inFile returns the file's text and the revisions of which it has checkpoints.
func (k *keeping) inFile(t testing.TB) (text []byte, at []int64) {
	t.Helper()
	text, err := os.ReadFile(k.path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := journal.ReadCheckpoints(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		at = append(at, c.GetRevision())
	}
	return text, at
}

// TestCheckpointFileGoesOnWhereItWasCutOff cuts the file off after each of its bytes, as a kill would. What was there stays as it
// was, and every checkpoint is in it once and in order.
func TestCheckpointFileGoesOnWhereItWasCutOff(t *testing.T) {
	k := keep(t)
	for i := range 3 {
		putTowns(t, k.db, fmt.Sprint(i), "towns/a", "towns/b")
		if err := k.sign(t); err != nil {
			t.Fatal(err)
		}
	}
	whole, at := k.inFile(t)
	if fmt.Sprint(at) != "[2 4 6]" || bytes.Count(whole, []byte("\n")) != 3 {
		t.Fatalf("the file has %v:\n%s", at, whole)
	}
	if info, err := os.Stat(k.path); err != nil || info.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("others cannot read it: %v, %v", info.Mode(), err)
	}
	for n := range whole {
		if err := os.WriteFile(k.path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := k.sign(t); err != nil {
			t.Fatalf("cut off after %d bytes: %v", n, err)
		}
		text, at := k.inFile(t)
		if fmt.Sprint(at) != "[2 4 6]" || !bytes.HasPrefix(text, whole[:n]) {
			t.Fatalf("cut off after %d bytes it has %v:\n%s", n, at, text)
		}
	}
	if err := os.WriteFile(k.path, append(bytes.Clone(whole), "{}x\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := k.sign(t); err == nil {
		t.Error("a file that ends with something else is written to")
	}
}

// TestCheckpointFileOfYears has more in it than is read at the start.
func TestCheckpointFileOfYears(t *testing.T) {
	k := keep(t)
	putTowns(t, k.db, "1", "towns/a")
	if err := k.sign(t); err != nil {
		t.Fatal(err)
	}
	text, _ := k.inFile(t)
	if err := os.WriteFile(k.path, bytes.Repeat(text, 2000), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := journal.OpenCheckpointFile(k.path)
	if err != nil || f.Last().GetRevision() != 1 {
		t.Fatalf("the last is %v, %v", f.Last(), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(k.path, []byte(strings.Repeat("x #cut off\n", 30_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.OpenCheckpointFile(k.path); err == nil {
		t.Error("it is not said that there is no checkpoint to go on from")
	}
}

// TestJournalThatIsNotWhatWasSigned is refused before it goes on.
func TestJournalThatIsNotWhatWasSigned(t *testing.T) {
	k := keep(t)
	for i := range 3 {
		putTowns(t, k.db, fmt.Sprint(i), "towns/a")
	}
	if err := k.sign(t); err != nil {
		t.Fatal(err)
	}
	before, _ := k.inFile(t)
	for shows, c := range map[string]struct {
		commits int
		bad     int64
	}{"cut off": {2, 3}, "empty": {0, 1}, "made anew": {3, 3}, "made anew, and longer": {5, 3}} {
		other, _ := open(t)
		for i := range c.commits {
			putTowns(t, other, fmt.Sprint("other", i), "towns/a")
		}
		var corrupt *journal.CorruptError
		err := (&keeping{db: other, signer: k.signer, path: k.path}).sign(t)
		if !errors.As(err, &corrupt) || corrupt.Revision != c.bad {
			t.Errorf("%s: %v, want revision %d to be named", shows, err, c.bad)
		}
	}
	if after, _ := k.inFile(t); !bytes.Equal(before, after) {
		t.Error("a journal that was refused is in the file")
	}
	// What was archived since is still known, at the point itself and before it.
	prune := func(revision int64) {
		if err := k.db.Prune(t.Context(), revision, k.hash(t, revision)); err != nil {
			t.Fatal(err)
		}
		if err := k.sign(t); err != nil {
			t.Errorf("archived up to %d: %v", revision, err)
		}
	}
	prune(2)
	prune(3)
	putTowns(t, k.db, "later", "towns/a")
	if _, err := k.db.Checkpoint(t.Context(), k.signer); err != nil {
		t.Fatal(err)
	}
	prune(4)
	if _, at := k.inFile(t); fmt.Sprint(at) != "[3 4]" {
		t.Errorf("the file has %v, want 3 and 4", at)
	}
}

func (k *keeping) hash(t testing.TB, revision int64) []byte {
	t.Helper()
	all, _, err := k.db.Read(t.Context(), revision-1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return all[0].GetHash()
}

// FuzzReadCheckpoints: whatever the file, it is read to its end or said to be none.
func FuzzReadCheckpoints(f *testing.F) {
	line, err := journal.CheckpointLine(&journalv1.Checkpoint{Name: "journals/town/checkpoints/1", Revision: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(line, '\n'))
	f.Add([]byte("{\"na #cut off\n" + string(line)))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := journal.ReadCheckpoints(bytes.NewReader(text))
		if err == nil && len(found) > bytes.Count(text, []byte("\n"))+1 {
			t.Errorf("%d checkpoints in %d lines", len(found), bytes.Count(text, []byte("\n")))
		}
	})
}
