package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// process is a service that runs as a process of its own, to be killed.
type process struct {
	cmd     *exec.Cmd
	addr    string
	points  string // where its fail points are set, if it has them
	stderr  *os.File
	drained chan struct{}
}

var answers = regexp.MustCompile(`answers gRPC on (\S+)$`)

// startTimeout bounds how long a service may take until it answers: what a kill left has to be opened in that time.
const startTimeout = 20 * time.Second

// start runs a service on a store. With failPoints it is a binary that has them.
func start(ctx context.Context, binary, service, folder, location string, failPoints bool) (*process, error) {
	stderr, err := os.OpenFile(filepath.Join(folder, "stderr"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{stderr: stderr, drained: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, binary, service, "--listen", "127.0.0.1:0", "--store", location,
		"--credentials", filepath.Join(folder, "credentials.yaml"), "--log-level", "error")
	p.cmd.Stderr = stderr
	if failPoints {
		socket, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		p.points = socket
		p.cmd.Env = append(os.Environ(), "GOFAIL_HTTP="+socket)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	found := make(chan string, 1)
	go func() {
		defer close(p.drained)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := answers.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case p.addr = <-found:
		return p, nil
	case <-p.drained:
		err = fmt.Errorf("%s ended before it answered: see %s", service, stderr.Name())
	case <-late.C:
		err = fmt.Errorf("%s does not answer after %v: see %s", service, startTimeout, stderr.Name())
	}
	return nil, errors.Join(err, p.kill())
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it may have ended by itself, at a fail point
	return p.wait()
}

// wait waits until the process is gone. How it ended is not asked: it was killed.
func (p *process) wait() error {
	<-p.drained
	_ = p.cmd.Wait()
	return p.stderr.Close()
}

// arm sets a fail point of the running process: `panic`, or `sleep(60000)`.
func (p *process) arm(ctx context.Context, point, terms string) error {
	_, err := p.ask(ctx, http.MethodPut, point, terms)
	return err
}

// passed returns how often an armed fail point was reached.
func (p *process) passed(ctx context.Context, point string) (string, error) {
	return p.ask(ctx, http.MethodGet, point+"/count", "")
}

func (p *process) ask(ctx context.Context, method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.points+"/"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("fail point %s: %s", path, raw)
	}
	return string(raw), err
}
