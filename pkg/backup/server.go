package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

const (
	// chunkSent is how many bytes of a backup one message has, as the contract says.
	chunkSent = 256 << 10
	// stall is how long a caller may leave what is sent untaken; it is cut off within twice that time.
	stall = 15 * time.Second
	// tell is how often a caller hears how much is put aside.
	tell = time.Second
)

const stores = "stores/"

// Server makes backups of the store of a service that goes on.
//
// It writes the file aside before it sends any of it, so that the snapshot of the store lasts as long as the disk takes and
// not as long as the caller does. The file has no name once it is open: however the process ends, nothing of it is left.
type Server struct {
	maintenancev1.UnimplementedMaintenanceServer
	db       *journal.DB
	folder   string
	place    chan struct{} // taken by the backup under way
	stop     chan struct{}
	stopOnce sync.Once
	stall    time.Duration
	tell     time.Duration
}

var _ maintenancev1.MaintenanceServer = (*Server)(nil)

// NewServer returns a server of backups, which it puts aside in a folder; an empty name is the system's folder for temporary
// files.
func NewServer(db *journal.DB, folder string) *Server {
	if folder == "" {
		folder = os.TempDir()
	}
	return &Server{db: db, folder: folder, place: make(chan struct{}, 1), stop: make(chan struct{}), stall: stall, tell: tell}
}

// Stop ends the backup under way; its caller is told to begin anew elsewhere.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stop) }) }

// BackUpStore implements the Maintenance service.
func (s *Server) BackUpStore(req *maintenancev1.BackUpStoreRequest, stream grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error {
	if req.GetName() != stores+s.db.Service() {
		return fault.NotFound(req.GetName())
	}
	select {
	case s.place <- struct{}{}:
	default:
		return underWay()
	}
	// What is sent is sent by a goroutine of its own, so that a caller who does not take it can be left standing: a call of
	// Send ends when this method has returned. The place is free again when that goroutine has ended.
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	t := &transfer{server: s, stream: stream, done: make(chan error, 1)}
	go func() {
		defer func() { <-s.place }()
		t.done <- t.run(ctx)
	}()
	return t.attend(ctx)
}

// transfer is one backup on its way.
type transfer struct {
	server   *Server
	stream   grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]
	done     chan error
	prepared atomic.Int64
	sends    atomic.Int64 // counts when a send begins and when it ends, so it is odd while one is under way
}

// attend waits for the end of a transfer, and makes one if the caller takes nothing for the time that it is given.
func (t *transfer) attend(ctx context.Context) error {
	look := time.NewTicker(t.server.stall)
	defer look.Stop()
	var before int64
	for {
		select {
		case err := <-t.done:
			return seen(err)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-t.server.stop:
			return stopping()
		case <-look.C:
			now := t.sends.Load()
			if now%2 == 1 && now == before {
				return notTaken()
			}
			before = now
		}
	}
}

func (t *transfer) send(res *maintenancev1.BackUpStoreResponse) error {
	t.sends.Add(1)
	err := t.stream.Send(res)
	t.sends.Add(1)
	return err
}

// run puts the file aside and sends it.
func (t *transfer) run(ctx context.Context) error {
	made := make(chan *aside, 1)
	go func() { made <- t.server.putAside(ctx, &t.prepared) }()
	a, told := t.await(ctx, made)
	if a == nil {
		a = <-made // it ends soon, since the caller has gone
		return errors.Join(told, a.close())
	}
	if a.err != nil {
		return errors.Join(a.err, a.close())
	}
	err := t.send(&maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_File{File: a.about}})
	for left := a.about.GetSizeBytes(); err == nil && left > 0; {
		chunk := make([]byte, min(chunkSent, left)) // gRPC may still have the one before
		if _, err = io.ReadFull(a.file, chunk); err == nil {
			left -= int64(len(chunk))
			err = t.send(&maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_Chunk{Chunk: chunk}})
		}
	}
	return errors.Join(err, a.close())
}

// await says how far the file is until it is made. It returns none if the caller cannot be told.
func (t *transfer) await(ctx context.Context, made <-chan *aside) (*aside, error) {
	tick := time.NewTicker(t.server.tell)
	defer tick.Stop()
	for {
		select {
		case a := <-made:
			return a, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
			err := t.send(&maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_PreparedBytes{PreparedBytes: t.prepared.Load()}})
			if err != nil {
				return nil, err
			}
		}
	}
}

// aside is a backup in a file without a name, or why there is none.
type aside struct {
	file  *os.File
	about *maintenancev1.BackupFile
	err   error
}

// close gives the room back.
func (a *aside) close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

// putAside makes the file.
func (s *Server) putAside(ctx context.Context, prepared *atomic.Int64) *aside {
	file, err := nameless(s.folder, s.db.Service())
	if err != nil {
		return &aside{err: fmt.Errorf("put a backup aside: %w", err)}
	}
	w := &asideWriter{file: file, sum: sha256.New(), written: prepared}
	summary, err := Write(ctx, w, s.db)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return &aside{file: file, err: fmt.Errorf("put a backup aside in %s: %w", s.folder, err)}
	}
	return &aside{file: file, about: &maintenancev1.BackupFile{
		Store:      stores + summary.Service,
		SizeBytes:  prepared.Load(),
		Sha256:     w.sum.Sum(nil),
		Head:       summary.Head,
		KeyCount:   summary.Keys,
		CreateTime: timestamppb.New(s.db.Now()),
	}}
}

// nameless opens a file that is gone when it is closed, or when the process ends. A process that is killed between the two
// steps leaves an empty one, which the next backup there removes.
func nameless(folder, service string) (*os.File, error) {
	pattern := "." + service + ".*.aside"
	left, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	file, err := os.CreateTemp(folder, pattern)
	if err != nil {
		return nil, err
	}
	// Another process that makes a backup there may have been faster.
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// asideWriter writes the file and sums it up. The file is never synced: it is gone after a crash in any case, and what the disk
// does not get to see the commits do not have to wait for.
type asideWriter struct {
	file    *os.File
	sum     hash.Hash
	written *atomic.Int64
}

// Write implements io.Writer.
func (w *asideWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	w.sum.Write(b[:n])
	w.written.Add(int64(n))
	return n, err
}
