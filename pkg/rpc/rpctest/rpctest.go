// Package rpctest serves a service on loopback for the length of a test, so that its tests go through a real server and
// real clients.
package rpctest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/replay"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
)

// OpenDB opens the journalled store of a service in a folder that goes with the test.
func OpenDB(t testing.TB, service string, c clock.Clock) *journal.DB {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), service+".db"))
	if err != nil {
		t.Fatal(err)
	}
	db := journal.Open(s, service, c)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Replays has a test end with the proof that the tables are what the journal makes, whatever the test did to them.
func Replays(t testing.TB, db *journal.DB, schema *store.Schema) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "replayed.db")
	t.Cleanup(func() {
		scratch, err := bolt.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := replay.Check(context.Background(), db, schema, scratch, nil); err != nil {
			t.Errorf("replay: %v", err)
		}
		if err := scratch.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Server is a service that is being served.
type Server struct {
	t testing.TB
	// Addr is where it listens.
	Addr string

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// Serve serves what register puts into a server, with the journal of db. The principals need no tokens: each gets one of
// its own.
func Serve(t testing.TB, db *journal.DB, register func(grpc.ServiceRegistrar), who ...authn.Principal) *Server {
	t.Helper()
	for i := range who {
		who[i].TokenSHA256 = authn.Digest(token(who[i].Name))
	}
	credentials, err := authn.NewCredentials(who...)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := rpc.NewServer(db, register, rpc.Options{Callers: credentials, Logger: slog.New(slog.NewTextHandler(logWriter(t), nil))})
	if err != nil {
		t.Fatal(err)
	}
	var listen net.ListenConfig
	lis, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(ctx, lis) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return &Server{t: t, Addr: lis.Addr().String(), conns: map[string]*grpc.ClientConn{}}
}

// As returns a connection that calls as the principal of that name. An empty name shows no credential.
func (s *Server) As(name string) *grpc.ClientConn {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn := s.conns[name]; conn != nil {
		return conn
	}
	var shown string
	if name != "" {
		shown = token(name)
	}
	conn, err := rpc.Dial(s.Addr, nil, shown)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.conns[name] = conn
	return conn
}

func token(name string) string { return "token of " + name }

// logWriter shows a server's log in verbose runs only: a test of refusals would fill the screen.
func logWriter(t testing.TB) io.Writer {
	if testing.Verbose() {
		return t.Output()
	}
	return io.Discard
}
