package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// cutOffMark ends a line of which only a beginning was written, because the service was killed or the disk was full. The mark is
// written instead of taking the beginning away: nothing that is in a file of checkpoints is ever changed, so the file may be one
// that the system lets grow only.
const cutOffMark = " #cut off\n"

// maxCheckpointLine bounds a line of a file of checkpoints. They have some 500 bytes.
const maxCheckpointLine = 64 << 10

// CheckpointLine returns a checkpoint as one line of JSON, without the line's end.
func CheckpointLine(c *journalv1.Checkpoint) ([]byte, error) {
	raw, err := protojson.Marshal(c)
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	err = json.Compact(&line, raw) // protojson puts spaces in at random
	return line.Bytes(), err
}

// readLine reads a line of a file of checkpoints. One that was cut off is nil. A line that has no end is still being written, or
// never was: it is cut off too, unless it is whole.
func readLine(line []byte) (*journalv1.Checkpoint, error) {
	if bytes.HasSuffix(line, []byte(cutOffMark)) {
		return nil, nil
	}
	c := &journalv1.Checkpoint{}
	err := protojson.Unmarshal(line, c)
	if err != nil && !bytes.HasSuffix(line, []byte("\n")) {
		return nil, nil
	}
	return c, err
}

// ReadCheckpoints reads checkpoints, one a line, and passes over lines that were cut off.
func ReadCheckpoints(r io.Reader) (found []*journalv1.Checkpoint, err error) {
	lines := bufio.NewReaderSize(r, maxCheckpointLine)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			c, err := readLine(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			if c != nil {
				found = append(found, c)
			}
		}
		if end {
			return found, nil
		}
	}
}

// CheckpointFile is a file to which the checkpoints of a journal are added as they are signed, so that they are in another place
// than the journal: who cuts off the end of the store has to cut the file as well, and whoever copies the file elsewhere has
// proof of all that was signed. It only ever grows. One goroutine at a time may use it.
type CheckpointFile struct {
	file *os.File
	last *journalv1.Checkpoint // nil if there is none yet
	torn bool                  // the last line has no end
}

// OpenCheckpointFile opens a file of checkpoints, and makes one that others may read if there is none.
func OpenCheckpointFile(path string) (f *CheckpointFile, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	f = &CheckpointFile{file: file}
	if err := errors.Join(f.readEnd(), syncFolder(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoints: %s: %w", path, err), file.Close())
	}
	return f, nil
}

// syncFolder makes it last that a file is in its folder.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// readEnd finds the last checkpoint. The file may be years long, so it is read from behind.
func (f *CheckpointFile) readEnd() error {
	size, err := f.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	end := make([]byte, min(size, 4*maxCheckpointLine))
	if _, err := f.file.ReadAt(end, size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if whole := int64(len(end)) == size; !whole {
		_, end, _ = bytes.Cut(end, []byte("\n")) // what comes before it began further up
	}
	f.torn = len(end) > 0 && end[len(end)-1] != '\n'
	for line := range bytes.Lines(end) {
		c, err := readLine(line)
		if err != nil {
			return fmt.Errorf("a line among the last is no checkpoint: %w", err)
		}
		if c != nil {
			f.last = c
		}
	}
	if size > 0 && f.last == nil && size > int64(len(end)) {
		return errors.New("there is no checkpoint among the last lines")
	}
	return nil
}

// Last returns the last checkpoint in the file; nil if there is none.
func (f *CheckpointFile) Last() *journalv1.Checkpoint { return f.last }

// Append adds checkpoints that are later than the last, and returns when they are on the disk. After an error the file may have
// some of them; what is added later goes on from there.
func (f *CheckpointFile) Append(all ...*journalv1.Checkpoint) error {
	var text []byte
	last := f.last
	for _, c := range all {
		if c.GetRevision() <= last.GetRevision() {
			continue
		}
		line, err := CheckpointLine(c)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
		last = c
	}
	if f.torn {
		if err := f.endLine(); err != nil {
			return err
		}
	}
	if len(text) == 0 {
		return nil
	}
	if _, err := f.file.Write(text); err != nil {
		return errors.Join(fmt.Errorf("checkpoints: %w", err), f.readEnd())
	}
	if err := f.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("checkpoints: %w", err), f.readEnd())
	}
	f.last = last
	return nil
}

// endLine ends a line that was not: as it is if nothing but its end is missing.
func (f *CheckpointFile) endLine() error {
	size, err := f.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	tail := make([]byte, min(size, maxCheckpointLine))
	if _, err := f.file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	line := tail[bytes.LastIndexByte(tail, '\n')+1:]
	mark := []byte(cutOffMark)
	if protojson.Unmarshal(line, &journalv1.Checkpoint{}) == nil {
		mark = []byte("\n")
	}
	if _, err := f.file.Write(mark); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	f.torn = false
	return nil
}

// Close closes the file.
func (f *CheckpointFile) Close() error { return f.file.Close() }
