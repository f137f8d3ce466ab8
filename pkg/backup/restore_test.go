package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
)

// narrow is a store that takes little in one transaction, and breaks off after a number of them.
type narrow struct {
	store.Store
	keys, bytes int
	refused     int
	left        int // transactions; below 0 there is no end of them
}

var errBroke = errors.New("the power is off")

// counting is a transaction of a narrow store.
type counting struct {
	store.Tx
	keys, bytes int
}

func (tx *counting) Put(key, value []byte) error {
	tx.keys, tx.bytes = tx.keys+1, tx.bytes+len(key)+len(value)
	return tx.Tx.Put(key, value)
}

func (tx *counting) Delete(key []byte) error {
	tx.keys, tx.bytes = tx.keys+1, tx.bytes+len(key)
	return tx.Tx.Delete(key)
}

func (s *narrow) Update(ctx context.Context, fn func(store.Tx) error) error {
	if s.left == 0 {
		return errBroke
	}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		c := &counting{Tx: tx}
		if err := fn(c); err != nil {
			return err
		}
		if c.keys > s.keys || c.bytes > s.bytes {
			s.refused++
			return store.ErrTooLarge
		}
		return nil
	})
	if err == nil {
		s.left--
	}
	return err
}

// TestAStoreThatTakesLittleAtOnce restores into stores with the limits of a cluster. What it is refused costs little.
func TestAStoreThatTakesLittleAtOnce(t *testing.T) {
	original := openBolt(t)
	err := original.Update(t.Context(), func(tx store.Tx) error {
		for i := range 3000 {
			size := 50
			if i%100 == 7 {
				size = 90 << 10
			}
			if err := tx.Put(fmt.Appendf(nil, "few/%04d", i), bytes.Repeat([]byte("x"), size)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := backup.Write(t.Context(), &file, openJournal(original)); err != nil {
		t.Fatal(err)
	}
	for _, limits := range []narrow{{keys: 127, bytes: 1 << 20}, {keys: 5000, bytes: 100 << 10}, {keys: 7, bytes: 100 << 10}} {
		t.Run(fmt.Sprintf("%d keys, %d bytes", limits.keys, limits.bytes), func(t *testing.T) {
			into := limits
			into.Store, into.left = openBolt(t), -1
			if _, err := backup.Restore(t.Context(), bytes.NewReader(file.Bytes()), &into, nil); err != nil {
				t.Fatal(err)
			}
			if dump(t, into.Store) != dump(t, original) {
				t.Error("the restored store is another")
			}
			if into.refused > 250 {
				t.Errorf("%d transactions were refused", into.refused)
			}
		})
	}
	t.Run("a value that does not fit at all", func(t *testing.T) {
		into := narrow{Store: openBolt(t), keys: 127, bytes: 50 << 10, left: -1}
		if _, err := backup.Restore(t.Context(), bytes.NewReader(file.Bytes()), &into, nil); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("restored: %v", err)
		}
	})
}

// TestARestoreThatBreaksOff breaks off after each transaction. The store says so until another restore has ended, be it of the
// same backup or of another.
func TestARestoreThatBreaksOff(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		raw, other := openBolt(t), openBolt(t)
		for i := range rapid.IntRange(1, 6).Draw(rt, "towns") {
			register(t, openJournal(raw), "", fmt.Sprintf("towns/140525-%d", i))
		}
		register(t, openJournal(other), "", "towns/140581-pigs")
		var file, another bytes.Buffer
		if _, err := backup.Write(t.Context(), &file, openJournal(raw)); err != nil {
			rt.Fatal(err)
		}
		if _, err := backup.Write(t.Context(), &another, openJournal(other)); err != nil {
			rt.Fatal(err)
		}
		into := &narrow{Store: openBolt(t), keys: rapid.IntRange(1, 5).Draw(rt, "keys"), bytes: 1 << 20}
		for into.left = 1; ; into.left = 1 + rapid.IntRange(0, 8).Draw(rt, "transactions") {
			_, err := backup.Restore(t.Context(), bytes.NewReader(file.Bytes()), into, nil)
			if err == nil {
				break
			}
			if !errors.Is(err, errBroke) {
				rt.Fatal(err)
			}
			if err := backup.Unfinished(t.Context(), into); !errors.Is(err, backup.ErrUnfinished) {
				rt.Fatalf("of a store that is half restored it is said: %v", err)
			}
			if _, err := backup.Write(t.Context(), io.Discard, openJournal(into.Store)); !errors.Is(err, backup.ErrUnfinished) {
				rt.Fatalf("half a store was backed up: %v", err)
			}
			if rapid.Bool().Draw(rt, "enough") {
				into.left, file, raw = -1, another, other
			}
			if into.left < 0 {
				if _, err := backup.Restore(t.Context(), bytes.NewReader(file.Bytes()), into, nil); err != nil {
					rt.Fatal(err)
				}
				break
			}
		}
		if err := backup.Unfinished(t.Context(), into); err != nil {
			rt.Errorf("a whole store is %v", err)
		}
		if got, want := dump(t, into.Store), dump(t, raw); got != want {
			rt.Errorf("restored\n%s\nof\n%s", got, want)
		}
	})
}

// TestOfTwoRestoresTheLaterGoesOn begins one while another waits to be proven.
func TestOfTwoRestoresTheLaterGoesOn(t *testing.T) {
	file, into := small(t), openBolt(t)
	_, err := backup.Restore(t.Context(), bytes.NewReader(file), into, func(backup.Summary) error {
		_, err := backup.Restore(t.Context(), bytes.NewReader(file), into, func(backup.Summary) error { return errBroke })
		if !errors.Is(err, errBroke) {
			t.Error(err)
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "another restore") {
		t.Errorf("the earlier one ended with %v", err)
	}
	if err := backup.Unfinished(t.Context(), into); !errors.Is(err, backup.ErrUnfinished) {
		t.Errorf("the later one has not ended, and the store is %v", err)
	}
}

// TestWhatIsNotProvenStaysMarked: the store of a restore whose proof fails is not served.
func TestWhatIsNotProvenStaysMarked(t *testing.T) {
	into := openBolt(t)
	proves := errors.New("the journal is broken")
	_, err := backup.Restore(t.Context(), bytes.NewReader(small(t)), into, func(s backup.Summary) error {
		if s.Service != "town" || s.Head.GetRevision() != 1 {
			t.Errorf("to be proven is %v", s)
		}
		return proves
	})
	if !errors.Is(err, proves) || !errors.Is(backup.Unfinished(t.Context(), into), backup.ErrUnfinished) {
		t.Errorf("it ended with %v", err)
	}
}

func TestEqualFindsEveryDifference(t *testing.T) {
	file := small(t)
	for name, change := range map[string]func(tx store.Tx, key []byte) error{
		"":                          func(store.Tx, []byte) error { return nil },
		"the store has no":          func(tx store.Tx, key []byte) error { return tx.Delete(key) },
		"not what it is":            func(tx store.Tx, key []byte) error { return tx.Put(key, []byte("other")) },
		"does not have it":          func(tx store.Tx, key []byte) error { return tx.Put(append(bytes.Clone(key), 0), nil) },
		`the store has "zzz"`:       func(tx store.Tx, _ []byte) error { return tx.Put([]byte("zzz"), nil) },
		"is in the store not what ": func(tx store.Tx, key []byte) error { return tx.Put(key, nil) },
	} {
		var keys [][]byte
		s := openBolt(t)
		if _, err := backup.Load(t.Context(), bytes.NewReader(file), s); err != nil {
			t.Fatal(err)
		}
		err := s.View(t.Context(), func(r store.Reader) error {
			for e := range r.Scan(nil, nil, store.Ascending) {
				keys = append(keys, bytes.Clone(e.Key))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			changed := openBolt(t)
			if _, err := backup.Load(t.Context(), bytes.NewReader(file), changed); err != nil {
				t.Fatal(err)
			}
			if err := changed.Update(t.Context(), func(tx store.Tx) error { return change(tx, key) }); err != nil {
				t.Fatal(err)
			}
			err := backup.Equal(t.Context(), bytes.NewReader(file), changed)
			if (err == nil) != (name == "") || err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("with another %q: %v, want %q", key, err, name)
			}
		}
	}
}

// TestTheFirstBadRevisionIsNamed changes a bit of each change that a backup has, and cuts backups off.
func TestTheFirstBadRevisionIsNamed(t *testing.T) {
	db := openJournal(openBolt(t))
	for i := range 5 {
		register(t, db, "", fmt.Sprintf("towns/140525-%d", i))
	}
	var file bytes.Buffer
	if _, err := backup.Write(t.Context(), &file, db); err != nil {
		t.Fatal(err)
	}
	firstBad := func(b []byte) error {
		s := openBolt(t)
		found, err := backup.Load(t.Context(), bytes.NewReader(b), s)
		if !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("it loads with %v", err)
		}
		return backup.FirstBad(t.Context(), found, openJournal(s))
	}
	for i := range 5 {
		damaged := bytes.Clone(file.Bytes())
		at := bytes.Index(damaged, fmt.Appendf(nil, "towns/140525-%d", i)) // in the change, which is before the row
		damaged[at+len("towns/140525-")]++
		var corrupt *journal.CorruptError
		if err := firstBad(damaged); !errors.As(err, &corrupt) || corrupt.Revision != int64(i+1) {
			t.Errorf("with a change in revision %d: %v", i+1, err)
		}
		var missing *journal.CorruptError
		if err := firstBad(file.Bytes()[:at]); !errors.As(err, &missing) || missing.Revision != int64(i+1) {
			t.Errorf("cut off in revision %d: %v", i+1, err)
		}
	}
	damaged := bytes.Clone(file.Bytes())
	damaged[len(damaged)-1]++ // nothing but the sum
	if err := firstBad(damaged); err != nil {
		t.Errorf("with a whole journal: %v", err)
	}
}
