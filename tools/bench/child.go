package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town"
)

// childArgument makes this program one of the servers that it measures.
const childArgument = "child"

// token is shown by the client; it opens nothing but the stores of a run.
const token = "bench"

// child serves until its input ends, and says on its output where: the town registry on a store, or without one the echo.
func child(arguments []string, in io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet(childArgument, flag.ContinueOnError)
	path := flags.String("store", "", "the store to serve; the echo if empty")
	profile := flags.String("profile", "", "the file to write a CPU profile to")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in) // whatever ends it, the parent is gone
		stop()
	}()
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, lis.Addr())
	if *path == "" {
		return serveEcho(ctx, lis)
	}
	return serveTown(ctx, lis, *path)
}

// serveTown serves the town registry as `yizhen town` does.
func serveTown(ctx context.Context, lis net.Listener, path string) (err error) {
	s, err := bolt.Open(path)
	if err != nil {
		return err
	}
	db := journal.Open(s, "town", clock.System{})
	defer func() { err = errors.Join(err, db.Close()) }()
	credentials, err := authn.NewCredentials(authn.Principal{
		Name: callerName, TokenSHA256: authn.Digest(token), Permissions: []string{"town.*", "journal.*"}, Division: "140500",
	})
	if err != nil {
		return err
	}
	server, err := rpc.NewServer(db, town.New(db).Register, rpc.Options{
		Callers: credentials, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	return server.Serve(ctx, lis)
}

// echo answers at once, with as many bytes as the registry does.
type echo struct {
	townv1.UnimplementedTownRegistryServer
	answer *townv1.Enterprise
}

func (e echo) CreateEnterprise(context.Context, *townv1.CreateEnterpriseRequest) (*townv1.Enterprise, error) {
	return e.answer, nil
}

func (e echo) GetEnterprise(context.Context, *townv1.GetEnterpriseRequest) (*townv1.Enterprise, error) {
	return e.answer, nil
}

func serveEcho(ctx context.Context, lis net.Listener) error {
	server := grpc.NewServer()
	townv1.RegisterTownRegistryServer(server, echo{answer: answered()})
	context.AfterFunc(ctx, server.Stop)
	return server.Serve(lis)
}

// process is a server that was started.
type process struct {
	addr string
	pid  int
	stop func() error
}

// start starts a child and waits until it listens.
func (b *bench) start(ctx context.Context, name, path string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	arguments := []string{childArgument, "-store", path}
	if b.profiles != "" {
		arguments = append(arguments, "-profile", filepath.Join(b.profiles, name+".pprof"))
	}
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", name, err), cmd.Wait())
	}
	return &process{
		addr: strings.TrimSpace(addr),
		pid:  cmd.Process.Pid,
		stop: func() error { return errors.Join(in.Close(), cmd.Wait()) },
	}, nil
}

// dialTown connects to a registry as the services and the gateway do.
func dialTown(addr string) (*grpc.ClientConn, error) { return rpc.Dial(addr, nil, token) }

// dialBare connects to the echo with nothing around gRPC.
func dialBare(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
}
