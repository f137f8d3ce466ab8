package rpc

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/store"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// The names of the fields of a log line, the same in every service.
const (
	FieldMethod      = "method"
	FieldPrincipal   = "principal"
	FieldGrant       = "grant"
	FieldCorrelation = "correlation_id"
	FieldCode        = "code"
	FieldReason      = "reason"
	FieldDuration    = "duration"
	FieldError       = "error"
	FieldStack       = "stack"
)

// CorrelationKey is the metadata under which a caller passes on the id that ties the log lines of one request together.
const CorrelationKey = "x-correlation-id"

// maxCorrelation bounds an id in characters: it goes into every line, before anything is known of the caller.
const maxCorrelation = 128

// log writes a line for each call, and is the one place where the error of a handler becomes what its caller sees.
type log struct{ logger *slog.Logger }

// call is what is known of a call when it ends.
type call struct {
	method, principal, grant, correlation string
	begun                                 time.Time
}

type callKey struct{}

// noteCaller puts the caller's name into the log line of the call.
func noteCaller(ctx context.Context, name string) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.principal = name
	}
}

// noteGrant puts what the call rests on into its log line.
func noteGrant(ctx context.Context, name string) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.grant = name
	}
}

func begin(ctx context.Context, method string) (context.Context, *call) {
	c := &call{method: method, begun: time.Now()} //nolint:forbidigo // how long a call really took
	if ids := metadata.ValueFromIncomingContext(ctx, CorrelationKey); len(ids) > 0 && len(ids[0]) <= maxCorrelation {
		c.correlation = ids[0]
	}
	return context.WithValue(ctx, callKey{}, c), c
}

func (l *log) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, c := begin(ctx, info.FullMethod)
	answer, err := handler(ctx, req)
	err = l.end(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (l *log) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, c := begin(ss.Context(), info.FullMethod)
	return l.end(ctx, c, handler(srv, &streamWithContext{ServerStream: ss, ctx: ctx}))
}

// streamWithContext is a stream whose handler sees another context.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *streamWithContext) Context() context.Context { return s.ctx }

// end writes the line of a call, and returns the error that its caller sees. Health checks that pass are not worth a
// line.
func (l *log) end(ctx context.Context, c *call, err error) error {
	seen := visible(err)
	level := slog.LevelDebug
	switch {
	case status.Code(seen) == codes.Internal, status.Code(seen) == codes.DataLoss, errors.Is(err, store.ErrFull):
		level = slog.LevelError
	case seen != nil:
		level = slog.LevelInfo
	case strings.HasPrefix(c.method, "/grpc."):
		return nil
	}
	if !l.logger.Enabled(ctx, level) {
		return seen
	}
	fields := []slog.Attr{
		slog.String(FieldMethod, c.method),
		slog.String(FieldPrincipal, c.principal),
		slog.String(FieldGrant, c.grant),
		slog.String(FieldCode, status.Code(seen).String()),
		slog.Duration(FieldDuration, time.Since(c.begun)), //nolint:forbidigo // how long a call really took
	}
	if c.correlation != "" {
		fields = append(fields, slog.String(FieldCorrelation, c.correlation))
	}
	if reason := fault.ReasonOf(seen); reason != "" {
		fields = append(fields, slog.String(FieldReason, reason))
	}
	if err != nil {
		fields = append(fields, slog.String(FieldError, err.Error()))
	}
	l.logger.LogAttrs(ctx, level, "call", fields...)
	return seen
}

// recovered turns a panic of a handler into an error, which end shows to the caller as an internal fault.
func (l *log) recovered(ctx context.Context, p any) error {
	l.logger.LogAttrs(ctx, slog.LevelError, "panic", slog.Any(FieldError, p), slog.String(FieldStack, string(debug.Stack())))
	return errors.New("the call panicked")
}

// retryDelay is when a caller that found the store busy may try again: by then hundreds of batches were committed.
const retryDelay = time.Second

// visible returns the fault that a caller sees for an error. An error that nobody made a fault of is the server's own
// and stays in the log.
func visible(err error) error {
	switch {
	case err == nil, fault.IsStatus(err):
		return err
	case errors.Is(err, store.ErrFull):
		return fault.New(codes.ResourceExhausted, typev1.Reason_REASON_STORE_FULL,
			"存储空间已满，未写入任何内容；请释放空间后重试", "the store has no room left, nothing was written: free some and try again")
	case errors.Is(err, store.ErrBusy):
		return fault.New(codes.ResourceExhausted, typev1.Reason_REASON_STORE_BUSY,
			"等待写入的更改过多，未写入任何内容；请稍后重试", "too many changes wait to be written, and nothing was written: try again in a moment",
			fault.RetryAfter(retryDelay))
	case errors.Is(err, store.ErrTooLarge):
		return fault.New(codes.ResourceExhausted, typev1.Reason_REASON_CHANGE_TOO_LARGE,
			"一次写入的内容超出存储的上限，未写入任何内容；请减少一次处理的数量", "the change writes more than the store takes at once, and nothing was written: ask for less at once")
	case errors.Is(err, store.ErrOutcomeUnknown):
		return fault.New(codes.Unavailable, typev1.Reason_REASON_OUTCOME_UNKNOWN,
			"无法确认是否已写入；请用同一 request_id 重试，不会重复执行",
			"it is not known whether this was written: send it again with the same request_id, it is carried out once")
	case errors.Is(err, store.ErrUnavailable):
		return fault.New(codes.Unavailable, typev1.Reason_REASON_STORE_UNAVAILABLE,
			"无法访问存储，未写入任何内容；请稍后重试", "the store is out of reach, nothing was written: try again later")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.FromContext(err)
	}
	return fault.Internal()
}
