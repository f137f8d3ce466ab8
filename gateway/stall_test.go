package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// pipeListener accepts one connection that has no buffer, so that a reader who does not read is felt at once.
type pipeListener struct {
	conns chan net.Conn
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error   { return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// A reader who takes nothing for too long is cut off, and holds nothing for ever.
func TestStalledReader(t *testing.T) {
	client, conn := net.Pipe()
	defer client.Close()
	wrote := make(chan error, 1)
	listener := &pipeListener{conns: make(chan net.Conn, 1)}
	listener.conns <- conn
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		lines := &lineWriter{w: w, control: http.NewResponseController(w), stall: 20 * time.Millisecond}
		lines.begin()
		wrote <- lines.write("result", []byte(`"`+strings.Repeat("x", 1<<20)+`"`))
	})}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}()
	defer server.Close()
	defer close(listener.conns)
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: edge\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReaderSize(client, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("got %q, %v", line, err)
	}
	select {
	case err := <-wrote:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the writer waits for ever")
	}
}

type panicking struct{ grpc.ClientConnInterface }

func (panicking) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	panic("out of cheese")
}

func TestPanic(t *testing.T) {
	e := newEdge(t, func(o *Options) { o.Town = panicking{o.Town} })
	res, body := e.do(http.MethodGet, casting, "")
	if res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, `"reason":"INTERNAL"`) || strings.Contains(body, "cheese") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if res, _ := e.do(http.MethodGet, "/healthz", ""); res.StatusCode != http.StatusOK {
		t.Errorf("the gateway is gone: %d", res.StatusCode)
	}
}
