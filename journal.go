package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// journalCommand is for those who want to see for themselves.
type journalCommand struct {
	Key         journalKeyCommand         `cmd:"" help:"Make the pair of keys that journals are signed with."`
	Verify      journalVerifyCommand      `cmd:"" help:"Compute every hash of a journal anew, and hold it against checkpoints."`
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

// journalSource says which journal is read: of a service that runs, or of a store that nobody has open.
type journalSource struct {
	Service   string `arg:"" help:"Whose journal: town, project, fund or assessment."`
	Addr      string `help:"Where the service answers gRPC." placeholder:"HOST:PORT" xor:"source" required:""`
	Store     string `help:"The store of a service that is stopped, as bolt://FOLDER; or an etcd cluster, as etcd://HOST:PORT,…/PREFIX." placeholder:"URL" xor:"source" required:""`
	TokenFile string `help:"The file that holds the caller's token." type:"existingfile" placeholder:"FILE"`
	authority `embed:""`
}

// journalReader reads a journal, near or far.
type journalReader struct {
	name        string
	head        func(context.Context, *journalv1.GetHeadRequest) (*journalv1.Head, error)
	changes     func(context.Context, *journalv1.ListChangesRequest) (*journalv1.ListChangesResponse, error)
	checkpoints func(context.Context, *journalv1.ListCheckpointsRequest) (*journalv1.ListCheckpointsResponse, error)
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
		server := journal.NewServer(db)
		whole := func(ctx context.Context) error {
			head, err := db.Head(ctx)
			if err == nil {
				_, err = db.Verify(ctx, 0, head.GetRevision())
			}
			return err
		}
		return &journalReader{name, server.GetHead, server.ListChanges, server.ListCheckpoints, whole, db.Close}, nil
	}
	connected, err := connect(map[string]string{s.Service: s.Addr}, []string{s.Service}, s.authority, identity{PeerTokenFile: s.TokenFile})
	if err != nil {
		return nil, err
	}
	client := journalv1.NewJournalClient(connected[s.Service])
	return &journalReader{
		name: name,
		head: func(ctx context.Context, req *journalv1.GetHeadRequest) (*journalv1.Head, error) {
			return client.GetHead(ctx, req)
		},
		changes: func(ctx context.Context, req *journalv1.ListChangesRequest) (*journalv1.ListChangesResponse, error) {
			return client.ListChanges(ctx, req)
		},
		checkpoints: func(ctx context.Context, req *journalv1.ListCheckpointsRequest) (*journalv1.ListCheckpointsResponse, error) {
			return client.ListCheckpoints(ctx, req)
		},
		whole: func(context.Context) error { return nil },
		close: connected.close,
	}, nil
}

// openStore opens a store that is there.
func (s *journalSource) openStore(ctx context.Context) (*journal.DB, error) {
	folder, inFile := strings.CutPrefix(s.Store, "bolt://")
	if _, err := os.Stat(filepath.Join(folder, s.Service+".db")); err != nil && inFile {
		return nil, fmt.Errorf("store: %w", err) // opening would make one
	}
	return openJournal(ctx, s.Store, s.Service, etcd.Files{}, clock.System{})
}

// signed reads all checkpoints.
func (r *journalReader) signed(ctx context.Context) (all []*journalv1.Checkpoint, err error) {
	req := &journalv1.ListCheckpointsRequest{Parent: r.name, PageSize: 1000}
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
	r, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	var held []*journalv1.Checkpoint
	if len(keys) > 0 {
		if held, err = r.signed(ctx); err != nil {
			return err
		}
	}
	kept, err := readCheckpoints(c.Checkpoints)
	if err != nil {
		return err
	}
	held = append(held, kept...)
	for _, p := range held {
		if !strings.HasPrefix(p.GetName(), r.name+"/") {
			return fmt.Errorf("%s is not of %s", p.GetName(), r.name)
		}
		if err := journal.CheckSignature(p, keys...); err != nil {
			return err
		}
	}
	return r.verify(ctx, held, w)
}

func (r *journalReader) verify(ctx context.Context, held []*journalv1.Checkpoint, w io.Writer) error {
	if err := r.whole(ctx); err != nil {
		return err
	}
	head, err := r.head(ctx, &journalv1.GetHeadRequest{Name: r.name})
	if err != nil {
		return err
	}
	after := head.GetFirstRevision() - 1
	var chain *journal.Chain
	for after < head.GetRevision() || chain == nil {
		res, err := r.changes(ctx, &journalv1.ListChangesRequest{Parent: r.name, PageSize: 1000, AfterRevision: after})
		if err != nil {
			return err
		}
		if chain == nil {
			var before []byte
			if after > 0 && len(res.GetChanges()) > 0 {
				before = res.GetChanges()[0].GetPreviousHash()
			}
			chain = journal.NewChain(r.name, head.GetHashAlgorithm(), after, before, held...)
		}
		for _, change := range res.GetChanges() {
			if err := chain.Add(change); err != nil {
				return err
			}
		}
		if len(res.GetChanges()) == 0 {
			break
		}
		after = chain.Revision()
	}
	if err := chain.End(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is whole from revision %d to %d, hash %x; held against %d checkpoints\n",
		r.name, head.GetFirstRevision(), chain.Revision(), chain.Hash(), chain.Held())
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
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		p := &journalv1.Checkpoint{}
		if err := protojson.Unmarshal(lines.Bytes(), p); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(found)+1, err)
		}
		found = append(found, p)
	}
	return found, lines.Err()
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
		line, err := protojson.Marshal(p)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", line)
	}
	return err
}
