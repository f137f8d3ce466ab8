package record

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/store"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Living is a resource with a life: it has a state, and keeps the decisions that led to it.
type Living[S protoreflect.Enum] interface {
	Resource
	GetState() S
	GetDecisions() []*typev1.Decision
}

// Follow takes the step that a verb is in the table of a life. What more there is to the step, more does, to a resource
// that is in its new state already; a nil more adds nothing.
func Follow[S protoreflect.Enum, T Living[S]](ctx context.Context, db *journal.DB, table *store.Table[T], req StepRequest, life lifecycle.Table[S], verb string, more func(tx *journal.Tx, row T) error) (T, error) {
	return Step(ctx, db, table, req, func(tx *journal.Tx, row T) error {
		if err := Advance(ctx, tx, req, life, verb, row); err != nil || more == nil {
			return err
		}
		return more(tx, row)
	})
}

// Advance moves a resource, which is not stored yet, to the state that the verb leads to, and adds the record of the step.
func Advance[S protoreflect.Enum](ctx context.Context, tx *journal.Tx, req StepRequest, life lifecycle.Table[S], verb string, row Living[S]) error {
	if err := CheckDocuments("documents", req.GetDocuments()); err != nil {
		return err
	}
	next, err := Next(life, verb, row)
	if err != nil {
		return err
	}
	m := row.ProtoReflect()
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("state"), protoreflect.ValueOfEnum(next.Number()))
	decision := Decide(ctx, tx, verb, req)
	m.Mutable(fields.ByName("decisions")).List().Append(protoreflect.ValueOfMessage(decision.ProtoReflect()))
	return nil
}

// Next returns the state that the verb leads a resource to. If its own does not permit the verb, the fault says what it
// does permit.
func Next[S protoreflect.Enum](life lifecycle.Table[S], verb string, row Living[S]) (S, error) {
	next, err := life.Next(row.GetState(), verb)
	var no *lifecycle.NotPermittedError
	if !errors.As(err, &no) {
		return next, err
	}
	zh := row.GetName() + " 处于 " + no.State + " 状态，不能执行 " + no.Verb
	if len(no.Permitted) > 0 {
		zh += "；可执行：" + strings.Join(no.Permitted, "、")
	}
	return next, fault.New(codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, zh, row.GetName()+": "+no.Error(),
		fault.With("state", no.State), fault.With("verb", no.Verb), fault.With("permitted", strings.Join(no.Permitted, ",")))
}

// NotEditable says that a resource has left the states in which callers may edit it.
func NotEditable(name string, state protoreflect.Enum) error {
	is := lifecycle.Name(state)
	return fault.New(codes.FailedPrecondition, typev1.Reason_REASON_NOT_EDITABLE,
		name+" 处于 "+is+" 状态，不能再编辑", name+" is "+is+" and cannot be edited any more", fault.With("state", is))
}
