package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// fake is a service on loopback that answers every method of the contract: what a test says, or an empty message. It keeps
// what it was asked.
type fake struct {
	name   string
	conn   *grpc.ClientConn
	server *grpc.Server
	health *health.Server

	mu      sync.Mutex
	answers map[string]func(ctx context.Context, req proto.Message) (proto.Message, error)
	asked   []asked
}

type asked struct {
	method string
	req    proto.Message
	md     metadata.MD
}

func newFake(t testing.TB, name string) *fake {
	t.Helper()
	f := &fake{name: name, health: health.NewServer(), answers: map[string]func(context.Context, proto.Message) (proto.Message, error){}}
	f.server = grpc.NewServer(grpc.UnknownServiceHandler(f.answer))
	grpc_health_v1.RegisterHealthServer(f.server, f.health)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := f.server.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}()
	t.Cleanup(f.server.Stop)
	f.conn, err = grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	return f
}

func (f *fake) answer(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(full, "/"), "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	method := d.(protoreflect.MethodDescriptor)
	req := message(method.Input())
	if err := stream.RecvMsg(req); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	f.mu.Lock()
	f.asked = append(f.asked, asked{full, req, md})
	answer := f.answers[string(method.Name())]
	f.mu.Unlock()
	if answer == nil {
		return stream.SendMsg(message(method.Output()))
	}
	res, err := answer(stream.Context(), req)
	if err != nil {
		return err
	}
	return stream.SendMsg(res)
}

func message(d protoreflect.MessageDescriptor) proto.Message {
	mt, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err)
	}
	return mt.New().Interface()
}

// on says how a method is answered.
func (f *fake) on(method string, answer func(ctx context.Context, req proto.Message) (proto.Message, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[method] = answer
}

// always answers with the same message.
func always(m proto.Message) func(context.Context, proto.Message) (proto.Message, error) {
	return func(context.Context, proto.Message) (proto.Message, error) { return m, nil }
}

func refusing(err error) func(context.Context, proto.Message) (proto.Message, error) {
	return func(context.Context, proto.Message) (proto.Message, error) { return nil, err }
}

// last returns the last call, and forgets all.
func (f *fake) last(t testing.TB) asked {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		t.Fatal("the service was not asked")
	}
	a := f.asked[len(f.asked)-1]
	f.asked = nil
	return a
}

func (f *fake) untouched(t testing.TB) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) > 0 {
		t.Errorf("the service was asked: %v", f.asked)
	}
}

// edge is a gateway that is being served, in front of fakes.
type edge struct {
	t       testing.TB
	url     string
	gateway *Gateway
	server  *httptest.Server
	fakes   map[string]*fake
}

func newEdge(t testing.TB, change ...func(*Options)) *edge {
	t.Helper()
	e := &edge{t: t, fakes: map[string]*fake{}}
	for _, name := range []string{"town", "project", "fund", "assessment", "access"} {
		e.fakes[name] = newFake(t, name)
	}
	o := Options{
		Town: e.fakes["town"].conn, Project: e.fakes["project"].conn,
		Fund: e.fakes["fund"].conn, Assessment: e.fakes["assessment"].conn, Access: e.fakes["access"].conn,
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if e.gateway, err = New(o); err != nil {
		t.Fatal(err)
	}
	e.server = httptest.NewServer(e.gateway)
	t.Cleanup(e.server.Close)
	t.Cleanup(e.gateway.Stop) // before Close, which waits for streams
	e.url = e.server.URL
	return e
}

// header changes a request.
type header struct{ name, value string }

// do sends a request and returns the answer with its body read.
func (e *edge) do(method, path, body string, headers ...header) (*http.Response, string) {
	e.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, e.url+path, reader)
	if err != nil {
		e.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-Request-Id", "test-1")
	for _, h := range headers {
		switch h.value {
		case "":
			req.Header.Del(h.name)
		default:
			req.Header.Set(h.name, h.value)
		}
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		e.t.Fatal(err)
	}
	return res, string(text)
}
