package journal

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/page"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Heartbeat is how often a watcher hears from a journal in which nothing happens.
const Heartbeat = 15 * time.Second

// stall is how long a watcher may leave what is sent to it untaken; it is cut off within twice that time.
const stall = 15 * time.Second

// defaultListSize is how many changes ListChanges answers with to a caller who does not say.
const defaultListSize = 100

// watchChunk is how many changes are read for a watcher at once. What a watcher has not taken yet is read when it takes
// it, so a slow one costs no memory.
const watchChunk = 100

// maxReadBytes bounds what is read at once in bytes, and with it an answer of ListChanges, well under the size limit of a
// message.
const maxReadBytes = 2 << 20

// Server serves a journal over gRPC.
type Server struct {
	journalv1.UnimplementedJournalServer
	db        *DB
	stop      chan struct{}
	stopOnce  sync.Once
	heartbeat time.Duration
	stall     time.Duration
}

var _ journalv1.JournalServer = (*Server)(nil)

// NewServer returns a server of the journal.
func NewServer(db *DB) *Server {
	return &Server{db: db, stop: make(chan struct{}), heartbeat: Heartbeat, stall: stall}
}

// Stop ends the streams of all watchers; they are told to resume elsewhere. Without it a graceful stop of the gRPC
// server would wait for them for ever.
func (s *Server) Stop() { s.stopOnce.Do(func() { close(s.stop) }) }

// ListChanges implements the Journal service.
func (s *Server) ListChanges(ctx context.Context, req *journalv1.ListChangesRequest) (*journalv1.ListChangesResponse, error) {
	if err := s.own(req.GetParent()); err != nil {
		return nil, err
	}
	start, err := page.Start(req)
	if err != nil {
		return nil, err
	}
	after := req.GetAfterRevision()
	if start != "" {
		if after, err = strconv.ParseInt(start, 10, 64); err != nil {
			return nil, fault.InvalidField("page_token", "不是本接口给出的", "was not issued by this method")
		}
	}
	limit := page.Size(req)
	if req.GetPageSize() == 0 {
		limit = defaultListSize
	}
	filter := Filter{Types: req.GetResourceTypes(), Prefix: req.GetResourcePrefix()}
	got, err := s.db.ReadPage(ctx, filter, after, limit, maxReadBytes)
	if err != nil {
		return nil, seen(err)
	}
	res := &journalv1.ListChangesResponse{ReadRevision: got.Through}
	size := 0
	for _, c := range got.Changes {
		if size += proto.Size(c); size > maxReadBytes && len(res.Changes) > 0 {
			res.ReadRevision = c.GetRevision() - 1
			break
		}
		res.Changes = append(res.Changes, c)
	}
	if res.GetReadRevision() < got.Head.GetRevision() {
		res.NextPageToken = page.Token(req, strconv.FormatInt(res.GetReadRevision(), 10))
	}
	return res, nil
}

// GetHead implements the Journal service.
func (s *Server) GetHead(ctx context.Context, req *journalv1.GetHeadRequest) (*journalv1.Head, error) {
	if err := s.own(req.GetName()); err != nil {
		return nil, err
	}
	head, err := s.db.Head(ctx)
	return head, seen(err)
}

// GetLatestChange implements the Journal service.
func (s *Server) GetLatestChange(ctx context.Context, req *journalv1.GetLatestChangeRequest) (change *journalv1.Change, err error) {
	if err := s.own(req.GetName()); err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(r store.Reader) error {
		change, err = Latest(r, req.GetResource())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.NotFound(req.GetResource())
	}
	return change, seen(err)
}

// VerifyRange implements the Journal service.
func (s *Server) VerifyRange(ctx context.Context, req *journalv1.VerifyRangeRequest) (*journalv1.VerifyRangeResponse, error) {
	if err := s.own(req.GetName()); err != nil {
		return nil, err
	}
	head, err := s.db.Head(ctx)
	if err != nil {
		return nil, seen(err)
	}
	first, last := req.GetFirstRevision(), req.GetLastRevision()
	if first == 0 {
		first = head.GetFirstRevision()
	}
	if last == 0 {
		last = head.GetRevision()
	}
	if last > head.GetRevision() || first > last+1 {
		return nil, outOfRange(head.GetRevision())
	}
	hash, err := s.db.Verify(ctx, first, last)
	if err != nil {
		return nil, seen(err)
	}
	return &journalv1.VerifyRangeResponse{FirstRevision: first, LastRevision: last, Hash: hash}, nil
}

// WatchChanges implements the Journal service.
func (s *Server) WatchChanges(req *journalv1.WatchChangesRequest, stream journalv1.Journal_WatchChangesServer) error {
	if err := s.own(req.GetName()); err != nil {
		return err
	}
	ctx := stream.Context()
	after := req.GetAfterRevision()
	head, err := s.db.Head(ctx)
	if err != nil {
		return seen(err)
	}
	if after > head.GetRevision() {
		return outOfRange(head.GetRevision())
	}
	filter := Filter{Types: req.GetResourceTypes(), Prefix: req.GetResourcePrefix()}
	if after < head.GetFirstRevision()-1 {
		return seen(&PrunedError{First: head.GetFirstRevision()})
	}
	w, err := s.db.join(ctx, filter, after)
	if err != nil {
		return seen(err)
	}
	defer s.db.leave(w)
	// The watcher hears at once that it is let in, though there may be nothing to send for a while.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	// What is sent is sent by a goroutine of its own, so that one who does not take it can be left standing: a call of Send
	// ends when this method has returned.
	out := &sender{server: s, stream: stream, watcher: w, done: make(chan error, 1)}
	go func() { out.done <- out.run(ctx) }()
	return out.attend(ctx)
}

// sender sends to one watcher.
type sender struct {
	server  *Server
	stream  journalv1.Journal_WatchChangesServer
	watcher *watcher
	done    chan error
	sends   atomic.Int64 // counts when a send begins and when it ends, so it is odd while one is under way
}

// attend waits for the end of a watch, and makes one if the watcher takes nothing for the time that it is given.
func (o *sender) attend(ctx context.Context) error {
	look := time.NewTicker(o.server.stall)
	defer look.Stop()
	var before int64
	for {
		select {
		case err := <-o.done:
			return err
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-o.server.stop:
			return stopping()
		case <-look.C:
			now := o.sends.Load()
			if now%2 == 1 && now == before {
				return slowReader()
			}
			before = now
		}
	}
}

func (o *sender) send(res *journalv1.WatchChangesResponse) error {
	o.sends.Add(1)
	err := o.stream.Send(res)
	o.sends.Add(1)
	return err
}

// run sends what the watcher wants, and heartbeats, until sending fails.
func (o *sender) run(ctx context.Context) error {
	beat := time.NewTicker(o.server.heartbeat)
	defer beat.Stop()
	for {
		more, err := o.pass(ctx)
		if err != nil {
			return err
		}
		select {
		case <-o.server.stop:
			return stopping()
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		default:
		}
		if more {
			continue
		}
		select {
		case <-o.watcher.wake:
		case <-beat.C:
			if err := o.beat(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-o.server.stop:
			return stopping()
		}
	}
}

// pass sends some of what the watcher has not had yet, and tells whether there may be more.
func (o *sender) pass(ctx context.Context) (more bool, err error) {
	if o.watcher.feed.look() {
		if err := o.server.db.refresh(ctx, o.watcher.feed); err != nil {
			return false, seen(err)
		}
	}
	wanted, _, remembered := o.watcher.take(watchChunk)
	if !remembered {
		return o.passStored(ctx)
	}
	for _, res := range wanted {
		if err := o.send(res); err != nil {
			return false, err
		}
	}
	return len(wanted) == watchChunk, nil // of what comes later it is woken
}

// passStored sends from the store what is not remembered any more.
func (o *sender) passStored(ctx context.Context) (more bool, err error) {
	got, err := o.server.db.ReadPage(ctx, o.watcher.filter, o.watcher.position(), watchChunk, maxReadBytes)
	if err != nil {
		return false, seen(err)
	}
	for _, c := range got.Changes {
		if err := o.send(&journalv1.WatchChangesResponse{Change: c, HeadRevision: got.Head.GetRevision()}); err != nil {
			return false, err
		}
		o.watcher.has(c.GetRevision())
	}
	o.watcher.has(got.Through)
	return true, nil
}

// beat sends a heartbeat, if there is nothing else to send. The store is looked at too: others may have written to it.
func (o *sender) beat(ctx context.Context) error {
	if err := o.server.db.refresh(ctx, o.watcher.feed); err != nil {
		return seen(err)
	}
	wanted, through, remembered := o.watcher.take(1)
	switch {
	case !remembered:
		return nil // the next pass reads the store
	case len(wanted) > 0:
		return o.send(wanted[0])
	}
	return o.send(&journalv1.WatchChangesResponse{HeadRevision: through})
}

// PruneChanges implements the Journal service.
func (s *Server) PruneChanges(ctx context.Context, req *journalv1.PruneChangesRequest) (*journalv1.PruneChangesResponse, error) {
	if err := s.own(req.GetName()); err != nil {
		return nil, err
	}
	head, err := s.db.Head(ctx)
	if err != nil {
		return nil, seen(err)
	}
	if req.GetRevision() > head.GetRevision() {
		return nil, outOfRange(head.GetRevision())
	}
	err = s.db.Prune(ctx, req.GetRevision(), req.GetHash())
	if errors.Is(err, ErrNoCheckpoint) {
		return nil, fault.New(codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE,
			"修订号 "+strconv.FormatInt(req.GetRevision(), 10)+" 之后没有检查点，不能清除", err.Error()+": nothing beyond it is removed")
	}
	if err != nil {
		return nil, seen(err)
	}
	first, _, err := s.db.First(ctx)
	return &journalv1.PruneChangesResponse{FirstRevision: first}, seen(err)
}

// ListCheckpoints implements the Journal service.
func (s *Server) ListCheckpoints(ctx context.Context, req *journalv1.ListCheckpointsRequest) (*journalv1.ListCheckpointsResponse, error) {
	if err := s.own(req.GetParent()); err != nil {
		return nil, err
	}
	start, err := page.Start(req)
	if err != nil {
		return nil, err
	}
	var after int64
	if start != "" {
		if after, err = strconv.ParseInt(start, 10, 64); err != nil {
			return nil, fault.InvalidField("page_token", "不是本接口给出的", "was not issued by this method")
		}
	}
	found, err := s.db.Checkpoints(ctx, after, page.Size(req)+1)
	if err != nil {
		return nil, seen(err)
	}
	res := &journalv1.ListCheckpointsResponse{Checkpoints: found}
	if len(found) > page.Size(req) {
		res.Checkpoints = found[:page.Size(req)]
		res.NextPageToken = page.Token(req, strconv.FormatInt(res.Checkpoints[page.Size(req)-1].GetRevision(), 10))
	}
	return res, nil
}

// GetCheckpoint implements the Journal service.
func (s *Server) GetCheckpoint(ctx context.Context, req *journalv1.GetCheckpointRequest) (c *journalv1.Checkpoint, err error) {
	number, ok := strings.CutPrefix(req.GetName(), s.db.name()+"/checkpoints/")
	revision, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return nil, fault.NotFound(req.GetName())
	}
	err = s.db.View(ctx, func(r store.Reader) error {
		c, err = checkpointAt(r, revision)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.NotFound(req.GetName())
	}
	return c, seen(err)
}

// own refuses the name of another service's journal.
func (s *Server) own(name string) error {
	if name != "journals/"+s.db.Service() {
		return fault.NotFound(name)
	}
	return nil
}

// seen makes of a journal that is not whole the fault that callers see; it leaves other errors alone.
func seen(err error) error {
	var gone *PrunedError
	if errors.As(err, &gone) {
		first := strconv.FormatInt(gone.First, 10)
		return fault.New(codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE,
			"日志从修订号 "+first+" 开始，之前的已归档", gone.Error(), fault.With("first", first))
	}
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	revision := strconv.FormatInt(corrupt.Revision, 10)
	return fault.New(codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT,
		"日志链在修订号 "+revision+" 处断裂", corrupt.Error(), fault.With("revision", revision))
}

func slowReader() error {
	return fault.New(codes.ResourceExhausted, typev1.Reason_REASON_SLOW_READER,
		"读取过慢；请从最后收到的修订号继续", "what was sent was not taken: resume after the last revision received")
}

func stopping() error {
	return fault.New(codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN,
		"服务正在停止；请从最后收到的修订号继续", "the server is stopping: resume after the last revision received")
}

func outOfRange(head int64) error {
	h := strconv.FormatInt(head, 10)
	return fault.New(codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE,
		"修订号超出日志范围，当前最新为 "+h, "the revision is beyond the journal, whose head is "+h, fault.With("head", h))
}
