package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

// backupCommand puts a store into a file.
type backupCommand struct {
	Service string `arg:"" help:"Whose store: town, project, fund, assessment or access." enum:"town,project,fund,assessment,access"`
	Store   string `help:"The store of a service that is stopped, as bolt://FOLDER." placeholder:"URL" required:""`
	To      string `help:"The file that is written. It must not be there yet." placeholder:"FILE" required:""`
}

// Run writes the file beside its place, reads it once more, and puts it there when it is whole.
func (c *backupCommand) Run(ctx context.Context, w io.Writer) (err error) {
	if _, err := boltFolder(c.Store); err != nil {
		return err
	}
	if err := absent(c.To); err != nil {
		return err // before the store is opened
	}
	source := journalSource{Service: c.Service, Store: c.Store}
	db, err := source.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var summary backup.Summary
	err = writeAside(c.To, func(f *os.File) (err error) {
		if summary, err = backup.Write(ctx, io.MultiWriter(f, &progressLine{out: w, of: c.To, verb: "written"}), db); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err = backup.Check(f)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s holds %s\n", c.To, describe(summary))
	return nil
}

func describe(s backup.Summary) string {
	return fmt.Sprintf("%s at revision %d, hash %x, in %d keys", s.Service, s.Head.GetRevision(), s.Head.GetHash(), s.Keys)
}

// restoreCommand makes a store of a file.
type restoreCommand struct {
	Service  string `arg:"" help:"Whose store: town, project, fund, assessment or access." enum:"town,project,fund,assessment,access"`
	From     string `help:"The backup." type:"existingfile" placeholder:"FILE" required:""`
	Store    string `help:"Where the store is made, as bolt://FOLDER. The service must not have one there." placeholder:"URL" required:""`
	Revision *int64 `help:"Make the store as it was at this revision of the journal, in place of the newest." placeholder:"N"`
}

// Run makes the store beside its place, proves it, and puts it there.
func (c *restoreCommand) Run(ctx context.Context, w io.Writer) (err error) {
	folder, err := boltFolder(c.Store)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, c.Service+".db")
	if err := absent(path); err != nil {
		return err
	}
	file, err := os.Open(c.From)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if err := c.check(file, w); err != nil {
		return fmt.Errorf("%s: %w", c.From, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(folder, ".restore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	made := filepath.Join(aside, "whole.db")
	if err := c.restore(ctx, file, made, aside, w); err != nil {
		return err
	}
	if c.Revision != nil {
		whole := made
		made = filepath.Join(aside, "earlier.db")
		if err := c.rewind(ctx, whole, made, aside, w); err != nil {
			return err
		}
	}
	return place(made, path)
}

// check reads the whole backup before anything is written.
func (c *restoreCommand) check(file *os.File, w io.Writer) error {
	s, err := backup.Check(io.TeeReader(file, &progressLine{out: w, of: c.From, verb: "checked"}))
	if err != nil {
		return err
	}
	if s.Service != c.Service {
		return fmt.Errorf("this is a backup of %s, and not of %s", s.Service, c.Service)
	}
	fmt.Fprintf(w, "%s holds %s\n", c.From, describe(s))
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// restore makes a store as the backup has it.
func (c *restoreCommand) restore(ctx context.Context, file io.Reader, path, scratch string, w io.Writer) (err error) {
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	summary, err := backup.Restore(ctx, io.TeeReader(file, &progressLine{out: w, of: c.From, verb: "restored"}), s)
	if err != nil {
		return err
	}
	db := journal.Open(s, c.Service, clock.System{})
	head, err := db.Head(ctx)
	if err != nil {
		return err
	}
	if head.GetRevision() != summary.Head.GetRevision() || !bytes.Equal(head.GetHash(), summary.Head.GetHash()) {
		return fmt.Errorf("%s says that the journal is at revision %d, and it is at %d", c.From, summary.Head.GetRevision(), head.GetRevision())
	}
	return c.prove(ctx, db, scratch, w)
}

// rewind makes a store as the whole one was at a revision.
func (c *restoreCommand) rewind(ctx context.Context, whole, path, scratch string, w io.Writer) (err error) {
	from, err := bolt.Open(whole)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	into, err := bolt.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	db := journal.Open(into, c.Service, clock.System{})
	err = backup.Rewind(ctx, journal.Open(from, c.Service, clock.System{}), db, c.schema(), *c.Revision)
	if err != nil {
		return err
	}
	return c.prove(ctx, db, scratch, w)
}

func (c *restoreCommand) schema() *store.Schema { return serviceNamed(c.Service).schema() }

// prove verifies the journal of a store, and that its tables are what the journal makes.
func (c *restoreCommand) prove(ctx context.Context, db *journal.DB, folder string, w io.Writer) error {
	head, err := db.Head(ctx)
	if err != nil {
		return err
	}
	hash, err := db.Verify(ctx, 0, head.GetRevision())
	if err != nil {
		return err
	}
	if head.GetFirstRevision() > 1 {
		fmt.Fprintf(w, "the journal of %s is whole from revision %d to %d, hash %x; what was before is archived, so the tables are taken as they are\n",
			c.Service, head.GetFirstRevision(), head.GetRevision(), hash)
		return nil
	}
	changes, err := replayed(ctx, db, c.Service, folder, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "the journal of %s is whole to revision %d, hash %x, and the tables are what its changes make\n", c.Service, changes, hash)
	return nil
}

// progressBytes is after how much of a large file a line says how far it is.
const progressBytes = 256 << 20

// progressLine is written what is read or written of a file, and says so now and then.
type progressLine struct {
	out        io.Writer
	of, verb   string
	done, said int64
}

// Write implements io.Writer.
func (p *progressLine) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if p.done-p.said >= progressBytes {
		p.said = p.done
		fmt.Fprintf(p.out, "%s: %d MiB %s\n", p.of, p.done>>20, p.verb)
	}
	return len(b), nil
}
