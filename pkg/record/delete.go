package record

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
)

// DeleteRequest is a request to remove a resource (AIP-135).
type DeleteRequest interface {
	Mutation
	GetName() string
	GetEtag() string
}

// Delete removes a resource. The journal keeps that it was there, and what it was.
func Delete[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], req DeleteRequest) (*emptypb.Empty, error) {
	return Do(ctx, db, req, func(tx *journal.Tx) (*emptypb.Empty, error) {
		row, err := Load(tx, table, req.GetName())
		if err != nil {
			return nil, err
		}
		if err := CheckETag(row, req.GetEtag()); err != nil {
			return nil, err
		}
		return &emptypb.Empty{}, table.Delete(tx, row.GetName())
	})
}
