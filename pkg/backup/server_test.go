package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// watchedStore counts the snapshots that are held, and lets a test stand in the way of one.
type watchedStore struct {
	store.Store
	held atomic.Int64
	gate chan struct{} // if not nil, each entry of a scan waits for it
}

func (s *watchedStore) View(ctx context.Context, fn func(store.Reader) error) error {
	s.held.Add(1)
	defer s.held.Add(-1)
	return s.Store.View(ctx, func(r store.Reader) error {
		if s.gate != nil {
			select {
			case <-s.gate:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return fn(r)
	})
}

// heavy commits so much that no buffer of a connection holds it.
func heavy(t testing.TB, s store.Store) {
	t.Helper()
	for i := range 12 {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			return tx.Put(fmt.Appendf(nil, "heavy/%d", i), bytes.Repeat([]byte{byte(i)}, 1<<20))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

var request = &maintenancev1.BackUpStoreRequest{Name: "stores/town"}

func serve(t testing.TB, db *journal.DB) maintenancev1.MaintenanceClient {
	t.Helper()
	server := rpctest.Serve(t, db, func(grpc.ServiceRegistrar) {},
		authn.Principal{Name: "keeper", Permissions: []string{"maintenance.stores.backUp"}, Division: "000000"},
		authn.Principal{Name: "reader", Permissions: []string{"*.get", "*.list"}, Division: "000000"},
		authn.Principal{Name: "county", Permissions: []string{"*"}, Division: "140525"})
	for _, name := range []string{"reader", "county", ""} {
		_, _, err := take(maintenancev1.NewMaintenanceClient(server.As(name)), t.Context())
		if code := status.Code(err); code != codes.PermissionDenied && code != codes.Unauthenticated {
			t.Errorf("%q takes a backup: %v", name, err)
		}
	}
	return maintenancev1.NewMaintenanceClient(server.As("keeper"))
}

// take takes a backup to its end.
func take(client maintenancev1.MaintenanceClient, ctx context.Context) (about *maintenancev1.BackupFile, file []byte, err error) { //nolint:revive // what is asked comes first
	stream, err := client.BackUpStore(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return about, file, nil
		}
		if err != nil {
			return about, file, err
		}
		if res.GetFile() != nil {
			about = res.GetFile()
		}
		if len(res.GetChunk()) > 256<<10 {
			return about, file, fmt.Errorf("a chunk of %d bytes", len(res.GetChunk()))
		}
		file = append(file, res.GetChunk()...)
	}
}

// eventually waits for what another goroutine does in its time.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("in 30 seconds it has not come to this: %s", what)
		}
	}
}

func TestABackupOverTheWire(t *testing.T) {
	raw := openBolt(t)
	db := openJournal(raw)
	register(t, db, "", "towns/140525-casting")
	heavy(t, raw)
	about, file, err := take(serve(t, db), t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	if about.GetStore() != "stores/town" || about.GetSizeBytes() != int64(len(file)) || !bytes.Equal(about.GetSha256(), sum[:]) ||
		!about.GetCreateTime().AsTime().Equal(now) || about.GetHead().GetRevision() != 1 || about.GetHead().GetFirstRevision() != 1 ||
		!bytes.Equal(about.GetHead().GetHash(), head.GetHash()) {
		t.Errorf("got %v for %d bytes, %x", about, len(file), sum)
	}
	var want bytes.Buffer
	if _, err := backup.Write(t.Context(), &want, db); err != nil || !bytes.Equal(want.Bytes(), file) {
		t.Errorf("what came is not the backup of the store: %v", err)
	}
}

// TestASlowCallerHoldsNoSnapshot leaves a backup untaken in the middle. The store has no reader then, and writers go on.
func TestASlowCallerHoldsNoSnapshot(t *testing.T) {
	raw := &watchedStore{Store: openBolt(t)}
	db := openJournal(raw)
	register(t, db, "", "towns/140525-casting")
	heavy(t, raw)
	client := serve(t, db)
	stream, err := client.BackUpStore(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	res, err := stream.Recv()
	for err == nil && res.GetFile() == nil {
		res, err = stream.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := raw.held.Load(); n != 0 {
		t.Errorf("%d snapshots are held while the caller takes its time", n)
	}
	for i := range 50 {
		register(t, db, "", fmt.Sprintf("towns/140525-%d", i))
	}
	// Another caller is told to wait, and to whom the place belongs it still does.
	if _, _, err := take(client, t.Context()); status.Code(err) != codes.ResourceExhausted || !fault.Is(err, maintenancev1.Reason_REASON_BACKUP_UNDER_WAY) {
		t.Errorf("two at once: %v", err)
	}
	file := bytes.Buffer{}
	for {
		more, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		file.Write(more.GetChunk())
	}
	held, err := backup.Check(&file)
	if err != nil || held.Head.GetRevision() != 1 {
		t.Errorf("the backup of the moment before is at revision %d: %v", held.Head.GetRevision(), err)
	}
	eventually(t, "the place is free", func() bool { _, _, err := take(client, t.Context()); return err == nil })
}

// pickyStream is the server's side of a caller that takes a message when take says so.
type pickyStream struct {
	grpc.ServerStream
	ctx  context.Context
	take chan *maintenancev1.BackUpStoreResponse
}

func (s *pickyStream) Context() context.Context     { return s.ctx }
func (s *pickyStream) SetHeader(metadata.MD) error  { return nil }
func (s *pickyStream) SendHeader(metadata.MD) error { return nil }
func (s *pickyStream) Send(r *maintenancev1.BackUpStoreResponse) error {
	select {
	case s.take <- r:
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// begin has a server send to a caller who takes nothing yet.
func begin(t *testing.T, server *backup.Server) (stream *pickyStream, leave func(), ended chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, ended = &pickyStream{ctx: ctx, take: make(chan *maintenancev1.BackUpStoreResponse)}, make(chan error, 1)
	go func() {
		ended <- server.BackUpStore(request, stream)
		cancel() // as gRPC does when a method returns
	}()
	return stream, cancel, ended
}

// nothingLeft fails if there is a file in a folder, or if one that has no name is still open.
func nothingLeft(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left in the folder, %v", left, err)
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && bytes.HasPrefix([]byte(to), []byte(folder)) {
			t.Errorf("%s is still open", to)
		}
	}
}

func TestWhatEndsABackup(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(server *backup.Server, leave func())
		code codes.Code
		is   func(error) bool
	}{
		{"the caller leaves", func(_ *backup.Server, leave func()) { leave() }, codes.Canceled, func(error) bool { return true }},
		{"the caller takes nothing", func(*backup.Server, func()) {}, codes.ResourceExhausted, func(err error) bool {
			return fault.Is(err, maintenancev1.Reason_REASON_BACKUP_NOT_TAKEN)
		}},
		{"the server stops", func(s *backup.Server, _ func()) { s.Stop() }, codes.Unavailable, func(err error) bool {
			return fault.Is(err, typev1.Reason_REASON_SHUTTING_DOWN)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := openBolt(t)
			heavy(t, raw)
			folder := t.TempDir()
			server := backup.NewServer(openJournal(raw), folder)
			if c.code == codes.ResourceExhausted {
				server.SetStall(20 * time.Millisecond)
			}
			stream, leave, ended := begin(t, server)
			if res := <-stream.take; res.GetFile() == nil {
				t.Fatalf("got %v first", res)
			}
			c.end(server, leave)
			if err := <-ended; status.Code(err) != c.code || !c.is(err) {
				t.Errorf("it ended with %v", err)
			}
			eventually(t, "the place is free", func() bool { return !server.Busy() })
			nothingLeft(t, folder)
		})
	}
}

// TestACallerWhoLeavesEndsTheSnapshot leaves while the file is still made.
func TestACallerWhoLeavesEndsTheSnapshot(t *testing.T) {
	raw := &watchedStore{Store: openBolt(t), gate: make(chan struct{})}
	folder := t.TempDir()
	server := backup.NewServer(openJournal(raw), folder)
	server.SetTell(time.Millisecond)
	stream, leave, ended := begin(t, server)
	for range 3 { // it is told how far the file is, though that is not far
		if res := <-stream.take; res.GetFile() != nil || res.GetChunk() != nil {
			t.Fatalf("got %v before the file is made", res)
		}
	}
	leave()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("it ended with %v", err)
	}
	eventually(t, "the snapshot is given up", func() bool { return raw.held.Load() == 0 && !server.Busy() })
	nothingLeft(t, folder)
}

// TestLeftoversAreRemoved begins with what a process has left that was killed between making a file and taking its name away.
func TestLeftoversAreRemoved(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{".town.1234.aside", ".fund.1234.aside", "town.db"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stream, _, ended := begin(t, backup.NewServer(openJournal(openBolt(t)), folder))
	for open := true; open; {
		select {
		case <-stream.take:
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			open = false
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 2 || left[0].Name() != ".fund.1234.aside" || left[1].Name() != "town.db" {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestWhatIsNotBackedUp(t *testing.T) {
	t.Run("the store of another service", func(t *testing.T) {
		server := backup.NewServer(openJournal(openBolt(t)), t.TempDir())
		err := server.BackUpStore(&maintenancev1.BackUpStoreRequest{Name: "stores/fund"}, &pickyStream{ctx: t.Context()})
		if status.Code(err) != codes.NotFound {
			t.Error(err)
		}
	})
	t.Run("what is being restored", func(t *testing.T) {
		raw := openBolt(t)
		if _, err := backup.Restore(t.Context(), bytes.NewReader(small(t)[:50]), raw, nil); err == nil {
			t.Fatal("half a file was restored")
		}
		_, _, ended := begin(t, backup.NewServer(openJournal(raw), t.TempDir()))
		if err := <-ended; status.Code(err) != codes.FailedPrecondition || !fault.Is(err, maintenancev1.Reason_REASON_RESTORE_UNFINISHED) {
			t.Error(err)
		}
	})
	t.Run("into a folder that is not there", func(t *testing.T) {
		_, _, ended := begin(t, backup.NewServer(openJournal(openBolt(t)), filepath.Join(t.TempDir(), "absent")))
		if err := <-ended; !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}
