package record

import (
	"context"
	"crypto/sha256"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Mutation is a request that changes something. Its request id, where it has one, makes it safe to repeat.
type Mutation interface {
	proto.Message
	GetRequestId() string
}

// Do carries a mutation out once. A request that the same caller has sent before under the same id gets the answer that
// it got then; the same id on another request is refused. The answer is stored in the transaction of the change.
func Do[R Mutation, A proto.Message](ctx context.Context, db *journal.DB, req R, fn func(*journal.Tx) (A, error)) (answer A, err error) {
	by := originOf(ctx, req)
	err = db.Update(ctx, by, func(tx *journal.Tx) error {
		if by.RequestID == "" {
			answer, err = fn(tx)
			return err
		}
		digest, err := digestOf(by.Method, req)
		if err != nil {
			return err
		}
		given, err := recall[A](tx, by, digest)
		if !errors.Is(err, store.ErrNotFound) {
			answer = given
			return err
		}
		if answer, err = fn(tx); err != nil {
			return err
		}
		return remember(tx, by, digest, answer)
	})
	return answer, err
}

func originOf(ctx context.Context, req Mutation) journal.Origin {
	method, _ := grpc.Method(ctx)
	return journal.Origin{Actor: authn.FromContext(ctx).Name, Method: method, RequestID: req.GetRequestId()}
}

// Ask asks other services for what a mutation has to know. It does so before the transaction, so that nothing else waits
// for them, and not at all for a request that was carried out: that gets its answer of then even while they are down.
func Ask[W any](ctx context.Context, db *journal.DB, req Mutation, ask func() (W, error)) (word W, err error) {
	by := originOf(ctx, req)
	if by.RequestID == "" {
		return ask()
	}
	err = db.View(ctx, func(r store.Reader) error {
		_, err := r.Get(ReceiptKey(by))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return ask()
	}
	return word, err
}

// ReceiptKey is where the receipt of a request is stored: receipt/<actor> 0 <request id>. It is the digest of the request, then
// the answer as an Any.
func ReceiptKey(by journal.Origin) []byte {
	return []byte("receipt/" + by.Actor + "\x00" + by.RequestID)
}

func recall[A proto.Message](tx *journal.Tx, by journal.Origin, digest []byte) (answer A, err error) {
	receipt, err := tx.Get(ReceiptKey(by))
	if err != nil {
		return answer, err
	}
	if string(receipt[:sha256.Size]) != string(digest) {
		return answer, fault.New(codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED,
			"请求号已用于另一请求："+by.RequestID, "request id "+by.RequestID+" was used for another request: take a new one",
			fault.With("request_id", by.RequestID), fault.Field("request_id", "was used for another request"))
	}
	var stored anypb.Any
	if err := proto.Unmarshal(receipt[sha256.Size:], &stored); err != nil {
		return answer, err
	}
	m, err := stored.UnmarshalNew()
	if err != nil {
		return answer, err
	}
	return m.(A), nil
}

func remember(tx *journal.Tx, by journal.Origin, digest []byte, answer proto.Message) error {
	stored, err := anypb.New(answer)
	if err != nil {
		return err
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(stored)
	if err != nil {
		return err
	}
	return tx.Put(ReceiptKey(by), append(digest[:sha256.Size:sha256.Size], raw...))
}

func digestOf(method string, req proto.Message) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(method+"\x00"), raw...))
	return sum[:], nil
}
