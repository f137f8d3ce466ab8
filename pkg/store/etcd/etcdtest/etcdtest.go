// Package etcdtest runs clusters of etcd for tests: real server processes on loopback, which can be killed and paused.
package etcdtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Cluster is a running cluster.
type Cluster struct {
	Members []*Member
}

// Member is a member of a cluster.
type Member struct {
	// Address is where it takes calls, as host:port.
	Address string
	t       testing.TB
	args    []string
	log     string
	cmd     *exec.Cmd
}

// Start starts a cluster and waits until it takes writes. It ends with the test. Further arguments are etcd's own.
func Start(t testing.TB, members int, args ...string) *Cluster {
	t.Helper()
	binary := build(t)
	dir := t.TempDir()
	ports := freePorts(t, 2*members)
	var initial []string
	for i := range members {
		initial = append(initial, fmt.Sprintf("m%d=http://%s", i, ports[2*i+1]))
	}
	c := &Cluster{}
	for i := range members {
		client, peer := "http://"+ports[2*i], "http://"+ports[2*i+1]
		m := &Member{Address: ports[2*i], t: t, log: filepath.Join(dir, fmt.Sprintf("m%d.log", i)), args: append([]string{
			binary, "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("m%d", i)),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--log-level", "warn",
		}, args...)}
		c.Members = append(c.Members, m)
		m.Start()
	}
	t.Cleanup(func() {
		for _, m := range c.Members {
			m.Kill()
		}
	})
	c.await(t)
	return c
}

// URL is the cluster's, with a prefix, as `--store` takes it.
func (c *Cluster) URL(prefix string) string {
	return "etcd://" + strings.Join(c.Addresses(), ",") + "/" + prefix
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
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Addresses(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (c *Cluster) await(t testing.TB) {
	t.Helper()
	client := c.Client(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := client.Put(attempt, "etcdtest", "")
		cancel()
		if err == nil {
			return
		}
	}
	log, _ := os.ReadFile(c.Members[0].log)
	t.Fatalf("etcd takes no writes after a minute\n%s", log)
}

// Start starts a member, anew after it was killed.
func (m *Member) Start() {
	m.t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	m.cmd = exec.CommandContext(context.Background(), m.args[0], m.args[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
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

// build returns the server's program, and makes it if it is not there. Where that is not possible the test is skipped,
// but not in CI.
func build(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..", "..")
	binary := filepath.Join(root, ".build", "bin", "etcd")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	// Several test binaries may do so at once: each builds its own, and the name is given last.
	made := fmt.Sprintf("%s.%d", binary, os.Getpid())
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", made, ".")
	cmd.Dir = filepath.Join(root, "tools", "etcd")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err == nil {
		err = os.Rename(made, binary)
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("etcd cannot be built: %v\n%s", err, out)
		}
		t.Skipf("etcd cannot be built: %v\n%s", err, out)
	}
	return binary
}

func freePorts(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for range n {
		lis, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = lis.Close() }()
		addresses = append(addresses, lis.Addr().String())
	}
	return addresses
}
