package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// registry is a town registry whose GetTown does what a test wants.
type registry struct {
	townv1.UnimplementedTownRegistryServer
	get func(ctx context.Context) error
}

func (r *registry) GetTown(ctx context.Context, req *townv1.GetTownRequest) (*townv1.Town, error) {
	if r.get != nil {
		if err := r.get(ctx); err != nil {
			return nil, err
		}
	}
	return &townv1.Town{Name: req.GetName(), TitleEn: authn.FromContext(ctx).Name}, nil
}

func (r *registry) CreateTown(context.Context, *townv1.CreateTownRequest) (*townv1.Town, error) {
	return &townv1.Town{}, nil
}

// Everything secret in a test has this in it, so that it is easily looked for.
const secret = "s3cret"

// logs collects the lines of a server.
type logs struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.Write(p)
}

func (l *logs) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.String()
}

// lines are the lines with a message.
func (l *logs) lines(t *testing.T, message string) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.text()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["msg"] == message {
			out = append(out, m)
		}
	}
	return out
}

// running is a server of a registry, with what a test needs to look at it and to stop it.
type running struct {
	addr    string
	logs    *logs
	db      *journal.DB
	stop    context.CancelFunc
	stopped chan error
}

func run(t *testing.T, r *registry, o rpc.Options) *running {
	t.Helper()
	out := &running{logs: &logs{}, db: rpctest.OpenDB(t, "town", clock.System{}), stopped: make(chan error, 1)}
	o.Logger = slog.New(slog.NewJSONHandler(out.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	o.Callers, err = authn.NewCredentials(
		authn.Principal{Name: "zezhou/li", Division: "140525", Permissions: []string{"town.*"}, TokenSHA256: authn.Digest("li " + secret)},
		authn.Principal{Name: "city/wang", Division: "140500", Permissions: []string{"journal.*", "*.get"}, TokenSHA256: authn.Digest("wang " + secret)},
	)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := rpc.NewServer(out.db, func(s grpc.ServiceRegistrar) { townv1.RegisterTownRegistryServer(s, r) }, o)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out.addr = lis.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	out.stop = stop
	go func() { out.stopped <- srv.Serve(ctx, lis) }()
	t.Cleanup(func() {
		stop()
		if err := <-out.stopped; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if strings.Contains(out.logs.text(), secret) {
			t.Error("a token is in the log")
		}
	})
	return out
}

// as returns a connection with a token: li, wang or any other; empty for none.
func (r *running) as(t *testing.T, who string) *grpc.ClientConn {
	t.Helper()
	token := ""
	if who != "" {
		token = who + " " + secret
	}
	conn, err := rpc.Dial(r.addr, nil, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (r *running) get(t *testing.T, who, name string) (*townv1.Town, error) {
	t.Helper()
	return townv1.NewTownRegistryClient(r.as(t, who)).GetTown(t.Context(), &townv1.GetTownRequest{Name: name})
}

const casting, silk = "towns/140525-casting", "towns/140581-silk"

func expectFault(t *testing.T, err error, code codes.Code, reason protoreflect.Enum) {
	t.Helper()
	if status.Code(err) != code || !fault.Is(err, reason) {
		t.Errorf("answered %v, want %v with %v", err, code, reason)
	}
}

func TestWhoIsLetThrough(t *testing.T) {
	s := run(t, &registry{}, rpc.Options{})
	town, err := s.get(t, "li", casting)
	if err != nil || town.GetTitleEn() != "zezhou/li" {
		t.Errorf("%v, %v; want to be let through as zezhou/li", town, err)
	}
	_, err = s.get(t, "", casting)
	expectFault(t, err, codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED)
	_, err = s.get(t, "nobody", casting)
	expectFault(t, err, codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED)
	_, err = s.get(t, "li", silk)
	expectFault(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	if _, err = s.get(t, "wang", silk); err != nil {
		t.Errorf("the city: %v", err)
	}
	_, err = townv1.NewTownRegistryClient(s.as(t, "wang")).CreateTown(t.Context(), &townv1.CreateTownRequest{})
	expectFault(t, err, codes.PermissionDenied, typev1.Reason_REASON_PERMISSION_MISSING)

	t.Run("also of streams", func(t *testing.T) {
		watch := func(who, name string) error {
			stream, err := journalv1.NewJournalClient(s.as(t, who)).WatchChanges(t.Context(), &journalv1.WatchChangesRequest{Name: name})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}
		expectFault(t, watch("", "journals/town"), codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED)
		expectFault(t, watch("li", "journals/town"), codes.PermissionDenied, typev1.Reason_REASON_PERMISSION_MISSING)
		expectFault(t, watch("wang", "town"), codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD)
	})
	t.Run("but health and reflection are for everybody", func(t *testing.T) {
		conn := s.as(t, "")
		res, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "yizhen.town.v1.TownRegistry"})
		if err != nil || res.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health: %v, %v", res, err)
		}
		stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err == nil {
			err = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
				MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
			})
		}
		var answer *grpc_reflection_v1.ServerReflectionResponse
		if err == nil {
			answer, err = stream.Recv()
		}
		if err != nil || len(answer.GetListServicesResponse().GetService()) < 3 {
			t.Errorf("reflection: %v, %v", answer, err)
		}
	})
	t.Run("a method that does not exist", func(t *testing.T) {
		err := s.as(t, "li").Invoke(t.Context(), "/yizhen.town.v1.TownRegistry/Nothing", &townv1.GetTownRequest{}, &townv1.Town{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%v", err)
		}
	})
}

func TestInvalidFieldsAreAllNamed(t *testing.T) {
	s := run(t, &registry{}, rpc.Options{})
	_, err := townv1.NewTownRegistryClient(s.as(t, "li")).CreateTown(t.Context(), &townv1.CreateTownRequest{
		TownId: "casting", RequestId: "two words",
		Town: &townv1.Town{Division: "Zezhou", IndustryCodes: []string{"3391", "x"}, TitleZh: "铸造", TitleEn: "Casting"},
	})
	expectFault(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD)
	var named []string
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				named = append(named, v.GetField())
			}
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	want := []string{"request_id", "town.division", "town.field", "town.industry_codes[1]", "town_id"}
	if !slices.Equal(named, want) {
		t.Errorf("named are %q, want %q", named, want)
	}
}

func TestOversizedMessage(t *testing.T) {
	s := run(t, &registry{}, rpc.Options{})
	large := &townv1.CreateTownRequest{Town: &townv1.Town{TitleZh: strings.Repeat("x", rpc.MaxMessageBytes)}}
	_, err := townv1.NewTownRegistryClient(s.as(t, "li")).CreateTown(t.Context(), large)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v, want RESOURCE_EXHAUSTED", err)
	}
	if _, err := s.get(t, "li", casting); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPanicEndsTheCallAndNotTheServer(t *testing.T) {
	r := &registry{get: func(context.Context) error { panic("the sky fell") }}
	s := run(t, r, rpc.Options{})
	for range 2 {
		_, err := s.get(t, "li", casting)
		expectFault(t, err, codes.Internal, typev1.Reason_REASON_INTERNAL)
		if strings.Contains(err.Error(), "sky") {
			t.Errorf("the caller is told %v", err)
		}
	}
	panics := s.logs.lines(t, "panic")
	if len(panics) != 2 || panics[0][rpc.FieldError] != "the sky fell" || !strings.Contains(fmt.Sprint(panics[0][rpc.FieldStack]), "rpc_test.go") {
		t.Errorf("the log says %v", panics)
	}
}

func TestPanicBeforeTheHandlerEndsTheCallOnly(t *testing.T) {
	db := rpctest.OpenDB(t, "town", clock.System{})
	// A server that was given no credentials stumbles when it looks a token up.
	srv, err := rpc.NewServer(db, func(grpc.ServiceRegistrar) {}, rpc.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(ctx, lis) }()
	defer func() {
		stop()
		<-stopped
	}()
	conn, err := rpc.Dial(lis.Addr().String(), nil, "any")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := journalv1.NewJournalClient(conn)
	_, err = client.GetHead(ctx, &journalv1.GetHeadRequest{Name: "journals/town"})
	expectFault(t, err, codes.Internal, typev1.Reason_REASON_INTERNAL)
	stream, err := client.WatchChanges(ctx, &journalv1.WatchChangesRequest{Name: "journals/town"})
	if err == nil {
		_, err = stream.Recv()
	}
	expectFault(t, err, codes.Internal, typev1.Reason_REASON_INTERNAL)
}

func TestErrorsOfHandlers(t *testing.T) {
	var answer error
	r := &registry{get: func(context.Context) error { return answer }}
	s := run(t, r, rpc.Options{})
	for _, c := range []struct {
		name   string
		err    error
		code   codes.Code
		reason typev1.Reason
	}{
		{"a fault passes", fault.NotFound(casting), codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND},
		{"a fault passes when wrapped", fmt.Errorf("town: %w", fault.NotFound(casting)), codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND},
		{"a full store", fmt.Errorf("commit: %w", store.ErrFull), codes.ResourceExhausted, typev1.Reason_REASON_STORE_FULL},
		{"a busy store", fmt.Errorf("commit: %w", store.ErrBusy), codes.ResourceExhausted, typev1.Reason_REASON_STORE_BUSY},
		{"a change that is too large", fmt.Errorf("put: %w", store.ErrTooLarge), codes.ResourceExhausted, typev1.Reason_REASON_CHANGE_TOO_LARGE},
		{"a deadline", context.DeadlineExceeded, codes.DeadlineExceeded, typev1.Reason_REASON_DEADLINE_EXCEEDED},
		{"anything else is the server's own", errors.New("disk sda1 is on fire"), codes.Internal, typev1.Reason_REASON_INTERNAL},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer = c.err
			_, err := s.get(t, "li", casting)
			expectFault(t, err, c.code, c.reason)
			if strings.Contains(err.Error(), "sda1") {
				t.Errorf("the caller is told %v", err)
			}
		})
	}
	if !strings.Contains(s.logs.text(), "sda1") {
		t.Error("the log does not have the error that the caller was not shown")
	}
}

func TestDeadline(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	s := run(t, &registry{get: wait}, rpc.Options{CallTimeout: 20 * time.Millisecond})
	_, err := s.get(t, "li", casting)
	expectFault(t, err, codes.DeadlineExceeded, typev1.Reason_REASON_DEADLINE_EXCEEDED)
}

func TestACallLeavesItsCallerTimeToAnswer(t *testing.T) {
	deadlines := make(chan time.Time, 1)
	s := run(t, &registry{get: func(ctx context.Context) error {
		at, _ := ctx.Deadline()
		deadlines <- at
		return nil
	}}, rpc.Options{})
	client := townv1.NewTownRegistryClient(s.as(t, "li"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := client.GetTown(ctx, &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Fatal(err)
	}
	own, _ := ctx.Deadline()
	if at := <-deadlines; own.Sub(at) < 100*time.Millisecond {
		t.Errorf("the call may take until %v, its caller has to answer by %v", at, own)
	}
	if _, err := client.GetTown(t.Context(), &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(<-deadlines); left <= 0 || left > rpc.DefaultCallTimeout {
		t.Errorf("a call without a deadline gets %v", left)
	}
}

func TestStop(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := run(t, &registry{get: func(context.Context) error {
		close(entered)
		<-leave
		return nil
	}}, rpc.Options{})
	watcher, err := journalv1.NewJournalClient(s.as(t, "wang")).WatchChanges(t.Context(), &journalv1.WatchChangesRequest{Name: "journals/town"})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := s.get(t, "li", casting)
		answered <- err
	}()
	<-entered
	s.stop()
	_, err = watcher.Recv()
	expectFault(t, err, codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN)
	select {
	case <-s.stopped:
		t.Fatal("it stopped while a call was under way")
	default:
	}
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the call under way was answered %v", err)
	}
	if err := <-s.stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	s.stopped <- nil // for the cleanup
	if _, err := s.get(t, "li", casting); status.Code(err) != codes.Unavailable {
		t.Errorf("afterwards a call is answered %v", err)
	}
}

func TestStopEndsThoseWhoWatchTheHealth(t *testing.T) {
	s := run(t, &registry{}, rpc.Options{StopTimeout: time.Hour})
	stream, err := grpc_health_v1.NewHealthClient(s.as(t, "")).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", res, err)
	}
	s.stop()
	for err == nil {
		_, err = stream.Recv() // perhaps that it is not serving, and then the end
	}
	if code := status.Code(err); code != codes.Canceled && code != codes.Unavailable {
		t.Errorf("the stream ends in %v", err)
	}
}

func TestOversizedHeader(t *testing.T) {
	s := run(t, &registry{}, rpc.Options{})
	client := townv1.NewTownRegistryClient(s.as(t, "li"))
	if _, err := client.GetTown(t.Context(), &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", 100<<10))
	if _, err := client.GetTown(ctx, &townv1.GetTownRequest{Name: casting}); err == nil {
		t.Error("a header of 100 KiB was taken")
	}
	if _, err := client.GetTown(t.Context(), &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := run(t, &registry{get: func(context.Context) error {
		close(entered)
		<-leave
		return nil
	}}, rpc.Options{StopTimeout: 20 * time.Millisecond})
	answered := make(chan error, 1)
	go func() {
		_, err := s.get(t, "li", casting)
		answered <- err
	}()
	<-entered
	s.stop()
	if err := <-answered; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that would not end was answered %v", err)
	}
	close(leave)
}

func TestStopBeforeTheBeginning(t *testing.T) {
	for range 20 { // the two race
		s := run(t, &registry{}, rpc.Options{})
		s.stop()
		if err := <-s.stopped; err != nil {
			t.Fatalf("Serve: %v", err)
		}
		s.stopped <- nil // for the cleanup
	}
}

func TestLogLine(t *testing.T) {
	s := run(t, &registry{}, rpc.Options{})
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.CorrelationKey, "c-1")
	client := townv1.NewTownRegistryClient(s.as(t, "li"))
	if _, err := client.GetTown(ctx, &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetTown(ctx, &townv1.GetTownRequest{Name: silk}); err == nil {
		t.Fatal("let through")
	}
	long := metadata.AppendToOutgoingContext(t.Context(), rpc.CorrelationKey, strings.Repeat("c", 5000))
	if _, err := client.GetTown(long, &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(t, "nobody", casting); err == nil {
		t.Fatal("let through")
	}
	if _, err := grpc_health_v1.NewHealthClient(s.as(t, "")).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	lines := s.logs.lines(t, "call")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4: none for a health check that passes", len(lines))
	}
	for i, want := range []map[string]any{
		{"level": "DEBUG", rpc.FieldPrincipal: "zezhou/li", rpc.FieldCode: "OK", rpc.FieldCorrelation: "c-1", rpc.FieldReason: nil},
		{"level": "INFO", rpc.FieldPrincipal: "zezhou/li", rpc.FieldCode: "PermissionDenied", rpc.FieldCorrelation: "c-1", rpc.FieldReason: "OUTSIDE_DIVISION"},
		{"level": "DEBUG", rpc.FieldPrincipal: "zezhou/li", rpc.FieldCode: "OK", rpc.FieldCorrelation: nil},
		{"level": "INFO", rpc.FieldPrincipal: "", rpc.FieldCode: "Unauthenticated", rpc.FieldReason: "UNAUTHENTICATED"},
	} {
		want[rpc.FieldMethod] = "/yizhen.town.v1.TownRegistry/GetTown"
		for field, value := range want {
			if lines[i][field] != value {
				t.Errorf("line %d has %s %v, want %v", i+1, field, lines[i][field], value)
			}
		}
		if d, ok := lines[i][rpc.FieldDuration].(float64); !ok || d <= 0 {
			t.Errorf("line %d has duration %v", i+1, lines[i][rpc.FieldDuration])
		}
	}
}

func TestCorrelationIsPassedOn(t *testing.T) {
	behind := run(t, &registry{}, rpc.Options{})
	peer := townv1.NewTownRegistryClient(behind.as(t, "li"))
	front := run(t, &registry{get: func(ctx context.Context) error {
		_, err := peer.GetTown(ctx, &townv1.GetTownRequest{Name: casting})
		return err
	}}, rpc.Options{})
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.CorrelationKey, "c-7")
	if _, err := townv1.NewTownRegistryClient(front.as(t, "li")).GetTown(ctx, &townv1.GetTownRequest{Name: casting}); err != nil {
		t.Fatal(err)
	}
	lines := behind.logs.lines(t, "call")
	if len(lines) != 1 || lines[0][rpc.FieldCorrelation] != "c-7" {
		t.Errorf("the service behind logs %v", lines)
	}
}

func TestJournalIsServedWithEveryService(t *testing.T) {
	db := rpctest.OpenDB(t, "town", clock.System{})
	s := rpctest.Serve(t, db, func(grpc.ServiceRegistrar) {}, authn.Principal{
		Name: "city/wang", Division: "140500", Permissions: []string{"journal.*"},
	})
	head, err := journalv1.NewJournalClient(s.As("city/wang")).GetHead(t.Context(), &journalv1.GetHeadRequest{Name: "journals/town"})
	if err != nil || head.GetName() != "journals/town" {
		t.Errorf("%v, %v", head, err)
	}
	if first, second := s.As("city/wang"), s.As("city/wang"); first != second {
		t.Error("each call makes a connection")
	}
}

func TestServerRefusesAServiceWithoutAccess(t *testing.T) {
	db := rpctest.OpenDB(t, "town", clock.System{})
	_, err := rpc.NewServer(db, func(s grpc.ServiceRegistrar) {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "grpc.lookup.v1.Unknown", HandlerType: (*any)(nil)}, struct{}{})
	}, rpc.Options{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Error("a service that declares nothing is served")
	}
}
