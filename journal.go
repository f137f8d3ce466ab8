package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// journalCommand is for those who want to see for themselves.
type journalCommand struct {
	Key         journalKeyCommand         `cmd:"" help:"Make the pair of keys that journals are signed with."`
	Verify      journalVerifyCommand      `cmd:"" help:"Compute every hash of a journal anew, and hold it against checkpoints."`
	Show        journalShowCommand        `cmd:"" help:"Print the changes of a journal, one a line."`
	Export      journalExportCommand      `cmd:"" help:"Write changes of a journal to a segment file, with their chain."`
	Prune       journalPruneCommand       `cmd:"" help:"Move changes of a journal to a segment file, and out of the store."`
	Replay      journalReplayCommand      `cmd:"" help:"Make the tables of a stopped store again from its journal, and compare them."`
	Checkpoints journalCheckpointsCommand `cmd:"" help:"Print the checkpoints of a journal, one a line, to be kept elsewhere."`
}

type journalKeyCommand struct {
	File      string `arg:"" help:"Where the private key is written. The public key gets .pub added to the name."`
	Algorithm string `help:"What it signs with: ed25519, or sm2." enum:"ed25519,sm2" default:"ed25519"`
}

// Run writes both keys, and overwrites nothing.
func (c *journalKeyCommand) Run(w io.Writer) error {
	algorithm := journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_ED25519
	if c.Algorithm == "sm2" {
		algorithm = journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_SM2
	}
	private, public, err := journal.NewKey(algorithm)
	if err != nil {
		return err
	}
	if err := writeNew(c.File, private, 0o600); err != nil {
		return err
	}
	if err := writeNew(c.File+".pub", public, 0o644); err != nil {
		return err
	}
	key, err := journal.ReadPublicKey(public)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "key %s: %s signs, %s.pub verifies\n", key.ID(), c.File, c.File)
	return nil
}

func writeNew(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// journalSource says which journal is read: of a service that runs, of a store that nobody has open, or of a backup.
type journalSource struct {
	Service   string `arg:"" help:"Whose journal: town, project, fund, assessment or access." enum:"town,project,fund,assessment,access"`
	Addr      string `help:"Where the service answers gRPC." placeholder:"HOST:PORT" xor:"source"`
	Store     string `help:"The store of a service that is stopped, as bolt://FOLDER; or an etcd cluster, as etcd://HOST:PORT,…/PREFIX." placeholder:"URL" xor:"source"`
	Backup    string `help:"A backup of the service's store." type:"existingfile" placeholder:"FILE" xor:"source"`
	TokenFile string `help:"The file that holds the caller's token." type:"existingfile" placeholder:"FILE"`
	authority `embed:""`
	cluster   `embed:""`
}

// journalPage is how many changes or checkpoints are asked for at once: the most that a service gives.
const journalPage = 1000

// journalReader reads a journal, near or far, and removes from it what was archived.
type journalReader struct {
	service     string
	name        string
	head        func(context.Context, *journalv1.GetHeadRequest) (*journalv1.Head, error)
	changes     func(context.Context, *journalv1.ListChangesRequest) (*journalv1.ListChangesResponse, error)
	checkpoints func(context.Context, *journalv1.ListCheckpointsRequest) (*journalv1.ListCheckpointsResponse, error)
	prune       func(context.Context, *journalv1.PruneChangesRequest) (*journalv1.PruneChangesResponse, error)
	whole       func(context.Context) error // what only the store itself can be asked
	close       func() error
}

func (s *journalSource) open(ctx context.Context) (*journalReader, error) {
	name := "journals/" + s.Service
	if s.Store != "" {
		db, err := s.openStore(ctx)
		if err != nil {
			return nil, err
		}
		return readHere(db, db.Close), nil
	}
	if s.Backup != "" {
		return s.openBackup(ctx)
	}
	if s.Addr == "" {
		return nil, errors.New("where the journal is has to be said: --addr, --store or --backup")
	}
	connected, err := connect(map[string]string{s.Service: s.Addr}, []string{s.Service}, s.authority, identity{PeerTokenFile: s.TokenFile})
	if err != nil {
		return nil, err
	}
	client := journalv1.NewJournalClient(connected[s.Service])
	return &journalReader{
		service: s.Service,
		name:    name,
		head: func(ctx context.Context, req *journalv1.GetHeadRequest) (*journalv1.Head, error) {
			return client.GetHead(ctx, req)
		},
		changes: func(ctx context.Context, req *journalv1.ListChangesRequest) (*journalv1.ListChangesResponse, error) {
			return client.ListChanges(ctx, req)
		},
		checkpoints: func(ctx context.Context, req *journalv1.ListCheckpointsRequest) (*journalv1.ListCheckpointsResponse, error) {
			return client.ListCheckpoints(ctx, req)
		},
		prune: func(ctx context.Context, req *journalv1.PruneChangesRequest) (*journalv1.PruneChangesResponse, error) {
			return client.PruneChanges(ctx, req)
		},
		whole: func(context.Context) error { return nil },
		close: connected.close,
	}, nil
}

// readHere reads the journal of a store that this process has open.
func readHere(db *journal.DB, done func() error) *journalReader {
	server := journal.NewServer(db)
	whole := func(ctx context.Context) error {
		head, err := db.Head(ctx)
		if err == nil {
			_, err = db.Verify(ctx, 0, head.GetRevision())
		}
		return err
	}
	return &journalReader{db.Service(), "journals/" + db.Service(), server.GetHead, server.ListChanges, server.ListCheckpoints, server.PruneChanges, whole, done}
}

// openBackup makes a store of a backup that is there for as long as it is read. Of a backup that is damaged it says at which
// revision the journal is.
func (s *journalSource) openBackup(ctx context.Context) (_ *journalReader, err error) {
	file, err := os.Open(s.Backup)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	folder, err := os.MkdirTemp("", "yizhen-backup-")
	if err != nil {
		return nil, err
	}
	held, err := bolt.Open(filepath.Join(folder, s.Service+".db"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	done := func() error { return errors.Join(held.Close(), os.RemoveAll(folder)) }
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", s.Backup, err), done())
		}
	}()
	found, err := backup.Load(ctx, file, held)
	db := journal.Open(held, s.Service, clock.System{})
	switch {
	case errors.Is(err, backup.ErrDamaged) && found.Service == s.Service:
		if bad := backup.FirstBad(ctx, found, db); bad != nil {
			return nil, fmt.Errorf("%w: %w", err, bad)
		}
		return nil, fmt.Errorf("%w; of its journal every revision is whole, to %d", err, found.Head.GetRevision())
	case err != nil:
		return nil, err
	case found.Service != s.Service:
		return nil, notOf(found, s.Service)
	}
	return readHere(db, done), nil
}

func notOf(found backup.Summary, service string) error {
	return fmt.Errorf("this is a backup of %s, and not of %s", found.Service, service)
}

// openStore opens a store that is there.
func (s *journalSource) openStore(ctx context.Context) (*journal.DB, error) {
	folder, inFile := strings.CutPrefix(s.Store, "bolt://")
	if _, err := os.Stat(filepath.Join(folder, s.Service+".db")); err != nil && inFile {
		return nil, fmt.Errorf("store: %w", err) // opening would make one
	}
	return readJournal(ctx, s.Store, s.Service, s.files())
}

// signed reads all checkpoints.
func (r *journalReader) signed(ctx context.Context) (all []*journalv1.Checkpoint, err error) {
	req := &journalv1.ListCheckpointsRequest{Parent: r.name, PageSize: journalPage}
	for {
		res, err := r.checkpoints(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, res.GetCheckpoints()...)
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

type journalVerifyCommand struct {
	journalSource `embed:""`
	File          []string `help:"Segment files that journal export or prune wrote (may be repeated). They have to join each other, and the journal if --addr, --store or --backup is given too." type:"existingfile" placeholder:"FILE"`
	Checkpoints   string   `help:"Checkpoints that were kept elsewhere, one a line as journal checkpoints prints them." type:"existingfile" placeholder:"FILE"`
	PublicKey     []string `help:"The key that the checkpoints are signed with (may be repeated)." type:"existingfile" placeholder:"FILE"`
}

// Run verifies here, and takes nobody's word for it.
func (c *journalVerifyCommand) Run(ctx context.Context, w io.Writer) (err error) {
	var keys []*journal.PublicKey
	for _, path := range c.PublicKey {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := journal.ReadPublicKey(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	if c.Checkpoints != "" && len(keys) == 0 {
		return errors.New("a checkpoint proves nothing without the key that it was signed with: --public-key")
	}
	kept, err := readCheckpoints(c.Checkpoints)
	if err != nil {
		return err
	}
	name := "journals/" + c.Service
	if len(c.File) > 0 && c.Addr == "" && c.Store == "" && c.Backup == "" {
		if err := checkSigned(name, kept, keys); err != nil {
			return err
		}
		first, chain, err := readSegments(c.Service, c.File, kept...)
		if err == nil {
			sayWhole(w, name, first, chain, chain.Held())
		}
		return err
	}
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if len(keys) > 0 {
		held, err := r.signed(ctx)
		if err != nil {
			return err
		}
		kept = append(held, kept...)
	}
	if err := checkSigned(name, kept, keys); err != nil {
		return err
	}
	return r.verify(ctx, c.File, kept, w)
}

// checkSigned sees to it that checkpoints are of a journal, and signed with one of the keys.
func checkSigned(name string, all []*journalv1.Checkpoint, keys []*journal.PublicKey) error {
	for _, p := range all {
		if !strings.HasPrefix(p.GetName(), name+"/") {
			return fmt.Errorf("%s is not of %s", p.GetName(), name)
		}
		if err := journal.CheckSignature(p, keys...); err != nil {
			return err
		}
	}
	return nil
}

func sayWhole(w io.Writer, name string, first int64, chain *journal.Chain, held int) {
	fmt.Fprintf(w, "%s is whole from revision %d to %d, hash %x; held against %d checkpoints\n",
		name, first, chain.Revision(), chain.Hash(), held)
}

// verify follows the journal that is kept, and before it the files to which its beginning has gone. Where files have what is
// also kept, they have to agree.
func (r *journalReader) verify(ctx context.Context, files []string, held []*journalv1.Checkpoint, w io.Writer) error {
	if err := r.whole(ctx); err != nil {
		return err
	}
	head, err := r.head(ctx, &journalv1.GetHeadRequest{Name: r.name})
	if err != nil {
		return err
	}
	first, after := head.GetFirstRevision(), head.GetFirstRevision()-1
	archived := journal.NewChain(r.name, head.GetHashAlgorithm(), 0, nil)
	if len(files) > 0 {
		old := slices.DeleteFunc(slices.Clone(held), func(p *journalv1.Checkpoint) bool { return p.GetRevision() > after })
		begin, chain, err := readSegments(r.service, files, old...)
		if err != nil {
			return err
		}
		if chain.Revision() < after {
			return &journal.CorruptError{Revision: chain.Revision() + 1, Problem: fmt.Sprintf(
				"is missing: the files end at %d, and the journal is kept from %d on", chain.Revision(), after+1)}
		}
		if chain.Revision() > head.GetRevision() {
			return &journal.CorruptError{Revision: head.GetRevision() + 1, Problem: fmt.Sprintf(
				"is missing: the journal ends at %d, and the files go on to %d", head.GetRevision(), chain.Revision())}
		}
		first, archived = min(first, begin), chain
	}
	before := head.GetHash()
	if after < head.GetRevision() {
		begin, err := r.change(ctx, after+1)
		if err != nil {
			return err
		}
		before = begin.GetPreviousHash()
	}
	chain := journal.NewChain(r.name, head.GetHashAlgorithm(), after, before, held...)
	agree := func() error {
		if len(files) > 0 && chain.Revision() == archived.Revision() && !bytes.Equal(chain.Hash(), archived.Hash()) {
			return &journal.CorruptError{Revision: chain.Revision(), Problem: "is not what the files have: one of the two was made anew"}
		}
		return nil
	}
	if err := agree(); err != nil {
		return err
	}
	for change, err := range r.all(ctx, after+1, head.GetRevision()) {
		if err == nil {
			err = chain.Add(change)
		}
		if err == nil {
			err = agree()
		}
		if err != nil {
			return err
		}
	}
	if chain.Revision() < head.GetRevision() {
		return &journal.CorruptError{Revision: chain.Revision() + 1, Problem: "is missing"}
	}
	if err := chain.End(); err != nil {
		return err
	}
	sayWhole(w, r.name, first, chain, archived.Held()+chain.Held())
	return nil
}

// readCheckpoints reads a file of checkpoints; an empty name has none.
func readCheckpoints(path string) (found []*journalv1.Checkpoint, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if found, err = journal.ReadCheckpoints(f); err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
	}
	return found, nil
}

type journalCheckpointsCommand struct {
	journalSource `embed:""`
}

// Run prints them.
func (c *journalCheckpointsCommand) Run(ctx context.Context, w io.Writer) (err error) {
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	all, err := r.signed(ctx)
	for _, p := range all {
		line, err := journal.CheckpointLine(p)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", line)
	}
	return err
}
