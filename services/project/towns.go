package project

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// errNotYet ends a transaction for which the town registry has to be asked first.
var errNotYet = errors.New("the town registry has not been asked yet")

// onceOfTown carries a mutation out once, as record.Do does, with the town registry's word that there is the town. The
// registry is asked outside of any transaction, so that nothing else waits for it; and it is not asked again for a
// request that was carried out before, which gets its answer even while the registry is down.
func onceOfTown[R record.Mutation, A proto.Message](ctx context.Context, s *Server, req R, path, town string, fn func(*journal.Tx, *typev1.Evidence) (A, error)) (A, error) {
	answer, err := record.Do(ctx, s.db, req, func(*journal.Tx) (none A, err error) { return none, errNotYet })
	if !errors.Is(err, errNotYet) {
		return answer, err
	}
	evidence, err := s.askTown(ctx, path, town)
	if err != nil {
		return answer, err
	}
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (A, error) { return fn(tx, evidence) })
}

// askTown asks the town registry for a town, and returns what proves that it is there.
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
