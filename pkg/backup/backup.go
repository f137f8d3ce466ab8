// Package backup puts the store of one service into a file that can be kept elsewhere, and makes a store of such a file again,
// as it was or as it was at an earlier revision.
//
// A file begins with the 8 bytes yizhen-b and the number of the format, 1, in 4 bytes, big-endian. All other numbers are
// unsigned varints, as protobuf writes them. What follows is
//
//   - the length of the header, and the header: the head of the journal as yizhen.journal.v1.Head, whose name says the service;
//   - for each key of the store, in ascending order: the length of the key, the key, the length of the value, the value;
//   - 0, where the length of another key would be, and the number of keys;
//   - the SHA-256 of all bytes before it.
package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

const (
	magic  = "yizhen-b"
	format = 1

	maxHeaderBytes = 64 << 10

	// lookKeys is after how many keys it is seen whether the caller still wants the backup.
	lookKeys = 1000
)

// Errors of files that are not restored. They are wrapped with what is wrong.
var (
	// ErrForeign: the file is something else.
	ErrForeign = errors.New("this is not a backup of a service's store")
	// ErrFormat: the file was written by another version of this program, in a format that this one does not know.
	ErrFormat = errors.New("the backup is in an unknown format")
	// ErrDamaged: the file is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrUnfinished: the store is being made of a backup, and is not whole.
	ErrUnfinished = errors.New("a restore into it was begun and has not ended: run `yizhen restore` again, which begins anew")
)

// Summary says what is in a backup.
type Summary struct {
	// Service is the one whose store it is.
	Service string
	// Head is the newest point of the journal.
	Head *journalv1.Head
	// Keys is how many there are.
	Keys int64
	// Largest is how many bytes the largest key and its value have, in a backup that was read.
	Largest int
}

const journals = "journals/"

// Write writes a store as it is at one moment. Commits may go on meanwhile.
func Write(ctx context.Context, w io.Writer, db *journal.DB) (s Summary, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		s = Summary{Service: db.Service()}
		if err := unfinished(r); err != nil {
			return err
		}
		if s.Head, err = journal.HeadOf(r); err != nil {
			return err
		}
		name := journals + s.Service
		if s.Head.GetName() != name && s.Head.GetRevision() > 0 {
			return fmt.Errorf("the store of %s has the journal %q", s.Service, s.Head.GetName())
		}
		s.Head.Name = name
		s.Keys, err = write(ctx, w, s.Head, r)
		return err
	})
	return s, err
}

func write(ctx context.Context, w io.Writer, head *journalv1.Head, r store.Reader) (keys int64, err error) {
	header, err := proto.MarshalOptions{Deterministic: true}.Marshal(head)
	if err != nil {
		return 0, err
	}
	buffered := bufio.NewWriterSize(w, 64<<10)
	sum := sha256.New()
	both := io.MultiWriter(buffered, sum)
	var scratch []byte
	text := func(b []byte) error {
		scratch = binary.AppendUvarint(scratch[:0], uint64(len(b)))
		if _, err := both.Write(scratch); err != nil {
			return err
		}
		_, err := both.Write(b)
		return err
	}
	if _, err := both.Write(binary.BigEndian.AppendUint32([]byte(magic), format)); err != nil {
		return 0, err
	}
	if err := text(header); err != nil {
		return 0, err
	}
	for e, err := range r.Scan(nil, nil, store.Ascending) {
		if err == nil && keys%lookKeys == 0 {
			err = ctx.Err()
		}
		if err == nil {
			err = text(e.Key)
		}
		if err == nil {
			err = text(e.Value)
		}
		if err != nil {
			return keys, err
		}
		keys++
	}
	if _, err := both.Write(binary.AppendUvarint([]byte{0}, uint64(keys))); err != nil {
		return keys, err
	}
	if _, err := buffered.Write(sum.Sum(nil)); err != nil {
		return keys, err
	}
	return keys, buffered.Flush()
}

// Check reads a whole backup and writes nothing. A file that is something else, of another format or damaged gives ErrForeign,
// ErrFormat or ErrDamaged.
func Check(r io.Reader) (Summary, error) {
	return read(r, func(store.Entry) error { return nil })
}

// Equal fails unless a store has the keys of a backup with their values, and no others. It reads both once, side by side.
func Equal(ctx context.Context, from io.Reader, s store.Store) error {
	return s.View(ctx, func(r store.Reader) error {
		next, stop := iter.Pull2(r.Scan(nil, nil, store.Ascending))
		defer stop()
		stored := func() (store.Entry, error, bool) {
			e, err, more := next()
			if more && err == nil && string(e.Key) == markKey {
				e, err, more = next()
			}
			return e, err, more
		}
		_, err := read(from, func(want store.Entry) error {
			e, err, more := stored()
			switch {
			case err != nil:
				return err
			case !more || bytes.Compare(e.Key, want.Key) > 0:
				return fmt.Errorf("the store has no %q, and the backup has it", want.Key)
			case !bytes.Equal(e.Key, want.Key):
				return fmt.Errorf("the store has %q, and the backup does not have it", e.Key)
			case !bytes.Equal(e.Value, want.Value):
				return fmt.Errorf("%q is in the store not what it is in the backup", e.Key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		e, err, more := stored()
		if more && err == nil {
			err = fmt.Errorf("the store has %q, and the backup does not have it", e.Key)
		}
		return err
	})
}

// read reads a backup to its end. The entries that it gives to each are only valid until the next.
func read(from io.Reader, each func(store.Entry) error) (s Summary, err error) {
	d := &decoder{from: bufio.NewReaderSize(from, 64<<10), sum: sha256.New()}
	if err := d.readMagic(); err != nil {
		return s, err
	}
	header, err := d.text(nil, maxHeaderBytes, "the header")
	if err != nil {
		return s, err
	}
	if s, err = summaryOf(header); err != nil {
		return s, err
	}
	var e store.Entry
	var last []byte
	for {
		if e.Key, err = d.text(e.Key, store.MaxKeyBytes, "a key"); err != nil {
			return s, err
		}
		if len(e.Key) == 0 {
			return s, d.end(s.Keys)
		}
		if bytes.Compare(e.Key, last) <= 0 {
			return s, fmt.Errorf("%w: its keys are not in order", ErrDamaged)
		}
		if e.Value, err = d.text(e.Value, store.MaxValueBytes, "a value"); err != nil {
			return s, err
		}
		if err := each(e); err != nil {
			return s, err
		}
		s.Keys++
		s.Largest = max(s.Largest, len(e.Key)+len(e.Value))
		last = append(last[:0], e.Key...)
	}
}

func summaryOf(header []byte) (Summary, error) {
	head := &journalv1.Head{}
	if err := proto.Unmarshal(header, head); err != nil {
		return Summary{}, fmt.Errorf("%w: its header is %w", ErrDamaged, err)
	}
	service, found := strings.CutPrefix(head.GetName(), journals)
	if !found || service == "" || head.GetRevision() < 0 {
		return Summary{}, fmt.Errorf("%w: its header does not say whose it is", ErrDamaged)
	}
	return Summary{Service: service, Head: head}, nil
}

// decoder reads a backup and sums up what it has read.
type decoder struct {
	from *bufio.Reader
	sum  hash.Hash
	one  [1]byte
}

func (d *decoder) readMagic() error {
	begin := make([]byte, len(magic)+4)
	n, err := io.ReadFull(d.from, begin)
	if !strings.HasPrefix(magic, string(begin[:min(n, len(magic))])) {
		return ErrForeign
	}
	if err != nil {
		return cut(err)
	}
	if is := binary.BigEndian.Uint32(begin[len(magic):]); is != format {
		return fmt.Errorf("%w: %d, and this program reads %d", ErrFormat, is, format)
	}
	d.sum.Write(begin)
	return nil
}

// ReadByte implements io.ByteReader, for varints.
func (d *decoder) ReadByte() (byte, error) {
	b, err := d.from.ReadByte()
	if err == nil {
		d.one[0] = b
		d.sum.Write(d.one[:])
	}
	return b, err
}

func (d *decoder) number() (uint64, error) {
	n, err := binary.ReadUvarint(d)
	if err != nil {
		return 0, cut(err)
	}
	return n, nil
}

// text reads a length and as many bytes, into a buffer if they fit in there.
func (d *decoder) text(into []byte, most uint64, what string) ([]byte, error) {
	n, err := d.number()
	if err != nil {
		return into, err
	}
	if n > most {
		return into, fmt.Errorf("%w: %s of %d bytes, %d are the most", ErrDamaged, what, n, most)
	}
	if uint64(cap(into)) < n {
		into = make([]byte, n)
	}
	into = into[:n]
	if _, err := io.ReadFull(d.from, into); err != nil {
		return into, cut(err)
	}
	d.sum.Write(into)
	return into, nil
}

// end reads what follows the last key.
func (d *decoder) end(keys int64) error {
	counted, err := d.number()
	if err != nil {
		return err
	}
	if counted != uint64(keys) {
		return fmt.Errorf("%w: it says that it has %d keys, and has %d", ErrDamaged, counted, keys)
	}
	sum := make([]byte, sha256.Size)
	if _, err := io.ReadFull(d.from, sum); err != nil {
		return cut(err)
	}
	if !bytes.Equal(sum, d.sum.Sum(nil)) {
		return fmt.Errorf("%w: its content does not have its SHA-256", ErrDamaged)
	}
	switch _, err := d.from.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: it goes on after its end", ErrDamaged)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// cut says that a file ends too early, or why it cannot be read.
func cut(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it is cut off", ErrDamaged)
	case strings.Contains(err.Error(), "overflows"): // what binary.ReadUvarint says has no name
		return fmt.Errorf("%w: a number is too large", ErrDamaged)
	}
	return err
}
