package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"regexp"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// A segment file holds a run of changes of one journal, so that they can leave the store and still be proven. docs/journal.md
// sets its bytes out for readers in other languages.
const (
	segmentMagic  = "yizhen segment"
	segmentFormat = 1
)

// maxSegmentChange bounds one change in a file: no store keeps a longer value.
const maxSegmentChange = store.MaxValueBytes

// Segment says what a segment file holds.
type Segment struct {
	Service      string
	Algorithm    Algorithm
	First, Last  int64  // revisions
	PreviousHash []byte // of the change before the first
	Hash         []byte // of the last change
}

// Journal returns the name of the journal that the segment is of.
func (s Segment) Journal() string { return "journals/" + s.Service }

// ErrSegment says that a file is not a whole segment.
var ErrSegment = errors.New("not a whole journal segment")

func badSegment(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrSegment, fmt.Sprintf(format, a...))
}

var segmentService = regexp.MustCompile(`^[a-z]{1,32}$`)

func (s Segment) check() error {
	switch {
	case !segmentService.MatchString(s.Service):
		return badSegment("the name of its service is not one")
	case algorithmNames[s.Algorithm] == "":
		return badSegment("its hash algorithm is not known")
	case s.First < 1 || s.Last < s.First:
		return badSegment("it cannot hold the revisions from %d to %d", s.First, s.Last)
	case len(s.PreviousHash) != HashSize || len(s.Hash) != HashSize:
		return badSegment("its hashes do not have %d bytes", HashSize)
	}
	return nil
}

// WriteSegment writes a segment. The changes have to be those that it announces: the chain is followed while they are written.
func WriteSegment(w io.Writer, s Segment, changes iter.Seq2[*journalv1.Change, error]) error {
	if err := s.check(); err != nil {
		return err
	}
	sum := sha256.New()
	to := io.MultiWriter(w, sum)
	if _, err := to.Write(s.head()); err != nil {
		return err
	}
	chain := NewChain(s.Journal(), s.Algorithm, s.First-1, s.PreviousHash)
	for c, err := range changes {
		if err != nil {
			return err
		}
		if err := chain.Add(c); err != nil {
			return err
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		if err != nil {
			return err
		}
		if len(raw) > maxSegmentChange {
			return badSegment("revision %d has %d bytes, %d are the most", c.GetRevision(), len(raw), maxSegmentChange)
		}
		if _, err := to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)); err != nil {
			return err
		}
	}
	if chain.Revision() != s.Last || !bytes.Equal(chain.Hash(), s.Hash) {
		return &CorruptError{Revision: chain.Revision(), Problem: fmt.Sprintf("is not the last that the segment announces, which is %d", s.Last)}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// head returns everything before the changes.
func (s Segment) head() []byte {
	b := append([]byte(segmentMagic), 0, segmentFormat)
	for _, text := range []string{s.Service, algorithmNames[s.Algorithm]} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	b = append(append(b, revisionBytes(s.First)...), revisionBytes(s.Last)...)
	return append(append(b, s.PreviousHash...), s.Hash...)
}

// SegmentReader reads a segment from its beginning to its end, once.
type SegmentReader struct {
	Segment
	from *bufio.Reader
	sum  hash.Hash
}

// OpenSegment reads what a segment says of itself. It may still be damaged further on.
func OpenSegment(r io.Reader) (*SegmentReader, error) {
	s := &SegmentReader{from: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	magic, err := s.take(len(segmentMagic) + 2)
	if errors.Is(err, ErrSegment) || err == nil && string(magic[:len(segmentMagic)]) != segmentMagic {
		return nil, badSegment("it does not begin as one")
	}
	if err != nil {
		return nil, err
	}
	if format := binary.BigEndian.Uint16(magic[len(segmentMagic):]); format != segmentFormat {
		return nil, badSegment("its format is number %d, and this program reads number %d", format, segmentFormat)
	}
	service, err := s.counted(32)
	if err != nil {
		return nil, err
	}
	algorithm, err := s.counted(32)
	if err != nil {
		return nil, err
	}
	fixed, err := s.take(8 + 8 + 2*HashSize)
	if err != nil {
		return nil, err
	}
	known, err := AlgorithmNamed(string(algorithm))
	if err != nil {
		return nil, badSegment("%v", err)
	}
	s.Segment = Segment{
		Service: string(service), Algorithm: known, First: revisionOf(fixed[:8]), Last: revisionOf(fixed[8:16]),
		PreviousHash: fixed[16 : 16+HashSize], Hash: fixed[16+HashSize:],
	}
	return s, s.check()
}

// Changes yields the changes. The last thing that it does is to hold the checksum against all that it read, so what it yields
// is good only if no error comes.
func (s *SegmentReader) Changes() iter.Seq2[*journalv1.Change, error] {
	return func(yield func(*journalv1.Change, error) bool) {
		for revision := s.First; revision <= s.Last; revision++ {
			raw, err := s.counted(maxSegmentChange)
			if err != nil {
				yield(nil, fmt.Errorf("revision %d: %w", revision, err))
				return
			}
			c, err := decode(raw, revision)
			if !yield(c, err) || err != nil {
				return
			}
		}
		if err := s.end(); err != nil {
			yield(nil, err)
		}
	}
}

// end reads the checksum, and what must not come after it.
func (s *SegmentReader) end() error {
	want := s.sum.Sum(nil)
	got, err := s.take(len(want))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return badSegment("it does not have the checksum of its content")
	}
	if _, err := s.from.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(err, badSegment("something follows its end"))
	}
	return nil
}

// take reads a number of bytes. It makes room for them as they come: a length may be a lie.
func (s *SegmentReader) take(n int) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.CopyN(&b, s.from, int64(n))
	if errors.Is(err, io.EOF) {
		return nil, badSegment("it is cut off")
	}
	if err != nil {
		return nil, err
	}
	s.sum.Write(b.Bytes())
	return b.Bytes(), nil
}

// counted reads bytes that their number stands before.
func (s *SegmentReader) counted(most uint32) ([]byte, error) {
	n, err := s.take(4)
	if err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(n)
	if length > most {
		return nil, badSegment("it says of something that it has %d bytes, %d are the most", length, most)
	}
	return s.take(int(length))
}

// AddSegment takes all changes of a segment that has to follow where the chain stands.
func (c *Chain) AddSegment(s *SegmentReader) error {
	switch {
	case s.Journal() != c.journal:
		return fmt.Errorf("the segment is of %s, not of %s", s.Journal(), c.journal)
	case s.Algorithm != c.algorithm:
		return fmt.Errorf("the segment has hashes of %s, the journal of %s", algorithmNames[s.Algorithm], algorithmNames[c.algorithm])
	case s.First != c.revision+1:
		return &CorruptError{Revision: c.revision + 1, Problem: fmt.Sprintf("is missing: the segment begins at %d", s.First)}
	}
	if !bytes.Equal(s.PreviousHash, c.hash) {
		return &CorruptError{Revision: s.First, Problem: "does not follow the change before it"}
	}
	for change, err := range s.Changes() {
		if err != nil {
			return err
		}
		if err := c.Add(change); err != nil {
			return err
		}
	}
	if !bytes.Equal(s.Hash, c.hash) {
		return &CorruptError{Revision: s.Last, Problem: "does not have the hash that the segment announces"}
	}
	return nil
}
