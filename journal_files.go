package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/replay"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

type journalExportCommand struct {
	journalSource `embed:""`
	To            string `help:"The segment file that is written. One that is there is not overwritten." required:"" placeholder:"FILE"`
	From          int64  `help:"The first revision; 0 is the first that is kept." placeholder:"N"`
	Until         int64  `help:"The last revision; 0 is the newest." placeholder:"N"`
}

// Run writes the file aside and gives it its name when it is whole and on the disk.
func (c *journalExportCommand) Run(ctx context.Context, w io.Writer) (err error) {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	s, err := r.segment(ctx, c.From, c.Until)
	if err != nil {
		return err
	}
	if err := r.export(ctx, s, c.To); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s holds %s from revision %d to %d, hash %x\n", c.To, r.name, s.First, s.Last, s.Hash)
	return nil
}

// segment says what an export of a range of revisions will hold.
func (r *journalReader) segment(ctx context.Context, from, until int64) (s journal.Segment, err error) {
	head, err := r.head(ctx, &journalv1.GetHeadRequest{Name: r.name})
	if err != nil {
		return s, err
	}
	s = journal.Segment{
		Service: r.service, Algorithm: head.GetHashAlgorithm(),
		First: cmp.Or(from, head.GetFirstRevision()), Last: cmp.Or(until, head.GetRevision()),
	}
	if s.First < head.GetFirstRevision() || s.Last > head.GetRevision() || s.First > s.Last {
		return s, fmt.Errorf("%s has the revisions from %d to %d: those from %d to %d cannot be exported",
			r.name, head.GetFirstRevision(), head.GetRevision(), s.First, s.Last)
	}
	first, err := r.change(ctx, s.First)
	if err != nil {
		return s, err
	}
	last, err := r.change(ctx, s.Last)
	s.PreviousHash, s.Hash = first.GetPreviousHash(), last.GetHash()
	return s, err
}

// change reads one change.
func (r *journalReader) change(ctx context.Context, revision int64) (*journalv1.Change, error) {
	res, err := r.changes(ctx, &journalv1.ListChangesRequest{Parent: r.name, AfterRevision: revision - 1, PageSize: 1})
	if err != nil {
		return nil, err
	}
	if len(res.GetChanges()) == 0 {
		return nil, &journal.CorruptError{Revision: revision, Problem: "is missing"}
	}
	return res.GetChanges()[0], nil
}

// all yields the changes of a range of revisions.
func (r *journalReader) all(ctx context.Context, first, last int64) iter.Seq2[*journalv1.Change, error] {
	return func(yield func(*journalv1.Change, error) bool) {
		for after := first - 1; after < last; {
			res, err := r.changes(ctx, &journalv1.ListChangesRequest{
				Parent: r.name, AfterRevision: after, PageSize: int32(min(journalPage, last-after)),
			})
			if err != nil {
				yield(nil, err)
				return
			}
			if len(res.GetChanges()) == 0 {
				return // who reads sees that some are missing
			}
			for _, change := range res.GetChanges() {
				after = change.GetRevision()
				if !yield(change, nil) {
					return
				}
			}
		}
	}
}

// export writes a segment to a file that is not there yet.
func (r *journalReader) export(ctx context.Context, s journal.Segment, path string) error {
	return writeAside(path, func(f *os.File) error { return journal.WriteSegment(f, s, r.all(ctx, s.First, s.Last)) })
}

// segmentFile is a file, and what it says of itself.
type segmentFile struct {
	journal.Segment
	path string
}

// sortSegments reads what files say of themselves, and puts them in order.
func sortSegments(paths []string) (files []segmentFile, err error) {
	for _, path := range paths {
		err := withSegment(path, func(s *journal.SegmentReader) error {
			files = append(files, segmentFile{s.Segment, path})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(files, func(a, b segmentFile) int { return cmp.Compare(a.First, b.First) })
	return files, nil
}

// readSegments follows a journal through files, which have to join. The chain that comes back stands at their end.
func readSegments(service string, paths []string, held ...*journalv1.Checkpoint) (first int64, chain *journal.Chain, err error) {
	files, err := sortSegments(paths)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range files {
		if chain == nil {
			first = f.First
			chain = journal.NewChain("journals/"+service, f.Algorithm, first-1, f.PreviousHash, held...)
		}
		if err := withSegment(f.path, chain.AddSegment); err != nil {
			return 0, nil, err
		}
	}
	return first, chain, nil
}

// archived yields the changes in files, which have to join from the beginning of the journal.
func archived(service string, paths []string) (replay.Archive, error) {
	files, err := sortSegments(paths)
	if err != nil {
		return nil, err
	}
	next := int64(1)
	for _, f := range files {
		switch {
		case f.Service != service:
			return nil, fmt.Errorf("%s: the segment is of %s, not of journals/%s", f.path, f.Journal(), service)
		case f.First > next:
			missing := &replay.MissingError{Journal: f.Journal(), First: next, Last: f.First - 1}
			return nil, fmt.Errorf("%s begins at %d: %w", f.path, f.First, missing)
		case f.First < next:
			return nil, fmt.Errorf("%s begins at %d, and the revisions up to %d are in other files: name each once", f.path, f.First, next-1)
		}
		next = f.Last + 1
	}
	return func(yield func(*journalv1.Change, error) bool) {
		for _, f := range files {
			more := true
			err := withSegment(f.path, func(s *journal.SegmentReader) error {
				for c, err := range s.Changes() {
					if err != nil {
						return err
					}
					if more = yield(c, nil); !more {
						return nil
					}
				}
				return nil
			})
			if err != nil && more {
				yield(nil, err)
			}
			if err != nil || !more {
				return
			}
		}
	}, nil
}

// withSegment opens a segment file for a function.
func withSegment(path string, fn func(*journal.SegmentReader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	s, err := journal.OpenSegment(f)
	if err == nil {
		err = fn(s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type journalPruneCommand struct {
	journalSource `embed:""`
	Until         int64  `help:"The last revision that is removed. A checkpoint has to cover it." required:"" placeholder:"N"`
	To            string `help:"The segment file that is written first. One that is there is used if it has all that is removed." required:"" placeholder:"FILE"`
}

// Run archives, verifies what the disk then has, and only then removes. If it is interrupted it is run again: the file that it
// finds is verified like one that it wrote.
func (c *journalPruneCommand) Run(ctx context.Context, w io.Writer) (err error) {
	if c.Backup != "" {
		return errors.New("nothing is removed from a backup: prune the journal of the service, with --addr or --store")
	}
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	head, err := r.head(ctx, &journalv1.GetHeadRequest{Name: r.name})
	if err != nil {
		return err
	}
	if c.Until < head.GetFirstRevision() {
		return fmt.Errorf("%s is kept from revision %d on: up to %d there is nothing to remove", r.name, head.GetFirstRevision(), c.Until)
	}
	if err := r.covered(ctx, c.Until); err != nil {
		return err
	}
	if _, err := os.Lstat(c.To); errors.Is(err, os.ErrNotExist) {
		s, err := r.segment(ctx, 0, c.Until)
		if err != nil {
			return err
		}
		if err := r.export(ctx, s, c.To); err != nil {
			return err
		}
	}
	first, chain, err := readSegments(r.service, []string{c.To})
	if err != nil {
		return err
	}
	if first > head.GetFirstRevision() || chain.Revision() != c.Until {
		return fmt.Errorf("%s holds the revisions from %d to %d: those from %d to %d would be removed",
			c.To, first, chain.Revision(), head.GetFirstRevision(), c.Until)
	}
	begins, err := r.prune(ctx, &journalv1.PruneChangesRequest{Name: r.name, Revision: c.Until, Hash: chain.Hash()})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is kept from revision %d on; %s holds what was before, from revision %d\n", r.name, begins.GetFirstRevision(), c.To, first)
	return nil
}

// covered sees to it that a checkpoint covers a revision, before anything is written for nothing.
func (r *journalReader) covered(ctx context.Context, revision int64) error {
	signed, err := r.signed(ctx)
	if err != nil {
		return err
	}
	var newest int64
	if len(signed) > 0 {
		newest = signed[len(signed)-1].GetRevision()
	}
	if newest < revision {
		return fmt.Errorf("%w: the newest of %s is at %d", journal.ErrNoCheckpoint, r.name, newest)
	}
	return nil
}
