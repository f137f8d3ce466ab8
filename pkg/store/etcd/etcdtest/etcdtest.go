// Package etcdtest runs clusters of etcd for tests: real server processes on loopback, which can be killed and paused.
package etcdtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Setup says what a cluster is like.
type Setup struct {
	// Folder is where the members keep their data and logs.
	Folder  string
	Members int
	// Args are etcd's own, the same for all members.
	Args []string
	// TLS is how clients speak to the members, whose certificates are among the arguments; nil is without.
	TLS *tls.Config
}

// Cluster is a running cluster.
type Cluster struct {
	Members []*Member
	tls     *tls.Config
}

// Member is a member of a cluster.
type Member struct {
	// Address is where it takes calls, as host:port.
	Address string
	args    []string
	log     string
	cmd     *exec.Cmd
}

// Start starts a cluster for a test and waits until it takes writes. It ends with the test. Further arguments are etcd's
// own. Where there is no etcd and none can be built the test is skipped, but not in CI.
func Start(t testing.TB, members int, args ...string) *Cluster {
	t.Helper()
	return StartSetup(t, Setup{Members: members, Args: args})
}

// StartSetup is Start for a cluster that is not like others.
func StartSetup(t testing.TB, setup Setup) *Cluster {
	t.Helper()
	binary, err := Binary()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	setup.Folder = t.TempDir()
	c, err := Launch(context.Background(), binary, setup)
	if c != nil {
		t.Cleanup(c.Stop)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Launch starts a cluster of an etcd program and waits until it takes writes. Stop ends it, also if Launch has failed.
func Launch(ctx context.Context, binary string, setup Setup) (*Cluster, error) {
	scheme := "http://"
	if setup.TLS != nil {
		scheme = "https://"
	}
	ports, err := freePorts(ctx, 2*setup.Members)
	if err != nil {
		return nil, err
	}
	var initial []string
	for i := range setup.Members {
		initial = append(initial, fmt.Sprintf("m%d=http://%s", i, ports[2*i+1]))
	}
	c := &Cluster{tls: setup.TLS}
	for i := range setup.Members {
		client, peer := scheme+ports[2*i], "http://"+ports[2*i+1]
		m := &Member{Address: ports[2*i], log: filepath.Join(setup.Folder, fmt.Sprintf("m%d.log", i)), args: append([]string{
			binary, "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(setup.Folder, fmt.Sprintf("m%d", i)),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--log-level", "warn",
		}, setup.Args...)}
		c.Members = append(c.Members, m)
		if err := m.Start(); err != nil {
			return c, err
		}
	}
	return c, c.Await(ctx)
}

// Stop kills all members.
func (c *Cluster) Stop() {
	for _, m := range c.Members {
		m.Kill()
	}
}

// URL is the cluster's, with a prefix, as `--store` takes it.
func (c *Cluster) URL(prefix string) string { return c.URLFrom(0, prefix) }

// URLFrom is the URL with a certain member first, to which the one who opens it will speak as long as it answers.
func (c *Cluster) URLFrom(first int, prefix string) string {
	all := c.Addresses()
	first %= len(all)
	return "etcd://" + strings.Join(slices.Concat(all[first:], all[:first]), ",") + "/" + prefix
}

// Addresses are where the members take calls.
func (c *Cluster) Addresses() (addresses []string) {
	for _, m := range c.Members {
		addresses = append(addresses, m.Address)
	}
	return addresses
}

// Client returns a client of etcd's own, for what a test does beside the store.
func (c *Cluster) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	client, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (c *Cluster) client() (*clientv3.Client, error) {
	scheme := ""
	if c.tls != nil {
		scheme = "https://"
	}
	var endpoints []string
	for _, address := range c.Addresses() {
		endpoints = append(endpoints, scheme+address)
	}
	return clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: c.tls, Logger: zap.NewNop()})
}

// Await waits until the cluster takes writes.
func (c *Cluster) Await(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = client.Put(attempt, "etcdtest", "")
		cancel()
		if err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(c.Members[0].log)
	return fmt.Errorf("etcd takes no writes after a minute: %w\n%s", err, log)
}

// Start starts a member, anew after it was killed.
func (m *Member) Start() error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), m.args[0], m.args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	m.cmd = cmd
	return nil
}

// Kill ends a member with SIGKILL.
func (m *Member) Kill() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// Pause stops a member where it stands, its connections open, until Resume.
func (m *Member) Pause() {
	_ = m.cmd.Process.Signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(m.cmd.Process.Pid, &status, syscall.WUNTRACED, nil) // until it has stopped
}

// Resume lets a paused member go on.
func (m *Member) Resume() { _ = m.cmd.Process.Signal(syscall.SIGCONT) }

// Binary returns the server's program, and makes it if it is not there.
func Binary() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..", "..")
	binary := filepath.Join(root, ".build", "bin", "etcd")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	// Several test binaries may do so at once: each builds its own, and the name is given last.
	made := fmt.Sprintf("%s.%d", binary, os.Getpid())
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", made, ".")
	cmd.Dir = filepath.Join(root, "tools", "etcd")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("etcd cannot be built: %w\n%s", err, out)
	}
	return binary, os.Rename(made, binary)
}

func freePorts(ctx context.Context, n int) (addresses []string, err error) {
	for range n {
		lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = lis.Close() }()
		addresses = append(addresses, lis.Addr().String())
	}
	return addresses, nil
}
