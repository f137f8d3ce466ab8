package project

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// askTown asks the town registry for a town, and returns what proves that it is there. It is asked before the transaction
// begins: nothing else waits for the answer.
func (s *Server) askTown(ctx context.Context, path, name string) (*typev1.Evidence, error) {
	change, err := s.town.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/town", Resource: name})
	switch {
	case status.Code(err) == codes.NotFound, err == nil && change.GetAfter() == nil:
		return nil, fault.ReferenceNotFound(path, name)
	case err != nil:
		// A refusal is this service's own affair, a credential that lacks the permission for one: to the caller it is
		// no answer, too.
		return nil, fault.PeerUnavailable("town", err)
	}
	return &typev1.Evidence{
		Service:  change.GetService(),
		Resource: change.GetResource(),
		Revision: change.GetRevision(),
		Hash:     change.GetHash(),
	}, nil
}
