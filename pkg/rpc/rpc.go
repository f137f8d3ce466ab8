// Package rpc is what every server and client of the suite has in common, so that a service is only its handlers: who
// calls and whether they may, validation, deadlines and size limits, recovery, logs, health, reflection, and a stop that
// finishes what was begun.
package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/journal"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
)

// Limits of every server. An office's upload fits well; a body that does not is refused before it is decoded.
const (
	MaxMessageBytes = 4 << 20
	maxHeaderBytes  = 32 << 10
	maxStreams      = 1000 // per connection
)

// workers are goroutines that are kept for calls. A new one for each call would grow its stack anew each time, which is a
// tenth of the work of a short call. They are no limit: a call that finds none free gets a goroutine of its own.
const workers = 64

// Default durations.
const (
	DefaultCallTimeout = 30 * time.Second
	DefaultStopTimeout = 10 * time.Second
)

// Options say how a server is run.
type Options struct {
	// Callers finds out who calls.
	Callers authn.Authenticator
	// Grants knows what those callers are granted whose credentials carry no grant; nil knows of nobody.
	Grants authz.Grants
	// TLS is its certificate; nil serves without TLS, which only loopback should.
	TLS *tls.Config
	// Logger takes one line for each call, and the faults that callers are not shown.
	Logger *slog.Logger
	// CallTimeout bounds a call that is not a stream; DefaultCallTimeout if 0.
	CallTimeout time.Duration
	// StopTimeout bounds how long a stop waits for calls under way; DefaultStopTimeout if 0.
	StopTimeout time.Duration
	// BackupFolder is where a backup is put aside while it is sent; the system's folder for temporary files if empty.
	BackupFolder string
}

// Server is the gRPC server of one service.
type Server struct {
	grpc        *grpc.Server
	health      *health.Server
	journal     *journal.Server
	backup      *backup.Server
	stopTimeout time.Duration
	stop        chan struct{} // closed when the server stops
}

// NewServer makes the server of one service: what register puts into it, the journal of db and backups of it, health and
// reflection. It fails if a method does not declare who may call it.
func NewServer(db *journal.DB, register func(grpc.ServiceRegistrar), o Options) (*Server, error) {
	if o.CallTimeout == 0 {
		o.CallTimeout = DefaultCallTimeout
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = DefaultStopTimeout
	}
	transport := insecure.NewCredentials()
	if o.TLS != nil {
		transport = credentials.NewTLS(o.TLS)
	}
	g := &guard{callers: o.Callers, grants: o.Grants, now: db.Now}
	l := &log{logger: o.Logger}
	rescue := recovery.WithRecoveryHandlerContext(l.recovered)
	stop := make(chan struct{})
	s := &Server{
		stop: stop,
		grpc: grpc.NewServer(
			grpc.Creds(transport),
			grpc.MaxRecvMsgSize(MaxMessageBytes),
			grpc.MaxHeaderListSize(maxHeaderBytes),
			grpc.MaxConcurrentStreams(maxStreams),
			grpc.NumStreamWorkers(workers),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
			// Read from the outside in: every call is logged, and its error becomes a fault that callers may see; a
			// panic, be it of a handler or of a check before it, ends the call and not the server; a known caller with
			// a valid request gets through.
			grpc.ChainUnaryInterceptor(l.unary, recovery.UnaryServerInterceptor(rescue), deadline(o.CallTimeout), g.unary),
			grpc.ChainStreamInterceptor(l.stream, recovery.StreamServerInterceptor(rescue), g.stream, endHealthWatch(stop)),
		),
		health:      health.NewServer(),
		journal:     journal.NewServer(db),
		backup:      backup.NewServer(db, o.BackupFolder),
		stopTimeout: o.StopTimeout,
	}
	register(s.grpc)
	journalv1.RegisterJournalServer(s.grpc, s.journal)
	maintenancev1.RegisterMaintenanceServer(s.grpc, s.backup)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	policy, err := authz.NewPolicy(s.grpc.GetServiceInfo())
	if err != nil {
		return nil, err
	}
	g.policy = policy
	for name := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	return s, nil
}

// endHealthWatch ends the streams of those who watch the server's health when it stops. Without it a graceful stop would
// wait for them: the health server tells them that it shuts down, and then keeps them.
func endHealthWatch(stop <-chan struct{}) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if info.FullMethod != grpc_health_v1.Health_Watch_FullMethodName {
			return handler(srv, ss)
		}
		ctx, cancel := context.WithCancel(ss.Context())
		defer cancel()
		go func() {
			select {
			case <-stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		return handler(srv, &streamWithContext{ServerStream: ss, ctx: ctx})
	}
}

// Serve answers calls until the context ends, then takes no new ones and finishes those under way. Watchers are sent
// away, to resume elsewhere, and so is who takes a backup, to begin anew. It can be called once.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	served := make(chan error, 1)
	go func() {
		err := s.grpc.Serve(lis)
		if errors.Is(err, grpc.ErrServerStopped) {
			err = nil // the stop came before the server had begun
		}
		served <- err
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.health.Shutdown()
	close(s.stop)
	s.journal.Stop()
	s.backup.Stop()
	force := time.AfterFunc(s.stopTimeout, s.grpc.Stop)
	defer force.Stop()
	s.grpc.GracefulStop()
	return <-served
}
