package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// etcdPut starts an etcd of one member and returns the load of those who put so many bytes under keys of their own. It
// returns none if there is no etcd to start.
func (b *bench) etcdPut(ctx context.Context, size int) (*load, error) {
	program, err := exec.LookPath(b.etcd)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	client, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "--name=bench", "--data-dir="+filepath.Join(b.folder, "etcd"), "--log-level=error",
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer, "--initial-cluster=bench=http://"+peer)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.later(func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_ = cmd.Wait() // it says that it was interrupted
		return nil
	})
	conn, err := dialBare(client)
	if err != nil {
		return nil, err
	}
	b.later(conn.Close)
	if err := connected(ctx, conn); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	var next atomic.Int64
	value := make([]byte, size)
	return &load{callers: mainCallers, call: func(ctx context.Context, _ int) error {
		// A message of nothing but unknown fields is a PutRequest all the same: that way no client of etcd is needed.
		put := &emptypb.Empty{}
		raw := protowire.AppendTag(nil, 1, protowire.BytesType)
		raw = protowire.AppendString(raw, fmt.Sprintf("bench/%010d", next.Add(1)))
		raw = protowire.AppendTag(raw, 2, protowire.BytesType)
		put.ProtoReflect().SetUnknown(protowire.AppendBytes(raw, value))
		return conn.Invoke(ctx, "/etcdserverpb.KV/Put", put, &emptypb.Empty{}, grpc.WaitForReady(true))
	}}, nil
}

// freeAddress returns an address on loopback that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return lis.Addr().String(), lis.Close()
}

// connected waits until the other side answers.
func connected(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for conn.Connect(); ; {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
		conn.Connect()
	}
}
