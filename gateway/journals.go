package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/fault"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// journals are the journals of all services, by the service's name, as one: each call goes to the service that its
// request names.
type journals map[string]journalv1.JournalClient

var _ journalv1.JournalClient = journals{}

func (j journals) find(name string) (journalv1.JournalClient, error) {
	if service, ok := strings.CutPrefix(name, "journals/"); ok && j[service] != nil {
		return j[service], nil
	}
	return nil, fault.NotFound(name)
}

// ListChanges implements journalv1.JournalClient.
func (j journals) ListChanges(ctx context.Context, req *journalv1.ListChangesRequest, opts ...grpc.CallOption) (*journalv1.ListChangesResponse, error) {
	client, err := j.find(req.GetParent())
	if err != nil {
		return nil, err
	}
	return client.ListChanges(ctx, req, opts...)
}

// WatchChanges implements journalv1.JournalClient.
func (j journals) WatchChanges(ctx context.Context, req *journalv1.WatchChangesRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[journalv1.WatchChangesResponse], error) {
	client, err := j.find(req.GetName())
	if err != nil {
		return nil, err
	}
	return client.WatchChanges(ctx, req, opts...)
}

// GetHead implements journalv1.JournalClient.
func (j journals) GetHead(ctx context.Context, req *journalv1.GetHeadRequest, opts ...grpc.CallOption) (*journalv1.Head, error) {
	client, err := j.find(req.GetName())
	if err != nil {
		return nil, err
	}
	return client.GetHead(ctx, req, opts...)
}

// GetLatestChange implements journalv1.JournalClient.
func (j journals) GetLatestChange(ctx context.Context, req *journalv1.GetLatestChangeRequest, opts ...grpc.CallOption) (*journalv1.Change, error) {
	client, err := j.find(req.GetName())
	if err != nil {
		return nil, err
	}
	return client.GetLatestChange(ctx, req, opts...)
}

// VerifyRange implements journalv1.JournalClient.
func (j journals) VerifyRange(ctx context.Context, req *journalv1.VerifyRangeRequest, opts ...grpc.CallOption) (*journalv1.VerifyRangeResponse, error) {
	client, err := j.find(req.GetName())
	if err != nil {
		return nil, err
	}
	return client.VerifyRange(ctx, req, opts...)
}

// PruneChanges implements journalv1.JournalClient.
func (j journals) PruneChanges(ctx context.Context, req *journalv1.PruneChangesRequest, opts ...grpc.CallOption) (*journalv1.PruneChangesResponse, error) {
	client, err := j.find(req.GetName())
	if err != nil {
		return nil, err
	}
	return client.PruneChanges(ctx, req, opts...)
}

// ListCheckpoints implements journalv1.JournalClient.
func (j journals) ListCheckpoints(ctx context.Context, req *journalv1.ListCheckpointsRequest, opts ...grpc.CallOption) (*journalv1.ListCheckpointsResponse, error) {
	client, err := j.find(req.GetParent())
	if err != nil {
		return nil, err
	}
	return client.ListCheckpoints(ctx, req, opts...)
}

// GetCheckpoint implements journalv1.JournalClient. The name of a checkpoint begins with that of its journal.
func (j journals) GetCheckpoint(ctx context.Context, req *journalv1.GetCheckpointRequest, opts ...grpc.CallOption) (*journalv1.Checkpoint, error) {
	journal, _, _ := strings.Cut(req.GetName(), "/checkpoints/")
	client, err := j.find(journal)
	if err != nil {
		return nil, err
	}
	return client.GetCheckpoint(ctx, req, opts...)
}

// watcher serves WatchChanges as newline-delimited JSON: a line `{"result": …}` for each message, and if the stream does
// not end of the caller's own will, a last line `{"error": …}` with a problem document. Each line is sent at once.
type watcher struct {
	gateway  *Gateway
	journals journals
	binding  *binding
	stall    time.Duration
	places   chan struct{} // one is taken by each watch
}

func newWatcher(g *Gateway, j journals, o Options) (*watcher, error) {
	method := journalv1.File_yizhen_journal_v1_journal_proto.Services().ByName("Journal").Methods().ByName("WatchChanges")
	b, err := bind(method)
	return &watcher{gateway: g, journals: j, binding: b, stall: o.Stall, places: make(chan struct{}, o.MaxWatchers)}, err
}

func (x *watcher) serve(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
	c := callOf(r.Context())
	req, err := x.read(c, pathParams["name"])
	if err != nil {
		x.gateway.refuse(w, r, err)
		return
	}
	select {
	case x.places <- struct{}{}:
		defer func() { <-x.places }()
	default:
		x.gateway.refuse(w, r, tooManyWatchers(cap(x.places)))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-x.gateway.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	stream, err := x.open(ctx, req)
	if err != nil {
		x.gateway.refuse(w, r, x.gateway.reason(r, err))
		return
	}
	lines := &lineWriter{w: c.direct, control: http.NewResponseController(c.direct), stall: x.stall}
	lines.begin()
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) || r.Context().Err() != nil {
			return
		}
		if err != nil {
			// Nobody is left to tell if this fails too.
			_ = lines.write("error", newProblem(c, r, x.gateway.reason(r, err)).marshal())
			return
		}
		text, err := marshaler().Marshal(message)
		if err != nil {
			_ = lines.write("error", newProblem(c, r, x.gateway.hide(r, err)).marshal())
			return
		}
		if lines.write("result", text) != nil {
			return
		}
	}
}

// read reads the request of a watch, as the generated handlers read theirs.
func (x *watcher) read(c *call, name string) (*journalv1.WatchChangesRequest, error) {
	if c.head {
		return nil, methodNotAllowed(http.MethodHead, http.MethodGet)
	}
	req := &journalv1.WatchChangesRequest{}
	if err := x.binding.apply(c, req.ProtoReflect()); err != nil {
		return nil, err
	}
	if err := runtime.PopulateQueryParameters(req, c.query, utilities.NewDoubleArray(nil)); err != nil {
		return nil, unreadable(err)
	}
	req.Name = name
	return req, nil
}

// open begins the stream, and waits for the service to accept or refuse it: a refusal still has a status of its own then.
func (x *watcher) open(ctx context.Context, req *journalv1.WatchChangesRequest) (grpc.ServerStreamingClient[journalv1.WatchChangesResponse], error) {
	stream, err := x.journals.WatchChanges(ctx, req)
	if err != nil {
		return nil, err
	}
	if header, err := stream.Header(); err != nil || header == nil {
		// A stream that ended before it began has its reason where its messages would be.
		_, err := stream.Recv()
		return nil, err
	}
	return stream, nil
}

// reason returns why a stream ended: because of the gateway, or for what the service says.
func (g *Gateway) reason(r *http.Request, err error) error {
	select {
	case <-g.stopping:
		if r.Context().Err() == nil {
			return shuttingDown()
		}
	default:
	}
	return err
}

// lineWriter writes lines that do not wait.
type lineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

func (l *lineWriter) begin() {
	l.w.Header().Set("Content-Type", "application/x-ndjson")
	// Reverse proxies are asked not to collect what they pass on.
	l.w.Header().Set("X-Accel-Buffering", "no")
	// A server's write timeout is for answers that have an end.
	_ = l.control.SetWriteDeadline(time.Time{})
	defer l.cutOff().Stop()
	l.w.WriteHeader(http.StatusOK)
	_ = l.control.Flush() // a reader who is gone is noticed at the first line
}

// cutOff ends the connection when the reader has not taken what is written in time.
func (l *lineWriter) cutOff() *time.Timer {
	return time.AfterFunc(l.stall, func() { _ = l.control.SetWriteDeadline(time.Unix(1, 0)) })
}

// write writes a line, and gives its reader a time to take it.
func (l *lineWriter) write(key string, value json.RawMessage) error {
	defer l.cutOff().Stop()
	line, err := json.Marshal(map[string]json.RawMessage{key: value})
	if err != nil {
		return err
	}
	if _, err := l.w.Write(append(line, '\n')); err != nil {
		return err
	}
	return l.control.Flush()
}
