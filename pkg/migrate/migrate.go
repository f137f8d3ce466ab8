// Package migrate sees to it that a program and the store it opens fit together: that the store is the service's own, and that
// its records are in the form that the program knows. Older stores are brought to it, newer ones are refused.
//
// What a store is, it says itself, in the row stores/<service> that the schema of every service declares. A migration is a list
// of steps, each from one version to the next; the version of a program is one more than it has steps. A step goes in batches,
// each a transaction that also writes how far the step is. So it may be killed at any instant, and goes on where it was; and
// several replicas of a service may do it together. What a step changes of rows is in the journal, in the name of the service.
package migrate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

// Errors of stores that do not fit. They are wrapped with what is there, and what to do.
var (
	// ErrForeign: the store is not the service's own.
	ErrForeign = errors.New("the store belongs to another service")
	// ErrNewer: the store has been brought to a version that this program does not know.
	ErrNewer = errors.New("the store is newer than this program")
	// ErrOlder: the store has yet to be brought to the version of this program. Only Check says so.
	ErrOlder = errors.New("the store is older than this program")
)

// Step brings a store from one version to the next.
type Step struct {
	// Name says what it does, in the manner of a method: IndexChangesByType. It is in the journal.
	Name string
	// Batch does the next part of it, which begins at a cursor; the first batch has none. It returns where the next one begins,
	// or nil if all is done. It changes about as many things as the limit says, which is lower on an engine that takes less in one
	// transaction.
	//
	// It has to leave alone what is in the new form already. A store that is taken back to an earlier revision, in the middle of
	// a migration, has some of it and does not know how far it was.
	//
	// Notes that no journal needs to tell of may be kept below store.ScratchPrefix. They are removed when the step is done.
	Batch func(tx *journal.Tx, cursor []byte, limit int) (next []byte, err error)
}

// Rows makes a batch that goes through the rows of a table. It calls bring with each, to store it in its new form if it has not
// got it.
func Rows[T store.Row](t *store.Table[T], bring func(tx *journal.Tx, row T) error) func(*journal.Tx, []byte, int) ([]byte, error) {
	return func(tx *journal.Tx, cursor []byte, limit int) ([]byte, error) {
		var rows []T
		for row, err := range t.Scan(tx, "", string(cursor)) {
			if err != nil {
				return nil, err
			}
			if rows = append(rows, row); len(rows) > limit {
				break
			}
		}
		for i, row := range rows {
			if i == limit {
				return []byte(row.GetName()), nil
			}
			if err := bring(tx, row); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

// Plan is what a program knows about the store of a service.
type Plan struct {
	// Schema is what the service keeps.
	Schema *store.Schema
	// Steps lead from version 1 to that of the program. To the list is only added, at its end.
	Steps []Step
	// Release is the program's, if it has one.
	Release string
	// Logger is told of migrations; nil tells nobody.
	Logger *slog.Logger
}

// batchLimit is how much of a store one transaction of a migration changes at first.
const batchLimit = 256

// logEvery is after how many batches a long migration says how far it is.
const logEvery = 100

// Version returns the version of the program.
func (p *Plan) Version() int32 { return int32(len(p.Steps)) + 1 }

// Check fails unless the store is the service's own and has the version of the program. An empty one will do. Nothing is written.
func (p *Plan) Check(ctx context.Context, db *journal.DB) error {
	f, err := p.find(ctx, db)
	if err != nil || f.empty || f.version == p.Version() {
		return err
	}
	return fmt.Errorf("%w: it is of version %d, this program's is %d: start the service once with this program, which brings it there, "+
		"or read it with the program that wrote it", ErrOlder, f.version, p.Version())
}

// Open does what has to be done before a service uses its store: an empty one begins with the version of the program, and an older
// one is brought to it. When the context ends it stops after the batch under way, and goes on there the next time.
func (p *Plan) Open(ctx context.Context, db *journal.DB) error {
	for {
		f, err := p.find(ctx, db)
		switch {
		case err != nil:
			return err
		case f.empty:
			err = p.begin(ctx, db)
		case f.version == p.Version():
			return nil
		default:
			err = p.step(ctx, db, f.version)
		}
		if err != nil {
			return err
		}
	}
}

// found is what is known of a store.
type found struct {
	empty   bool
	version int32
}

func (p *Plan) find(ctx context.Context, db *journal.DB) (f found, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		f, err = p.look(r)
		return err
	})
	return f, err
}

// look finds out what a store is, and refuses one that this program must not touch.
func (p *Plan) look(r store.Reader) (f found, err error) {
	service := p.Schema.Service()
	head, err := journal.HeadOf(r)
	if err != nil {
		return f, err
	}
	if is, want := head.GetName(), "journals/"+service; is != "" && is != want {
		return f, foreign(strings.TrimPrefix(is, "journals/"), service)
	}
	f.version = 1 // of stores from before versions were recorded
	for row, err := range p.Schema.Stores().Scan(r, "", "") {
		if err != nil {
			return f, err
		}
		if row.GetName() != name(service) {
			return f, foreign(strings.TrimPrefix(row.GetName(), name("")), service)
		}
		f.version = row.GetVersion()
		switch {
		case f.version < 1:
			return f, fmt.Errorf("the store says that it is of version %d, which there is not", f.version)
		case f.version > p.Version():
			return f, p.newer(row)
		}
		return f, nil
	}
	f.empty = true
	for _, err := range r.Scan(nil, nil, store.Ascending) {
		f.empty = false
		return f, err
	}
	return f, nil
}

func name(service string) string { return "stores/" + service }

func foreign(owner, service string) error {
	return fmt.Errorf("%w: it is that of %s, and was opened as that of %s", ErrForeign, owner, service)
}

func (p *Plan) newer(row *maintenancev1.Store) error {
	need := "the release that wrote it"
	if row.GetRelease() != "" {
		need = "release " + row.GetRelease()
	}
	return fmt.Errorf("%w: it is of version %d, and this program knows versions up to %d: run %s or a later one, "+
		"or restore a backup from before the upgrade", ErrNewer, row.GetVersion(), p.Version(), need)
}

// origin is how the journal names a step.
func (p *Plan) origin(step string) journal.Origin {
	return journal.Origin{Actor: "service/" + p.Schema.Service(), Method: "/yizhen.maintenance.v1.Migration/" + step}
}

// begin makes the first change of an empty store.
func (p *Plan) begin(ctx context.Context, db *journal.DB) error {
	return db.Update(ctx, p.origin("Begin"), func(tx *journal.Tx) error {
		f, err := p.look(tx)
		if err != nil || !f.empty {
			return err // another replica was first
		}
		return p.write(tx, 0, p.Version())
	})
}

func (p *Plan) write(tx *journal.Tx, from, to int32) error {
	return p.Schema.Stores().Put(tx, &maintenancev1.Store{
		Name: name(p.Schema.Service()), Version: to, PreviousVersion: from, Release: p.Release, UpdateTime: timestamppb.New(tx.Now()),
	})
}

// step brings a store from a version to the next.
func (p *Plan) step(ctx context.Context, db *journal.DB, from int32) error {
	step := p.Steps[from-1]
	log := p.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("step", step.Name, "from", from, "to", from+1)
	log.InfoContext(ctx, "migration goes on")
	limit := batchLimit
	for batches := 1; ; batches++ {
		if err := ctx.Err(); err != nil {
			log.WarnContext(ctx, "migration stopped, and goes on at the next start")
			return fmt.Errorf("the migration to version %d stopped in the middle, and goes on at the next start: %w", from+1, err)
		}
		var done bool
		err := db.Update(ctx, p.origin(step.Name), func(tx *journal.Tx) (err error) {
			done, err = p.batch(tx, step, from, limit)
			return err
		})
		switch {
		case errors.Is(err, store.ErrTooLarge) && limit > 1:
			limit /= 2
		case errors.Is(err, store.ErrOutcomeUnknown) && ctx.Err() == nil:
			// The next batch begins wherever this one has come to.
		case err != nil:
			return fmt.Errorf("migration to version %d (%s): %w", from+1, step.Name, err)
		case done:
			log.InfoContext(ctx, "migration done")
			return nil
		}
		if batches%logEvery == 0 {
			log.InfoContext(ctx, "migration is under way", "batches", batches)
		}
	}
}

// batch does a part of a step, and tells whether the store is beyond it.
func (p *Plan) batch(tx *journal.Tx, step Step, from int32, limit int) (done bool, err error) {
	f, err := p.look(tx)
	if err != nil || f.version != from {
		return err == nil, err // another replica has finished it
	}
	at, err := readProgress(tx, from)
	if err != nil {
		return false, err
	}
	if !at.clearing {
		if at.cursor, err = step.Batch(tx, at.cursor, limit); err != nil {
			return false, err
		}
		at.clearing = at.cursor == nil
	} else if err := clearScratch(tx, limit); err != nil {
		return false, err
	}
	left, err := anyScratch(tx)
	if err != nil || left || !at.clearing {
		return false, errors.Join(err, tx.Put([]byte(progressKey), at.encode(from)))
	}
	return true, errors.Join(tx.Delete([]byte(progressKey)), p.write(tx, from, from+1))
}

// progressKey is where it stands how far a step is.
const progressKey = store.MigrationPrefix + "progress"

// progress is how far a step is.
type progress struct {
	cursor   []byte
	clearing bool // the work is done, its notes are being removed
}

// encode writes the version that the step begins from in 4 bytes, then 1 if it is clearing and 0 if not, then the cursor.
func (at progress) encode(from int32) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(from))
	if at.clearing {
		return append(b, 1)
	}
	return append(append(b, 0), at.cursor...)
}

// readProgress reads how far the step from a version is: not begun if nothing is written, or something of another step.
func readProgress(r store.Reader, from int32) (progress, error) {
	b, err := r.Get([]byte(progressKey))
	if errors.Is(err, store.ErrNotFound) {
		return progress{}, nil
	}
	if err != nil || len(b) < 5 || !bytes.Equal(b[:4], progress{}.encode(from)[:4]) {
		return progress{}, err
	}
	return progress{cursor: bytes.Clone(b[5:]), clearing: b[4] == 1}, nil
}

// clearScratch removes some of what a step has noted down.
func clearScratch(tx store.Tx, limit int) error {
	var keys [][]byte
	for e, err := range tx.Scan([]byte(store.ScratchPrefix), store.PrefixEnd([]byte(store.ScratchPrefix)), store.Ascending) {
		if err != nil {
			return err
		}
		if keys = append(keys, bytes.Clone(e.Key)); len(keys) == limit {
			break
		}
	}
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func anyScratch(r store.Reader) (bool, error) {
	for _, err := range r.Scan([]byte(store.ScratchPrefix), store.PrefixEnd([]byte(store.ScratchPrefix)), store.Ascending) {
		return true, err
	}
	return false, nil
}
