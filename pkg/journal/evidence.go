package journal

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Ask asks another service, by its journal, for a resource as it stands: the change tells it and proves it. A resource
// that was never there or was deleted is store.ErrNotFound. A refusal is the suite's own affair, a credential that lacks
// the permission for one: to the caller it is no answer, like silence.
func Ask(ctx context.Context, peer journalv1.JournalClient, service, resource string) (*journalv1.Change, error) {
	change, err := peer.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/" + service, Resource: resource})
	switch {
	case status.Code(err) == codes.NotFound, err == nil && change.GetAfter() == nil:
		return nil, store.ErrNotFound
	case err != nil:
		return nil, fault.PeerUnavailable(service, err)
	}
	return change, nil
}

// EvidenceOf keeps of a change what proves the record after it.
func EvidenceOf(c *journalv1.Change) *typev1.Evidence {
	return &typev1.Evidence{Service: c.GetService(), Resource: c.GetResource(), Revision: c.GetRevision(), Hash: c.GetHash()}
}
