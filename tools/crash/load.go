package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// The callers: three, since who prepares a payment neither checks nor sends it.
const (
	maker  = "finance/maker"
	checks = "finance/checker"
	sender = "finance/sender"
)

// worker is one of the callers that keep a service busy.
type worker struct {
	number  int
	round   int
	random  *rand.Rand
	history *History
	conns   map[string]*grpc.ClientConn
	sent    int
	// gone is set once the service no longer answers.
	gone bool
	// mine are the resources that only this worker changes.
	mine []string
}

// one returns true one time in n.
func (w *worker) one(n int) bool { return w.random.IntN(n) == 0 }

// do sends a mutation as one of the callers, sometimes twice: at once, or again after the answer. It returns nil unless it
// was acknowledged.
func do[A proto.Message](ctx context.Context, w *worker, actor string, req proto.Message, answer A) A {
	var none A
	w.sent++
	setRequestID(req, fmt.Sprintf("r%d-w%d-%d", w.round, w.number, w.sent))
	method, _, err := methodOf(req)
	if err != nil {
		w.history.broken("%v", err)
		return none
	}
	call := &Call{Actor: actor, Method: method, RequestID: requestID(req), Request: req}
	var twin sync.WaitGroup
	if w.one(20) {
		twin.Go(func() { w.history.send(ctx, w.conns[actor], call) }) //nolint:errcheck // the history has it
	}
	got, outcome, err := w.history.send(ctx, w.conns[actor], call)
	twin.Wait()
	switch outcome {
	case Unanswered:
		w.lost(err)
		return none
	case Away:
		return none
	case Refused:
		if code := status.Code(err); code == codes.InvalidArgument || code == codes.PermissionDenied || code == codes.Unauthenticated {
			w.history.broken("%v: the driver itself is wrong: %v", call, err)
		}
		return none
	}
	if w.one(20) {
		w.history.send(ctx, w.conns[actor], call) //nolint:errcheck // the history has it
	}
	if w.one(50) {
		w.reuse(ctx, actor, req)
	}
	if _, ok := got.(A); !ok {
		return none
	}
	return got.(A)
}

// lost notes that there was no answer. A service that says so itself is still there.
func (w *worker) lost(err error) { w.gone = w.gone || fault.ReasonOf(err) == "" }

// reuse sends another request under an id that was used, which must be refused.
func (w *worker) reuse(ctx context.Context, actor string, req proto.Message) {
	other := proto.Clone(req)
	f := other.ProtoReflect().Descriptor().Fields().ByName("reason")
	if f == nil {
		return
	}
	other.ProtoReflect().Set(f, protoreflect.ValueOfString("under an id that was used"))
	_, outcome, err := invoke(ctx, w.conns[actor], other)
	if outcome != Unanswered && outcome != Away && !fault.Is(err, typev1.Reason_REASON_REQUEST_ID_REUSED) {
		w.history.broken("%s: another request under the id %s was answered with %v", actor, requestID(req), err)
	}
}

// get reads a resource, and keeps that this version of it was shown. It returns nil if there is none, or no answer.
func get[A proto.Message](ctx context.Context, w *worker, req proto.Message, _ A) (row A) {
	sent := w.history.tick.Add(1)
	answer, outcome, err := invoke(ctx, w.conns[maker], req)
	switch {
	case outcome == Unanswered:
		w.lost(err)
	case outcome == Away:
	case outcome == Acknowledged:
		row = answer.(A)
		w.history.saw(targetOf(row), etag(row), sent)
	case status.Code(err) != codes.NotFound:
		w.history.broken("reading %s: %v", targetOf(req), err)
	}
	return row
}
