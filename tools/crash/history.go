package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// History is the client's side of what happened to one store: everything that was asked, and every answer. It is kept
// outside of the process that is killed.
type History struct {
	// tick orders sendings and answers: whatever was answered at a lower tick than another was sent at had happened
	// before it.
	tick atomic.Int64

	mu    sync.Mutex
	calls []*Call
	reads []Read
	// faults are what no server should answer, ever.
	faults []string
}

// Call is one mutation, under one request id, however often it was sent.
type Call struct {
	Actor, Method, RequestID string
	Request                  proto.Message
	Attempts                 []Attempt
}

// Attempt is one sending of a call.
type Attempt struct {
	Sent, Answered int64
	Outcome        Outcome
	// Answer is what an acknowledged attempt was answered with.
	Answer proto.Message
	// Err is what the others got.
	Err error
}

// Outcome is what a client knows of a call.
type Outcome int

// The outcomes: done for certain, not done for certain, nobody knows; or the store was away, and this sending has done
// nothing, which says nothing of those before.
const (
	Acknowledged Outcome = iota + 1
	Refused
	Unanswered
	Away
)

// Read is a version of a resource that somebody was shown.
type Read struct {
	Resource, ETag string
	Sent           int64
}

// acknowledged returns the first answer of a call, nil if it has none.
func (c *Call) acknowledged() *Attempt {
	for i := range c.Attempts {
		if c.Attempts[i].Outcome == Acknowledged {
			return &c.Attempts[i]
		}
	}
	return nil
}

// last returns the last word on a call: Away if there is none.
func (c *Call) last() (last Attempt) {
	last.Outcome = Away
	for _, a := range c.Attempts {
		if a.Outcome != Away {
			last = a
		}
	}
	return last
}

func (c *Call) String() string {
	return fmt.Sprintf("%s %s of %s", c.Method, c.RequestID, c.Actor)
}

// methodOf returns the gRPC method that a request is for: the contract names requests after their methods.
func methodOf(req proto.Message) (full string, answer proto.Message, err error) {
	d := req.ProtoReflect().Descriptor()
	name := protoreflect.Name(strings.TrimSuffix(string(d.Name()), "Request"))
	var found protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(d.ParentFile().Package(), func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if m := f.Services().Get(i).Methods().ByName(name); m != nil {
				found = m
			}
		}
		return found == nil
	})
	if found == nil {
		return "", nil, fmt.Errorf("no method takes a %s", d.FullName())
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(found.Output().FullName())
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/%s/%s", found.Parent().FullName(), name), t.New().Interface(), nil
}

// invoke sends a request and says what the sender knows afterwards.
func invoke(ctx context.Context, conn *grpc.ClientConn, req proto.Message) (proto.Message, Outcome, error) {
	method, answer, err := methodOf(req)
	if err != nil {
		return nil, Refused, err
	}
	if err := conn.Invoke(ctx, method, req, answer); err != nil {
		return nil, outcomeOf(err), err
	}
	return answer, Acknowledged, nil
}

// outcomeOf tells a refusal, which comes with a reason, from silence and from a store that is away.
func outcomeOf(err error) Outcome {
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.Unknown:
		return Unanswered
	case codes.Unavailable, codes.ResourceExhausted:
		switch {
		case fault.ReasonOf(err) == "", fault.Is(err, typev1.Reason_REASON_OUTCOME_UNKNOWN):
			return Unanswered
		case fault.Is(err, typev1.Reason_REASON_STORE_UNAVAILABLE), fault.Is(err, typev1.Reason_REASON_STORE_BUSY):
			return Away
		}
	}
	return Refused
}

// send sends a call once more and keeps what came of it.
func (h *History) send(ctx context.Context, conn *grpc.ClientConn, c *Call) (proto.Message, Outcome, error) {
	sent := h.tick.Add(1)
	answer, outcome, err := invoke(ctx, conn, c.Request)
	a := Attempt{Sent: sent, Answered: h.tick.Add(1), Outcome: outcome, Answer: answer, Err: err}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Attempts = append(c.Attempts, a)
	if len(c.Attempts) == 1 {
		h.calls = append(h.calls, c)
	}
	if fault.Is(err, typev1.Reason_REASON_INTERNAL) {
		h.faults = append(h.faults, fmt.Sprintf("%v was answered with a fault of the server: %v", c, err))
	}
	return answer, outcome, err
}

// saw keeps that a version of a resource was shown to somebody who asked at a tick.
func (h *History) saw(resource, etag string, sent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, Read{Resource: resource, ETag: etag, Sent: sent})
}

// broken keeps a promise that a live server broke.
func (h *History) broken(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

// open returns the calls whose last attempt was not answered, in the order in which they were first sent.
func (h *History) open() (open []*Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if c.last().Outcome == Unanswered {
			open = append(open, c)
		}
	}
	return open
}

// count returns how many attempts had each outcome.
func (h *History) count() map[Outcome]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[Outcome]int{}
	for _, c := range h.calls {
		for _, a := range c.Attempts {
			n[a.Outcome]++
		}
	}
	return n
}

// requestID reads the request id that every mutation has.
func requestID(req proto.Message) string {
	if m, ok := req.(interface{ GetRequestId() string }); ok {
		return m.GetRequestId()
	}
	return ""
}

// setRequestID names a request.
func setRequestID(req proto.Message, id string) {
	m := req.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("request_id"), protoreflect.ValueOfString(id))
}
