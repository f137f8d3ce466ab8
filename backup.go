package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

// backupCommand puts a store into a file.
type backupCommand struct {
	Service   string `arg:"" help:"Whose store: town, project, fund, assessment or access." enum:"town,project,fund,assessment,access"`
	Addr      string `help:"Where the service answers gRPC. It goes on meanwhile." placeholder:"HOST:PORT" xor:"source" required:""`
	Store     string `help:"The store of a service that is stopped, as bolt://FOLDER; or of one on an etcd cluster, as etcd://HOST:PORT,…/PREFIX." placeholder:"URL" xor:"source" required:""`
	To        string `help:"The file that is written. It must not be there yet." placeholder:"FILE" required:""`
	TokenFile string `help:"The file that holds the caller's token." type:"existingfile" placeholder:"FILE"`
	authority `embed:""`
	cluster   `embed:""`
}

// Run writes the file beside its place, reads it once more, and puts it there when it is whole.
func (c *backupCommand) Run(ctx context.Context, w io.Writer) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	if err := absent(c.To); err != nil {
		return err // before anything is opened
	}
	write := c.fromStore
	if c.Addr != "" {
		write = c.fromService
	}
	var summary backup.Summary
	err = writeAside(c.To, func(f *os.File) (err error) {
		summary, err = write(ctx, f, w)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s holds %s\n", c.To, describe(summary))
	return nil
}

// interrupted makes of the end of a context an error that is reported as one: for a server to be stopped is in order, for a copy
// it is not.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("it was interrupted")
	}
	return err
}

// fromStore writes the backup of a store that is opened here.
func (c *backupCommand) fromStore(ctx context.Context, f *os.File, w io.Writer) (s backup.Summary, err error) {
	source := journalSource{Service: c.Service, Store: c.Store, cluster: c.cluster}
	db, err := source.openStore(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	p := newProgress(w, c.To, "written", 0)
	defer p.end()
	if s, err = backup.Write(ctx, io.MultiWriter(f, p), db); err != nil {
		return s, err
	}
	if s.Keys == 0 {
		return s, fmt.Errorf("there is nothing in the store of %s at %s", c.Service, c.Store)
	}
	p.end()
	return checkFile(f, c.To, w)
}

// fromService writes what a service that goes on sends, and holds it against what the service said of it before.
func (c *backupCommand) fromService(ctx context.Context, f *os.File, w io.Writer) (s backup.Summary, err error) {
	connected, err := connect(map[string]string{c.Service: c.Addr}, []string{c.Service}, c.authority, identity{PeerTokenFile: c.TokenFile})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, connected.close()) }()
	stream, err := maintenancev1.NewMaintenanceClient(connected[c.Service]).BackUpStore(ctx, &maintenancev1.BackUpStoreRequest{Name: "stores/" + c.Service})
	if err != nil {
		return s, err
	}
	about, err := c.receive(stream, f, w)
	if err != nil {
		return s, err
	}
	if s, err = checkFile(f, c.To, w); err != nil {
		return s, err
	}
	if s.Service != c.Service || s.Keys != about.GetKeyCount() || !proto.Equal(s.Head, about.GetHead()) {
		return s, fmt.Errorf("the service has sent %s, and said that it is %s", describe(s),
			describe(backup.Summary{Service: strings.TrimPrefix(about.GetStore(), "stores/"), Head: about.GetHead(), Keys: about.GetKeyCount()}))
	}
	return s, nil
}

// receive takes the file off the stream.
func (c *backupCommand) receive(stream grpc.ServerStreamingClient[maintenancev1.BackUpStoreResponse], f *os.File, w io.Writer) (*maintenancev1.BackupFile, error) {
	var about *maintenancev1.BackupFile
	sum := sha256.New()
	p := newProgress(w, c.Service, "put aside by the service", 0)
	defer func() { p.end() }()
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch {
		case res.GetFile() != nil:
			about = res.GetFile()
			p.end()
			p = newProgress(w, c.To, "received", about.GetSizeBytes())
		case res.GetChunk() != nil:
			if _, err := io.MultiWriter(f, sum, p).Write(res.GetChunk()); err != nil {
				return nil, err
			}
		default:
			p.at(res.GetPreparedBytes())
		}
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if about == nil || size != about.GetSizeBytes() || !bytes.Equal(sum.Sum(nil), about.GetSha256()) {
		return nil, fmt.Errorf("what came is not what was sent: %d bytes with SHA-256 %x, of %d bytes with %x", size, sum.Sum(nil), about.GetSizeBytes(), about.GetSha256())
	}
	return about, nil
}

func describe(s backup.Summary) string {
	return fmt.Sprintf("%s at revision %d, hash %x, in %d keys", s.Service, s.Head.GetRevision(), s.Head.GetHash(), s.Keys)
}

// checkFile reads a whole backup from its beginning.
func checkFile(f *os.File, name string, w io.Writer) (s backup.Summary, err error) {
	err = readThrough(f, name, "checked", w, func(r io.Reader) error {
		s, err = backup.Check(r)
		return err
	})
	return s, err
}

// readThrough reads a file from its beginning, and tells how far that is.
func readThrough(f *os.File, name, verb string, w io.Writer, read func(io.Reader) error) error {
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	p := newProgress(w, name, verb, info.Size())
	defer p.end()
	return read(io.TeeReader(f, p))
}

// restoreCommand makes a store of a file.
type restoreCommand struct {
	Service  string `arg:"" help:"Whose store: town, project, fund, assessment or access." enum:"town,project,fund,assessment,access"`
	From     string `help:"The backup." type:"existingfile" placeholder:"FILE" required:""`
	Store    string `help:"Where the store is made, as bolt://FOLDER or etcd://HOST:PORT,…/PREFIX. The service must not have one there." placeholder:"URL" required:""`
	Revision *int64 `help:"Make the store as it was at this revision of the journal, in place of the newest." placeholder:"N"`
	cluster  `embed:""`
}

// Run reads the whole file before it writes anything.
func (c *restoreCommand) Run(ctx context.Context, w io.Writer) (err error) {
	defer func() { err = interrupted(ctx, err) }()
	onCluster := strings.HasPrefix(c.Store, "etcd:")
	var path string
	if !onCluster {
		folder, err := boltFolder(c.Store)
		if err != nil {
			return err
		}
		path = filepath.Join(folder, c.Service+".db")
		if err := absent(path); err != nil {
			return err
		}
	}
	file, err := os.Open(c.From)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	found, err := checkFile(file, c.From, w)
	if err == nil && found.Service != c.Service {
		err = notOf(found, c.Service)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.From, err)
	}
	fmt.Fprintf(w, "%s holds %s\n", c.From, describe(found))
	if onCluster {
		return c.intoCluster(ctx, file, found, w)
	}
	return c.intoFolder(ctx, file, path, w)
}

// intoFolder makes the store beside its place, proves it, and puts it there.
func (c *restoreCommand) intoFolder(ctx context.Context, file *os.File, path string, w io.Writer) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(folder, ".restore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	made := filepath.Join(aside, "whole.db")
	if err := c.whole(ctx, file, made, aside, w); err != nil {
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

// entryBytes is more than what etcd adds to a key and its value in a request.
const entryBytes = 4 << 10

// intoCluster makes the store where it will be, since a cluster has no aside. Until it is proven it is marked, and nobody serves
// it.
func (c *restoreCommand) intoCluster(ctx context.Context, file *os.File, found backup.Summary, w io.Writer) (err error) {
	o, err := etcd.Parse(c.Store, c.files())
	if err != nil {
		return err
	}
	o = o.Below(c.Service)
	if most := cmp.Or(o.MaxRequestBytes, etcd.DefaultMaxRequestBytes); found.Largest+entryBytes > most {
		return fmt.Errorf("%s has a value of %d bytes, and the cluster takes %d (max-request-bytes): nothing was written", c.From, found.Largest, most)
	}
	scratch, err := os.MkdirTemp("", "yizhen-restore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if c.Revision != nil {
		if file, err = c.earlier(ctx, file, scratch, w); err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // it was only read
	}
	s, err := etcd.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return c.fill(ctx, file, s, scratch, w)
}

// earlier writes a backup of the store as it was at a revision.
func (c *restoreCommand) earlier(ctx context.Context, file *os.File, scratch string, w io.Writer) (_ *os.File, err error) {
	whole, earlier := filepath.Join(scratch, "whole.db"), filepath.Join(scratch, "earlier.db")
	if err := c.whole(ctx, file, whole, scratch, w); err != nil {
		return nil, err
	}
	if err := c.rewind(ctx, whole, earlier, scratch, w); err != nil {
		return nil, err
	}
	s, err := bolt.Open(earlier)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	made, err := os.Create(filepath.Join(scratch, "earlier.backup"))
	if err != nil {
		return nil, err
	}
	if _, err := backup.Write(ctx, made, journal.Open(s, c.Service, clock.System{})); err != nil {
		return nil, errors.Join(err, made.Close())
	}
	return made, nil
}

// whole makes a store as the backup has it.
func (c *restoreCommand) whole(ctx context.Context, file *os.File, path, scratch string, w io.Writer) (err error) {
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return c.fill(ctx, file, s, scratch, w)
}

// fill fills a store and proves it: its journal is whole and is the one that the file tells of, its tables are what the journal
// makes, and key by key it is what the file has.
func (c *restoreCommand) fill(ctx context.Context, file *os.File, s store.Store, scratch string, w io.Writer) error {
	info, err := file.Stat()
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	p := newProgress(w, c.From, "restored", info.Size())
	defer p.end()
	_, err = backup.Restore(ctx, io.TeeReader(file, p), s, func(found backup.Summary) error {
		p.end()
		db := journal.Open(s, c.Service, clock.System{})
		head, err := db.Head(ctx)
		if err != nil {
			return err
		}
		if head.GetRevision() != found.Head.GetRevision() || !bytes.Equal(head.GetHash(), found.Head.GetHash()) {
			return fmt.Errorf("%s says that the journal is at revision %d, and it is at %d", c.From, found.Head.GetRevision(), head.GetRevision())
		}
		err = readThrough(file, c.From, "compared", w, func(r io.Reader) error { return backup.Equal(ctx, r, s) })
		if err != nil {
			return err
		}
		// Only a store of this program's version can be proven, or taken back to an earlier one.
		if err := serviceNamed(c.Service).plan(slog.New(slog.NewTextHandler(w, nil))).Open(ctx, db); err != nil {
			return fmt.Errorf("%s: %w", c.From, err)
		}
		return c.prove(ctx, db, scratch, w)
	})
	return err
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
