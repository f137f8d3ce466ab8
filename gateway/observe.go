package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/rpc"
)

// observe stands around all else: it names the request, sets the headers that every answer has, writes the line in the
// log, and survives a panic.
func (g *Gateway) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now() //nolint:forbidigo // how long a request really took
		rec := &recorder{ResponseWriter: w}
		c := newCall(rec, r)
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		setHeaders(w.Header(), c.id)
		defer func() {
			p := recover()
			aborted := p == http.ErrAbortHandler //nolint:errorlint // the value that net/http documents, as it documents it
			if p != nil && !aborted {
				g.survive(rec, r, p)
			}
			took := time.Since(begun) //nolint:forbidigo // how long a request really took
			g.log(r, c, rec, took)
			if aborted {
				panic(p)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// setHeaders sets what every answer has. The API's answers are for one reader and one moment; pages set their own.
func setHeaders(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

func (g *Gateway) survive(w *recorder, r *http.Request, p any) {
	g.logger.LogAttrs(r.Context(), slog.LevelError, "panic", slog.Any(rpc.FieldError, p),
		slog.String(rpc.FieldCorrelation, callOf(r.Context()).id), slog.String(rpc.FieldStack, string(debug.Stack())))
	if w.status == 0 {
		g.refuse(w, r, fault.Internal())
	}
}

// log writes the line of a request. It has neither query nor headers: a token might stand in them.
func (g *Gateway) log(r *http.Request, c *call, rec *recorder, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case rec.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case r.URL.Path == healthPath || r.URL.Path == readyPath || strings.HasPrefix(r.URL.Path, docsPath):
		level = slog.LevelDebug
	}
	fields := []slog.Attr{
		slog.String("verb", r.Method), slog.String("path", r.URL.Path), slog.Int("status", rec.status),
		slog.Int64("bytes", rec.bytes), slog.Duration(rpc.FieldDuration, took),
		slog.String(rpc.FieldCorrelation, c.id), slog.String("remote", r.RemoteAddr),
	}
	if c.route != "" {
		fields = append(fields, slog.String("route", c.route))
	}
	if c.method != "" {
		fields = append(fields, slog.String(rpc.FieldMethod, c.method))
	}
	if c.code != 0 {
		fields = append(fields, slog.String(rpc.FieldCode, c.code.String()), slog.String(rpc.FieldReason, c.reason))
	}
	g.logger.LogAttrs(r.Context(), level, "request", fields...)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(text)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what is inside.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
