package backup_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// TestRewindIsTheStoreOfThen makes random commits with receipts and takes the store back to every revision. After a commit that
// has to be, key by key, what the store was then; in the middle of one it is refused, with the revisions on both sides.
func TestRewindIsTheStoreOfThen(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		raw := openBolt(t)
		db := openJournal(raw)
		schema := store.NewSchema("town")
		towns := store.Declare(schema, store.Index[*townv1.Town]{
			Name: "title", Keys: func(town *townv1.Town) []string { return strings.Fields(town.GetTitleEn()) },
		})
		then := map[int64]string{0: ""} // what the store was at each revision
		for i := range rapid.IntRange(1, 4).Draw(rt, "commits") {
			by := journal.Origin{Actor: "test", RequestID: fmt.Sprint("request ", i)}
			steps := rapid.IntRange(1, 4).Draw(rt, "changes")
			err := db.Update(t.Context(), by, func(tx *journal.Tx) error {
				for range steps {
					name := rapid.SampledFrom([]string{"towns/1", "towns/2", "towns/3"}).Draw(rt, "name")
					err := towns.Delete(tx, name)
					if errors.Is(err, store.ErrNotFound) || rapid.Bool().Draw(rt, "put") {
						err = towns.Put(tx, &townv1.Town{Name: name, TitleEn: rapid.SampledFrom([]string{"", "a", "a b"}).Draw(rt, "title")})
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			head, err := db.Head(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			if _, same := then[head.GetRevision()]; same {
				continue // the commit changed nothing
			}
			err = raw.Update(t.Context(), func(tx store.Tx) error { return tx.Put(record.ReceiptKey(by), []byte("receipt")) })
			if err != nil {
				rt.Fatal(err)
			}
			then[head.GetRevision()] = dump(t, raw)
		}
		head, err := db.Head(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		for revision := int64(1); revision <= head.GetRevision(); revision++ {
			into := openBolt(t)
			err := backup.Rewind(t.Context(), db, openJournal(into), schema, revision)
			want, stood := then[revision]
			if stood {
				if err != nil || dump(t, into) != want {
					rt.Fatalf("at revision %d: %v\n%s\nwant\n%s", revision, err, dump(t, into), want)
				}
				continue
			}
			var between *backup.BetweenError
			if !errors.As(err, &between) || between.Before >= revision || between.After <= revision {
				rt.Fatalf("at revision %d, in the middle of a commit: %v", revision, err)
			}
			_, isBefore := then[between.Before]
			_, isAfter := then[between.After]
			if between.Before != 0 && !isBefore || !isAfter {
				rt.Fatalf("at revision %d the nearest are said to be %v", revision, between)
			}
		}
	})
}

func TestRewindRefusals(t *testing.T) {
	db := openJournal(openBolt(t))
	schema := store.NewSchema("town")
	store.Declare[*townv1.Town](schema)
	register(t, db, "", "towns/140525-casting")
	for _, revision := range []int64{-1, 0, 2} {
		if err := backup.Rewind(t.Context(), db, openJournal(openBolt(t)), schema, revision); err == nil || !strings.Contains(err.Error(), "1 to 1") {
			t.Errorf("revision %d: %v", revision, err)
		}
	}
	begun := openJournal(openBolt(t))
	register(t, begun, "", "towns/140581-pigs")
	if err := backup.Rewind(t.Context(), db, begun, schema, 1); err == nil || !strings.Contains(err.Error(), "begun already") {
		t.Errorf("into a journal that has begun: %v", err)
	}
}

// TestRewindKeepsWhatWasSigned takes a long SM3 journal back, more than is copied at once, to between two checkpoints.
func TestRewindKeepsWhatWasSigned(t *testing.T) {
	private, public, err := journal.NewKey(journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_ED25519)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := journal.ReadSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := journal.ReadPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	db := journal.Open(openBolt(t), "town", clock.NewManual(now), journal.WithHash(journal.SM3))
	schema := store.NewSchema("town")
	towns := store.Declare[*townv1.Town](schema)
	for commit := range 3 { // of 600 changes each
		err := db.Update(t.Context(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
			for i := range 600 {
				if err := towns.Create(tx, &townv1.Town{Name: fmt.Sprintf("towns/%d-%d", commit, i)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if commit == 1 {
			continue
		}
		if _, err := db.Checkpoint(t.Context(), signer); err != nil {
			t.Fatal(err)
		}
	}
	earlier := openJournal(openBolt(t))
	if err := backup.Rewind(t.Context(), db, earlier, schema, 1200); err != nil {
		t.Fatal(err)
	}
	head, err := earlier.Head(t.Context())
	if err != nil || head.GetRevision() != 1200 || head.GetHashAlgorithm() != journal.SM3 {
		t.Fatalf("the head is %v, %v", head, err)
	}
	signed, err := earlier.Checkpoints(t.Context(), 0, 10)
	if err != nil || len(signed) != 1 || signed[0].GetRevision() != 600 {
		t.Fatalf("the checkpoints are %v, %v", signed, err)
	}
	if err := journal.CheckSignature(signed[0], key); err != nil {
		t.Error(err)
	}
	if _, err := earlier.Verify(t.Context(), 0, 1200, signed...); err != nil {
		t.Error(err)
	}

	at, err := db.At(t.Context(), "towns/0-99", 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Prune(t.Context(), 100, at.GetHash()); err != nil {
		t.Fatal(err)
	}
	var pruned *journal.PrunedError
	if err := backup.Rewind(t.Context(), db, openJournal(openBolt(t)), schema, 1200); !errors.As(err, &pruned) {
		t.Errorf("a journal whose beginning was archived was taken back: %v", err)
	}
}
