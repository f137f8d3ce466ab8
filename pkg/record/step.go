package record

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// StepRequest is a request to take one step in the life of a resource.
type StepRequest interface {
	Mutation
	GetName() string
	GetEtag() string
	GetReason() string
	GetDocuments() []*typev1.Document
}

// Step takes one step in the life of a resource: it reads the resource, checks the etag, lets take change it, and stores
// it.
func Step[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], req StepRequest, take func(tx *journal.Tx, row T) error) (T, error) {
	return Do(ctx, db, req, func(tx *journal.Tx) (T, error) {
		row, err := Load(tx, table, req.GetName())
		if err != nil {
			return row, err
		}
		if err := CheckETag(row, req.GetEtag()); err != nil {
			return row, err
		}
		if err := take(tx, row); err != nil {
			return row, err
		}
		return Save(tx, table, row)
	})
}

// Decide returns the record of a step that the caller takes.
func Decide(ctx context.Context, tx *journal.Tx, verb string, req StepRequest) *typev1.Decision {
	return &typev1.Decision{
		Verb:       verb,
		Principal:  authn.FromContext(ctx).Name,
		DecideTime: timestamppb.New(tx.Now()),
		Reason:     req.GetReason(),
		Documents:  req.GetDocuments(),
	}
}
