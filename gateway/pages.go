package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	healthPath   = "/healthz"
	readyPath    = "/readyz"
	documentPath = "/openapi.json"
	docsPath     = "/docs/"
)

// readyTimeout bounds how long a service may take to say that it is well.
const readyTimeout = 2 * time.Second

// pages are what the gateway answers itself.
type pages struct {
	docs     http.Handler
	tag      string
	services []wellbeing
}

type wellbeing struct {
	name   string
	client grpc_health_v1.HealthClient
}

func newPages() *pages {
	return &pages{
		tag: documentTag(),
		docs: v5emb.NewHandlerWithConfig(swgui.Config{
			Title:       "Yizhen API",
			SwaggerJSON: documentPath,
			BasePath:    docsPath,
			SettingsUI: map[string]string{
				"docExpansion":           `"none"`,
				"filter":                 "true",
				"displayRequestDuration": "true",
				// A token stays in the page and goes with it.
				"persistAuthorization": "false",
			},
		}),
	}
}

func (p *pages) addService(name string, conn grpc.ClientConnInterface) {
	p.services = append(p.services, wellbeing{name, grpc_health_v1.NewHealthClient(conn)})
}

func (p *pages) find(path string) (http.Handler, bool) {
	switch {
	case path == "/":
		return http.HandlerFunc(p.index), true
	case path == healthPath:
		return http.HandlerFunc(p.healthy), true
	case path == readyPath:
		return http.HandlerFunc(p.ready), true
	case path == documentPath:
		return http.HandlerFunc(p.openAPI), true
	case path == strings.TrimSuffix(docsPath, "/"):
		return http.RedirectHandler(docsPath, http.StatusMovedPermanently), true
	case strings.HasPrefix(path, docsPath):
		return http.HandlerFunc(p.reference), true
	}
	return nil, false
}

// index says where to go on.
func (p *pages) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<title>一镇 Yizhen</title>
<h1>一镇 Yizhen</h1>
<ul>
<li><a href="/docs/">接口说明与试用 · API reference, to try calls on</a></li>
<li><a href="/openapi.json">OpenAPI 3.1</a></li>
<li><a href="/readyz">各服务状态 · state of the services</a></li>
</ul>
</html>
`))
}

// openAPI serves the document. It may be kept, and is asked for again before it is used.
func (p *pages) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", p.tag)
	http.ServeContent(w, r, "openapi.json", time.Time{}, bytes.NewReader(document))
}

// reference serves the API reference, a page whose script and style are its own; it loads nothing from elsewhere.
func (p *pages) reference(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; "+
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'")
	p.docs.ServeHTTP(w, r)
}

// healthy says that the process answers.
func (p *pages) healthy(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "SERVING"})
}

// ready says whether every service is well, and names those that are not.
func (p *pages) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	states := make([]string, len(p.services))
	var asked sync.WaitGroup
	for i, s := range p.services {
		asked.Go(func() { states[i] = s.state(ctx) })
	}
	asked.Wait()
	answer := struct {
		Status   string            `json:"status"`
		Missing  []string          `json:"missing"`
		Services map[string]string `json:"services"`
	}{Status: "SERVING", Missing: []string{}, Services: map[string]string{}}
	code := http.StatusOK
	for i, s := range p.services {
		answer.Services[s.name] = states[i]
		if states[i] != grpc_health_v1.HealthCheckResponse_SERVING.String() {
			answer.Status, code = grpc_health_v1.HealthCheckResponse_NOT_SERVING.String(), http.StatusServiceUnavailable
			answer.Missing = append(answer.Missing, s.name)
		}
	}
	writeJSON(w, code, answer)
}

func (h wellbeing) state(ctx context.Context) string {
	answer, err := h.client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return strings.ToUpper(status.Code(err).String())
	}
	return answer.GetStatus().String()
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // a caller who left needs no answer
}
