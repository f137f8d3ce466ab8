package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

// stores are the stores of all services, by the service's name, as one: each call goes to the service that its request names.
type stores map[string]maintenancev1.MaintenanceClient

var _ maintenancev1.MaintenanceClient = stores{}

// BackUpStore implements maintenancev1.MaintenanceClient.
func (s stores) BackUpStore(ctx context.Context, req *maintenancev1.BackUpStoreRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[maintenancev1.BackUpStoreResponse], error) {
	if service, ok := strings.CutPrefix(req.GetName(), "stores/"); ok && s[service] != nil {
		return s[service].BackUpStore(ctx, req, opts...)
	}
	return nil, fault.NotFound(req.GetName())
}

// downloader serves BackUpStore as a file. What the service says before the file goes into headers; if the file does not come
// to its end the connection is cut, so that nobody takes a part of it for the whole.
type downloader struct {
	gateway *Gateway
	stores  stores
	binding *binding
	stall   time.Duration
}

func newDownloader(g *Gateway, s stores, o Options) (*downloader, error) {
	method := maintenancev1.File_yizhen_maintenance_v1_maintenance_proto.Services().ByName("Maintenance").Methods().ByName("BackUpStore")
	b, err := bind(method)
	return &downloader{gateway: g, stores: s, binding: b, stall: o.Stall}, err
}

func (d *downloader) serve(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
	c := callOf(r.Context())
	req := &maintenancev1.BackUpStoreRequest{}
	if c.head {
		d.gateway.refuse(w, r, methodNotAllowed(http.MethodHead, http.MethodGet))
		return
	}
	if err := d.binding.apply(c, req.ProtoReflect()); err != nil {
		d.gateway.refuse(w, r, err)
		return
	}
	req.Name = pathParams["name"]
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-d.gateway.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	stream, err := d.stores.BackUpStore(ctx, req)
	var file *maintenancev1.BackupFile
	if err == nil {
		file, err = describe(stream)
	}
	if err != nil {
		d.gateway.refuse(w, r, d.gateway.reason(r, err))
		return
	}
	out := &stalling{w: c.direct, control: http.NewResponseController(c.direct), stall: d.stall}
	out.begin(file)
	if _, err := io.Copy(out, &chunks{stream: stream, left: file.GetSizeBytes()}); err != nil {
		err = d.gateway.reason(r, err)
		c.code, c.reason = status.Code(err), fault.ReasonOf(err)
		panic(http.ErrAbortHandler) // the status was sent; that the connection ends early is all that is left to say
	}
}

// describe waits until a backup is made and described.
func describe(stream grpc.ServerStreamingClient[maintenancev1.BackUpStoreResponse]) (*maintenancev1.BackupFile, error) {
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errShort
		}
		if err != nil {
			return nil, err
		}
		if res.GetFile() != nil {
			return res.GetFile(), nil
		}
	}
}

// errShort: the stream ended in order and before the file did.
var errShort = errors.New("the service has sent less than the whole backup")

// chunks reads the file off a stream.
type chunks struct {
	stream grpc.ServerStreamingClient[maintenancev1.BackUpStoreResponse]
	rest   []byte
	left   int64
}

// Read implements io.Reader.
func (c *chunks) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		res, err := c.stream.Recv()
		if errors.Is(err, io.EOF) && c.left != 0 {
			return 0, errShort
		}
		if err != nil {
			return 0, err
		}
		c.rest = res.GetChunk()
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	c.left -= int64(n)
	return n, nil
}

// stalling writes to a reader who is cut off when nothing is taken in time.
type stalling struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

func (s *stalling) begin(file *maintenancev1.BackupFile) {
	h := s.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(file.GetSizeBytes(), 10))
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%d.backup"`,
		strings.TrimPrefix(file.GetStore(), "stores/"), file.GetHead().GetRevision()))
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(file.GetSha256())+":") // RFC 9530
	_ = s.control.SetWriteDeadline(time.Time{})                                               // a server's write timeout is for short answers
	s.w.WriteHeader(http.StatusOK)
}

// Write implements io.Writer.
func (s *stalling) Write(b []byte) (int, error) {
	cut := time.AfterFunc(s.stall, func() { _ = s.control.SetWriteDeadline(time.Unix(1, 0)) })
	defer cut.Stop()
	return s.w.Write(b)
}
