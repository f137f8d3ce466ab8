package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/journal"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// each yields changes.
func each(all []*journalv1.Change) iter.Seq2[*journalv1.Change, error] {
	return func(yield func(*journalv1.Change, error) bool) {
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// segmentOf writes changes into a segment.
func segmentOf(t testing.TB, all []*journalv1.Change) []byte {
	t.Helper()
	last := all[len(all)-1]
	s := journal.Segment{Service: "town", Algorithm: journal.SHA256, First: all[0].GetRevision(), Last: last.GetRevision(),
		PreviousHash: all[0].GetPreviousHash(), Hash: last.GetHash()}
	var file bytes.Buffer
	if err := journal.WriteSegment(&file, s, each(all)); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// follow adds segments to a chain from the beginning.
func follow(files ...[]byte) (*journal.Chain, error) {
	chain := journal.NewChain("journals/town", journal.SHA256, 0, nil)
	for _, file := range files {
		s, err := journal.OpenSegment(bytes.NewReader(file))
		if err != nil {
			return chain, err
		}
		if err := chain.AddSegment(s); err != nil {
			return chain, err
		}
	}
	return chain, nil
}

func smallJournal(t testing.TB) []*journalv1.Change {
	t.Helper()
	db, _ := open(t)
	putTowns(t, db, "one", "towns/a")
	putTowns(t, db, "two", "towns/a", "towns/b")
	return changes(t, db)
}

func TestSegmentsJoin(t *testing.T) {
	db, _ := open(t)
	mixed(t, db)
	all := changes(t, db)
	whole, begin, end := segmentOf(t, all), segmentOf(t, all[:7]), segmentOf(t, all[7:])
	for name, files := range map[string][][]byte{"in one": {whole}, "in two": {begin, end}} {
		if chain, err := follow(files...); err != nil || !bytes.Equal(chain.Hash(), all[30].GetHash()) {
			t.Errorf("%s: %v, at %d", name, err, chain.Revision())
		}
	}
	var corrupt *journal.CorruptError
	if _, err := follow(end); !errors.As(err, &corrupt) || corrupt.Revision != 1 {
		t.Errorf("without its beginning: %v", err)
	}
	if _, err := follow(begin, begin); !errors.As(err, &corrupt) || corrupt.Revision != 8 {
		t.Errorf("the same twice: %v", err)
	}
	other := smallJournal(t)
	if _, err := follow(segmentOf(t, other[:2]), segmentOf(t, all[2:])); !errors.As(err, &corrupt) || corrupt.Revision != 3 {
		t.Errorf("segments of two histories: %v", err)
	}
}

func TestSegmentOfWrongChangesIsNotWritten(t *testing.T) {
	all := smallJournal(t)
	s := journal.Segment{Service: "town", Algorithm: journal.SHA256, First: 1, Last: 3, PreviousHash: make([]byte, 32), Hash: all[2].GetHash()}
	var corrupt *journal.CorruptError
	for name, some := range map[string][]*journalv1.Change{"too few": all[:2], "one left out": {all[0], all[2]}, "none": nil} {
		if err := journal.WriteSegment(&bytes.Buffer{}, s, each(some)); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSegmentOfWhichOneByteIsWrong flips every byte of a file, in two ways: none goes unseen.
func TestSegmentOfWhichOneByteIsWrong(t *testing.T) {
	file := segmentOf(t, smallJournal(t))
	for i := range file {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= flip
			if _, err := follow(bad); err == nil {
				t.Errorf("byte %d of %d changed by %#x, and nothing is said", i, len(file), flip)
			}
		}
	}
	if _, err := follow(append(bytes.Clone(file), 0)); !errors.Is(err, journal.ErrSegment) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestSegmentThatIsCutOff(t *testing.T) {
	file := segmentOf(t, smallJournal(t))
	for n := range file {
		if _, err := follow(file[:n]); !errors.Is(err, journal.ErrSegment) {
			t.Errorf("%d bytes of %d: %v", n, len(file), err)
		}
	}
}

// TestSegmentNamesTheChangeThatIsDamaged flips every bit of every change in a file, its length included, and has it named.
func TestSegmentNamesTheChangeThatIsDamaged(t *testing.T) {
	all := smallJournal(t)
	file := segmentOf(t, all)
	at := len(file) - 32 // the checksum
	for _, c := range slices.Backward(all) {
		end := at
		at -= 4 + proto.Size(c)
		for i := at * 8; i < end*8; i++ {
			bad := bytes.Clone(file)
			bad[i/8] ^= 1 << (i % 8)
			_, err := follow(bad)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("revision %d:", c.GetRevision())) {
				t.Errorf("bit %d of byte %d flipped: %v, want revision %d to be named", i%8, i/8, err, c.GetRevision())
			}
		}
	}
}

// TestSegmentNamesTheFirstBadRevision changes a title in the second change.
func TestSegmentNamesTheFirstBadRevision(t *testing.T) {
	file := segmentOf(t, smallJournal(t))
	bad := bytes.Replace(file, []byte("two"), []byte("owt"), 1)
	var corrupt *journal.CorruptError
	if _, err := follow(bad); !errors.As(err, &corrupt) || corrupt.Revision != 2 {
		t.Errorf("%v, want revision 2", err)
	}
}

func TestSegmentOfALaterFormat(t *testing.T) {
	file := segmentOf(t, smallJournal(t))
	binary.BigEndian.PutUint16(file[14:], 2)
	if _, err := follow(file); !errors.Is(err, journal.ErrSegment) || !strings.Contains(err.Error(), "number 2") {
		t.Errorf("%v", err)
	}
}

// FuzzSegment: whatever the bytes, the reader says what is wrong, or the chain ends where the segment says.
func FuzzSegment(f *testing.F) {
	var all []*journalv1.Change // made by hand: a store in the background would disturb the search
	hash := make([]byte, journal.HashSize)
	for n := range int64(2) {
		c := &journalv1.Change{Name: fmt.Sprintf("journals/town/changes/%d", n+1), Revision: n + 1, Service: "town", PreviousHash: hash}
		hash = journal.Hash(journal.SHA256, c)
		c.Hash = hash
		all = append(all, c)
	}
	file := segmentOf(f, all)
	f.Add(file)
	f.Add(file[:len(file)-20])
	f.Add([]byte("yizhen segment\x00\x01"))
	f.Add(append(bytes.Clone(file[:34]), bytes.Repeat([]byte{0xff}, 100)...))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := journal.OpenSegment(bytes.NewReader(file))
		if err != nil {
			return
		}
		chain := journal.NewChain(s.Journal(), s.Algorithm, s.First-1, s.PreviousHash)
		if err := chain.AddSegment(s); err != nil {
			return
		}
		if chain.Revision() != s.Last || !bytes.Equal(chain.Hash(), s.Hash) {
			t.Errorf("the chain ends at %d, the segment at %d", chain.Revision(), s.Last)
		}
	})
}
