package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// line is a line of the stream.
type line struct {
	Result *struct {
		Change *struct {
			Revision, Resource, Actor string
			After                     map[string]any
		}
		HeadRevision string
	}
	Error *problem
}

// watched is a real journal behind an edge.
type watched struct {
	*edge
	db        *journal.DB
	table     *store.Table[*townv1.Town]
	transport http.RoundTripper
}

func newWatched(t *testing.T, change ...func(*Options)) *watched {
	t.Helper()
	db := rpctest.OpenDB(t, "town", clock.NewManual(time.Date(2023, 11, 8, 0, 0, 0, 0, time.UTC)))
	server := rpctest.Serve(t, db, func(grpc.ServiceRegistrar) {},
		authn.Principal{Name: "auditor", Permissions: []string{"journal.*", "maintenance.stores.backUp"}, Division: "140500"})
	x := &watched{db: db, table: store.NewTable[*townv1.Town](), transport: http.DefaultTransport}
	x.edge = newEdge(t, append(change, func(o *Options) { o.Town = server.As("") })...)
	return x
}

func (x *watched) create(id string) {
	x.t.Helper()
	err := x.db.Update(context.Background(), journal.Origin{Actor: "county/li"}, func(tx *journal.Tx) error {
		return x.table.Create(tx, &townv1.Town{Name: "towns/" + id})
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// watch opens the stream. The answer's headers are there before any change is.
func (x *watched) watch(after int) (*http.Response, *bufio.Scanner, context.CancelFunc) {
	x.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/journals/town:watchChanges?afterRevision=%d", x.url, after), nil)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token of auditor")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := x.transport.RoundTrip(req)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { res.Body.Close() })
	return res, bufio.NewScanner(res.Body), cancel
}

func next(t *testing.T, lines *bufio.Scanner) line {
	t.Helper()
	var l line
	if !lines.Scan() {
		t.Fatalf("the stream ended: %v", lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
		t.Fatalf("%v in %s", err, lines.Text())
	}
	return l
}

func TestWatch(t *testing.T) {
	x := newWatched(t)
	res, lines, leave := x.watch(0)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" || res.Header.Get("Content-Encoding") != "" {
		t.Fatalf("got %d %v", res.StatusCode, res.Header)
	}
	// Each change arrives while the stream is open, without waiting for the next.
	for i, id := range []string{"140525-casting", "140521-silk"} {
		x.create(id)
		l := next(t, lines)
		if l.Result == nil || l.Result.Change.Revision != fmt.Sprint(i+1) || l.Result.Change.Resource != "towns/"+id ||
			l.Result.Change.Actor != "county/li" || l.Result.Change.After["@type"] != "type.googleapis.com/yizhen.town.v1.Town" {
			t.Fatalf("got %s", lines.Text())
		}
	}
	leave()

	// Who was cut off resumes after the last revision that arrived.
	x.create("140502-food")
	_, lines, _ = x.watch(2)
	if l := next(t, lines); l.Result == nil || l.Result.Change.Resource != "towns/140502-food" || l.Result.HeadRevision != "3" {
		t.Errorf("got %s", lines.Text())
	}

	// A gateway that stops says so, and ends the stream as HTTP ends one.
	x.gateway.Stop()
	if l := next(t, lines); l.Error == nil || l.Error.Reason != "SHUTTING_DOWN" || l.Error.Status != 503 {
		t.Errorf("got %s", lines.Text())
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the stream goes on with %q, %v", lines.Text(), lines.Err())
	}
}

func TestWatchRefused(t *testing.T) {
	x := newWatched(t)
	res, body := x.do(http.MethodGet, "/v1/journals/town:watchChanges", "")
	if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("without a token: %d %s", res.StatusCode, body)
	}
	token := header{"Authorization", "Bearer token of auditor"}
	for query, want := range map[string]int{"?afterRevision=17": 400, "?afterRevision=-1": 400, "?afterRevision=x": 400, "?after=1": 400} {
		if res, body := x.do(http.MethodGet, "/v1/journals/town:watchChanges"+query, "", token); res.StatusCode != want {
			t.Errorf("%s: %d %s", query, res.StatusCode, body)
		}
	}
}

// The timeouts of the server are for requests that have an end.
func TestWatchOutlivesTimeouts(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			x := newWatched(t)
			server := httptest.NewUnstartedServer(x.gateway)
			server.EnableHTTP2 = version == "HTTP/2.0"
			server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
			server.StartTLS()
			defer server.Close()
			defer x.gateway.Stop()
			x.url, x.transport = server.URL, server.Client().Transport
			res, lines, _ := x.watch(0)
			if res.Proto != version {
				t.Fatalf("got %s", res.Proto)
			}
			<-time.After(200 * time.Millisecond)
			x.create("140525-casting")
			if l := next(t, lines); l.Result == nil || l.Result.Change.Revision != "1" {
				t.Errorf("got %s", lines.Text())
			}
		})
	}
}

func TestTooManyWatchers(t *testing.T) {
	x := newWatched(t, func(o *Options) { o.MaxWatchers = 1 })
	res, _, leave := x.watch(0)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("got %d", res.StatusCode)
	}
	token := header{"Authorization", "Bearer token of auditor"}
	const path = "/v1/journals/town:watchChanges"
	if res, body := x.do(http.MethodGet, path, "", token); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "TOO_MANY_WATCHERS") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	// A watcher who leaves makes room; how soon it is seen is the operating system's affair.
	leave()
	for {
		res, _, leave := x.watch(0)
		leave()
		if res.StatusCode == http.StatusOK {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("there is still no room")
		}
	}
}

// A server that shuts down does not wait for watchers.
func TestShutdown(t *testing.T) {
	x := newWatched(t)
	server := httptest.NewUnstartedServer(x.gateway)
	server.Config.RegisterOnShutdown(x.gateway.Stop)
	server.Start()
	x.url = server.URL
	x.create("140525-casting")
	_, lines, _ := x.watch(0)
	next(t, lines)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if l := next(t, lines); l.Error == nil || l.Error.Reason != "SHUTTING_DOWN" {
		t.Errorf("got %s", lines.Text())
	}
}
