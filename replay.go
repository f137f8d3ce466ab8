package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

// journalReplayCommand proves that the tables of a store are what its journal says.
type journalReplayCommand struct {
	Service string   `arg:"" help:"Whose store: town, project, fund, assessment or access." enum:"town,project,fund,assessment,access"`
	Store   string   `help:"The store of a service that is stopped, as bolt://FOLDER." placeholder:"URL" required:""`
	File    []string `help:"Segment files that journal prune wrote (may be repeated), if the beginning of the journal was archived." type:"existingfile" placeholder:"FILE"`
}

// progressEvery is after how many changes a long replay says how far it is.
const progressEvery = 50_000

// Run replays the journal into a store that is thrown away, and fails at the first difference.
func (c *journalReplayCommand) Run(ctx context.Context, w io.Writer) (err error) {
	source := journalSource{Service: c.Service, Store: c.Store}
	db, err := source.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	folder, err := os.MkdirTemp("", "yizhen-replay-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	changes, err := replayedWith(ctx, db, c.Service, c.File, folder, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "the tables of %s are what its %d changes make\n", c.Service, changes)
	return nil
}

// replayed compares the tables of a store with what its journal makes, in a store of its own that is made in the folder and
// removed. It returns how many changes there were.
func replayed(ctx context.Context, db *journal.DB, service, folder string, w io.Writer) (changes int64, err error) {
	return replayedWith(ctx, db, service, nil, folder, w)
}

// replayedWith is replayed of a journal whose beginning is in segment files.
func replayedWith(ctx context.Context, db *journal.DB, service string, files []string, folder string, w io.Writer) (changes int64, err error) {
	archive, err := archived(service, files)
	if err != nil {
		return 0, err
	}
	path := filepath.Join(folder, "replayed.db")
	scratch, err := bolt.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, scratch.Close(), os.Remove(path)) }()
	return replay.CheckArchived(ctx, db, serviceNamed(service).schema(), archive, scratch, everySoMany(w))
}

// everySoMany says now and then how many changes a replay has carried out.
func everySoMany(w io.Writer) func(done, all int64) {
	said := int64(0)
	return func(done, all int64) {
		if done-said >= progressEvery {
			said = done
			fmt.Fprintf(w, "%d of %d changes\n", done, all)
		}
	}
}
