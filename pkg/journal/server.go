package journal

import (
	"context"
	"errors"
	"strconv"
	"sync"
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
}

var _ journalv1.JournalServer = (*Server)(nil)

// NewServer returns a server of the journal.
func NewServer(db *DB) *Server {
	return &Server{db: db, stop: make(chan struct{}), heartbeat: Heartbeat}
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
	changes, head, err := s.db.read(ctx, after, limit, maxReadBytes)
	if err != nil {
		return nil, seen(err)
	}
	res := &journalv1.ListChangesResponse{}
	size := 0
	for _, c := range changes {
		if size += proto.Size(c); size > maxReadBytes && len(res.Changes) > 0 {
			break
		}
		res.Changes = append(res.Changes, c)
		after = c.GetRevision()
	}
	if len(res.Changes) > 0 && after < head.GetRevision() {
		res.NextPageToken = page.Token(req, strconv.FormatInt(after, 10))
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
	first, last := max(1, req.GetFirstRevision()), req.GetLastRevision()
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
	// The watcher hears at once that it is let in, though there may be nothing to send for a while.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		changed := s.db.Changed() // taken before reading, so that nothing falls in between
		sent, head, err := s.send(stream, after)
		if err != nil {
			return err
		}
		if after = sent; after < head {
			select {
			case <-s.stop: // also of a watcher that never catches up
				return stopping()
			default:
				continue
			}
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := stream.Send(&journalv1.WatchChangesResponse{HeadRevision: head}); err != nil {
				return err
			}
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.stop:
			return stopping()
		}
	}
}

// send sends the next changes after a revision, and returns the last revision sent and the head.
func (s *Server) send(stream journalv1.Journal_WatchChangesServer, after int64) (sent, head int64, err error) {
	changes, h, err := s.db.read(stream.Context(), after, watchChunk, maxReadBytes)
	if err != nil {
		return after, 0, seen(err)
	}
	for _, c := range changes {
		err := stream.Send(&journalv1.WatchChangesResponse{Change: c, HeadRevision: h.GetRevision()})
		if err != nil {
			return after, 0, err
		}
		after = c.GetRevision()
	}
	return after, h.GetRevision(), nil
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
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	revision := strconv.FormatInt(corrupt.Revision, 10)
	return fault.New(codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT,
		"日志链在修订号 "+revision+" 处断裂", corrupt.Error(), fault.With("revision", revision))
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
