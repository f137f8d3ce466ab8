package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

var now = time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC)

func openBolt(t testing.TB) store.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "town.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openJournal(s store.Store) *journal.DB { return journal.Open(s, "town", clock.NewManual(now)) }

// register commits a town to a journal.
func register(t testing.TB, db *journal.DB, requestID, name string) {
	t.Helper()
	towns := store.NewTable[*townv1.Town]()
	err := db.Update(t.Context(), journal.Origin{Actor: "test", RequestID: requestID}, func(tx *journal.Tx) error {
		return towns.Put(tx, &townv1.Town{Name: name})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump lists all keys of a store with their values.
func dump(t testing.TB, s store.Store) string {
	t.Helper()
	var all strings.Builder
	err := s.View(t.Context(), func(r store.Reader) error {
		for e, err := range r.Scan(nil, nil, store.Ascending) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, "%q %q\n", e.Key, e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// small returns a backup of a store with one town.
func small(t testing.TB) []byte {
	t.Helper()
	db := openJournal(openBolt(t))
	register(t, db, "", "towns/140525-casting")
	var file bytes.Buffer
	if _, err := backup.Write(t.Context(), &file, db); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestAnyStoreComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		original, restored := openBolt(t), openBolt(t)
		keys := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 30), 0, 40).Draw(rt, "keys")
		err := original.Update(t.Context(), func(tx store.Tx) error {
			for _, key := range keys {
				if err := tx.Put(key, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "value")); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		db := openJournal(original)
		for i := range rapid.IntRange(0, 3).Draw(rt, "changes") {
			register(t, db, "", fmt.Sprintf("towns/140525-%d", i))
		}
		var file bytes.Buffer
		wrote, err := backup.Write(t.Context(), &file, db)
		if err != nil {
			rt.Fatal(err)
		}
		checked, err := backup.Check(iotest.OneByteReader(bytes.NewReader(file.Bytes())))
		if err != nil {
			rt.Fatal(err)
		}
		read, err := backup.Restore(t.Context(), &file, restored, nil)
		if err != nil {
			rt.Fatal(err)
		}
		for _, s := range []backup.Summary{checked, read} {
			if s.Service != "town" || s.Keys != wrote.Keys || !proto.Equal(s.Head, wrote.Head) {
				rt.Fatalf("wrote %v, and read %v", wrote, s)
			}
		}
		if got, want := dump(t, restored), dump(t, original); got != want {
			rt.Fatalf("restored\n%s\nof\n%s", got, want)
		}
	})
}

// TestLargeStoresComeBack takes more keys and bytes than one transaction of a restore writes.
func TestLargeStoresComeBack(t *testing.T) {
	original, restored := openBolt(t), openBolt(t)
	err := original.Update(t.Context(), func(tx store.Tx) error {
		for i := range 3500 {
			if err := tx.Put(fmt.Appendf(nil, "few/%d", i), []byte("x")); err != nil {
				return err
			}
		}
		return errors.Join(tx.Put([]byte("large"), make([]byte, store.MaxValueBytes)),
			tx.Put(bytes.Repeat([]byte("k"), store.MaxKeyBytes), make([]byte, 1<<20)))
	})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := backup.Write(t.Context(), &file, openJournal(original)); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), &file, restored, nil); err != nil {
		t.Fatal(err)
	}
	if dump(t, restored) != dump(t, original) {
		t.Error("the restored store is another")
	}
}

func TestEveryChangedBitIsFound(t *testing.T) {
	file := small(t)
	for i := range file {
		for bit := range 8 {
			file[i] ^= 1 << bit
			_, err := backup.Check(bytes.NewReader(file))
			want := backup.ErrDamaged
			switch {
			case i < 8:
				want = backup.ErrForeign
			case i < 12:
				want = backup.ErrFormat
			}
			if !errors.Is(err, want) {
				t.Errorf("with bit %d of byte %d changed: %v, want %v", bit, i, err, want)
			}
			file[i] ^= 1 << bit
		}
	}
	if _, err := backup.Check(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
}

func TestEveryOtherLengthIsFound(t *testing.T) {
	file := small(t)
	for n := range file {
		if _, err := backup.Check(bytes.NewReader(file[:n])); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
	}
	if _, err := backup.Check(bytes.NewReader(append(file, 0))); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("with a byte too many: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	file := small(t)
	t.Run("a store that has something", func(t *testing.T) {
		s := openBolt(t)
		register(t, openJournal(s), "", "towns/140581-pigs")
		before := dump(t, s)
		if _, err := backup.Restore(t.Context(), bytes.NewReader(file), s, nil); err == nil || dump(t, s) != before {
			t.Errorf("restored into it: %v", err)
		}
	})
	t.Run("the store of another service", func(t *testing.T) {
		s := openBolt(t)
		register(t, openJournal(s), "", "towns/140581-pigs")
		_, err := backup.Write(t.Context(), io.Discard, journal.Open(s, "fund", clock.NewManual(now)))
		if err == nil || !strings.Contains(err.Error(), "journals/town") {
			t.Errorf("backed up as fund's: %v", err)
		}
	})
	t.Run("a caller who has gone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := backup.Restore(ctx, bytes.NewReader(file), openBolt(t), nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("a disk that fails", func(t *testing.T) {
		failed := errors.New("the disk failed")
		_, err := backup.Check(io.MultiReader(bytes.NewReader(file[:len(file)/2]), iotest.ErrReader(failed)))
		if !errors.Is(err, failed) || errors.Is(err, backup.ErrDamaged) {
			t.Error(err)
		}
	})
}

// FuzzCheck reads anything without a panic, and says why it does not take it.
func FuzzCheck(f *testing.F) {
	file := small(f)
	f.Add(file)
	f.Add(file[:40])
	f.Add([]byte("yizhen-b\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := backup.Check(bytes.NewReader(b))
		if err == nil {
			if s.Service == "" || s.Keys < 0 || s.Head.GetRevision() < 0 {
				t.Errorf("took %q as %v", b, s)
			}
			return
		}
		if !errors.Is(err, backup.ErrForeign) && !errors.Is(err, backup.ErrFormat) && !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("refused without a reason: %v", err)
		}
	})
}
