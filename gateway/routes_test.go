package gateway

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// Every RPC of every service has a path, and a request to that path gets to that RPC and to no other.
func TestEveryRPC(t *testing.T) {
	e := newEdge(t)
	for _, f := range e.fakes { // an empty message would be no backup
		f.on("BackUpStore", always(&maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_File{File: &maintenancev1.BackupFile{}}}))
	}
	contracts := map[string][]protoreflect.FileDescriptor{}
	for _, s := range services(Options{}) {
		contracts[s.name] = append(everywhere(), s.contract)
	}
	count := 0
	for name, files := range contracts {
		for _, file := range files {
			for i := range file.Services().Len() {
				methods := file.Services().Get(i).Methods()
				for j := range methods.Len() {
					b, err := bind(methods.Get(j))
					if err != nil {
						t.Error(err)
						continue
					}
					count++
					path := samplePath(b.path, name)
					res, body := e.do(b.verb, path, "")
					if methods.Get(j).IsStreamingServer() {
						body, _, _ = strings.Cut(body, "\n")
					}
					if res.StatusCode != http.StatusOK {
						t.Errorf("%s %s: %d %s", b.verb, path, res.StatusCode, body)
						continue
					}
					if got := e.fakes[name].last(t).method; got != b.fullMethod {
						t.Errorf("%s %s: got to %s, want %s", b.verb, path, got, b.fullMethod)
					}
				}
			}
		}
	}
	if count < 100 {
		t.Errorf("there are %d RPCs only", count)
	}
}

var pattern = regexp.MustCompile(`\{[^=}]+=?([^}]*)\}`)

// samplePath fills the variables of a path: {name=towns/*/reports/*} becomes towns/x/reports/x.
func samplePath(path, service string) string {
	path = pattern.ReplaceAllString(path, "$1")
	path = strings.ReplaceAll(path, "journals/*", "journals/"+service)
	path = strings.ReplaceAll(path, "stores/*", "stores/"+service)
	return strings.ReplaceAll(path, "*", "x")
}

func TestServiceDown(t *testing.T) {
	e := newEdge(t)
	e.fakes["fund"].server.Stop()
	for _, path := range []string{"/v1/budgets/2023", "/v1/journals/fund:head", "/v1/journals/fund:watchChanges"} {
		res, body := e.do(http.MethodGet, path, "")
		var p problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if res.StatusCode != http.StatusServiceUnavailable || p.Reason != "SERVICE_UNAVAILABLE" || p.Metadata["service"] != "fund" || res.Header.Get("Retry-After") == "" ||
			strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s: got %d %s", path, res.StatusCode, body)
		}
	}
	if res, body := e.do(http.MethodGet, casting, ""); res.StatusCode != http.StatusOK {
		t.Errorf("the towns are gone too: %d %s", res.StatusCode, body)
	}
}

func TestDeadline(t *testing.T) {
	e := newEdge(t, func(o *Options) { o.Timeout = 20 * time.Millisecond })
	e.fakes["town"].on("GetTown", func(ctx context.Context, _ proto.Message) (proto.Message, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	})
	res, body := e.do(http.MethodGet, casting, "")
	if res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "DEADLINE_EXCEEDED") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

func TestPages(t *testing.T) {
	e := newEdge(t)
	for path, says := range map[string]string{
		"/": "/docs/", "/healthz": "SERVING", "/openapi.json": `"openapi": "3.1`, "/docs/": "swagger-ui-bundle.js", "/docs/swagger-ui.css": ".swagger-ui",
	} {
		res, body := e.do(http.MethodGet, path, "")
		if res.StatusCode != http.StatusOK || !strings.Contains(body, says) || res.Header.Get("X-Content-Type-Options") != "nosniff" ||
			res.Header.Get("Content-Security-Policy") == "" || res.Header.Get("X-Request-Id") != "test-1" {
			t.Errorf("%s: got %d %v %.200s", path, res.StatusCode, res.Header, body)
		}
		if res, body := e.do(http.MethodHead, path, ""); res.StatusCode != http.StatusOK || body != "" {
			t.Errorf("HEAD %s: got %d %q", path, res.StatusCode, body)
		}
	}
	if res, _ := e.do(http.MethodGet, "/docs", ""); res.StatusCode != http.StatusMovedPermanently || res.Header.Get("Location") != "/docs/" {
		t.Errorf("/docs: got %d %v", res.StatusCode, res.Header)
	}
	res, _ := e.do(http.MethodGet, "/openapi.json", "")
	if res, body := e.do(http.MethodGet, "/openapi.json", "", header{"If-None-Match", res.Header.Get("ETag")}); res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("the document is sent again: %d", res.StatusCode)
	}
	if res, body := e.do(http.MethodHead, casting, ""); res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD of a resource: got %d %q", res.StatusCode, body)
	}
}

func TestReady(t *testing.T) {
	e := newEdge(t)
	if res, body := e.do(http.MethodGet, "/readyz", ""); res.StatusCode != http.StatusOK || !strings.Contains(body, `"missing":[]`) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	e.fakes["project"].server.Stop()
	e.fakes["fund"].health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	res, body := e.do(http.MethodGet, "/readyz", "")
	golden(t, "not_ready", body)
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := e.do(http.MethodGet, "/healthz", ""); res.StatusCode != http.StatusOK {
		t.Errorf("the process is not healthy: %d", res.StatusCode)
	}
}

func TestCompression(t *testing.T) {
	e := newEdge(t)
	e.fakes["town"].on("GetTown", always(&townv1.Town{TitleEn: strings.Repeat("casting ", 500), Etag: "a1"}))
	res, body := e.do(http.MethodGet, casting, "", header{"Accept-Encoding", "gzip"})
	if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" || res.Header.Get("ETag") != `"a1"` {
		t.Fatalf("got %v", res.Header)
	}
	unzipped, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil || !strings.Contains(string(text), "casting casting") {
		t.Errorf("got %v %.80s", err, text)
	}
	if res, _ := e.do(http.MethodGet, "/healthz", "", header{"Accept-Encoding", "gzip"}); res.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}

// The log has what is needed to find a request again, and no secret.
func TestAccessLog(t *testing.T) {
	var lines strings.Builder
	e := newEdge(t, func(o *Options) { o.Logger = slog.New(slog.NewJSONHandler(&lines, nil)) })
	e.fakes["town"].on("GetTown", refusing(status.Error(codes.Internal, "the disk is on fire")))
	e.do(http.MethodGet, casting+"?x=in-the-query", "", header{"Authorization", "Bearer in-the-header"})
	_, body := e.do(http.MethodGet, casting, "", header{"Authorization", "Bearer in-the-header"})
	e.server.Close() // the line is written after the answer
	log := lines.String()
	for _, want := range []string{`"correlation_id":"test-1"`, `"path":"` + casting + `"`, `"route":"/v1/{name=towns/*}"`, `"status":500`,
		`"method":"/yizhen.town.v1.TownRegistry/GetTown"`, `"reason":"INTERNAL"`, "the disk is on fire", `"duration":`, `"reason":"UNKNOWN_PARAMETER"`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
	if strings.Contains(log, "in-the") {
		t.Errorf("a secret stands in\n%s", log)
	}
	if strings.Contains(body, "fire") {
		t.Errorf("the caller is told %s", body)
	}
}

func TestNewNeedsEveryService(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "town") {
		t.Errorf("got %v", err)
	}
}
