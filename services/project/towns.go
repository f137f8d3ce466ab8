package project

import (
	"context"
	"errors"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// askTown asks the town registry for the town of a new project, and returns what proves that it is there.
func (s *Server) askTown(ctx context.Context, req record.Mutation, name string) (*typev1.Evidence, error) {
	return record.Ask(ctx, s.db, req, func() (*typev1.Evidence, error) {
		change, err := journal.Ask(ctx, s.town, "town", name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fault.ReferenceNotFound("project.town", name)
		}
		if err != nil {
			return nil, err
		}
		return journal.EvidenceOf(change), nil
	})
}
