package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/journal"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Waits between attempts to hear from the access service.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = 5 * time.Second
)

// silence is after how long without a heartbeat a stream is taken for dead.
const silence = 2*journal.Heartbeat + 5*time.Second

// Follow keeps a directory up to date with the access service until the context ends. Whatever goes wrong is tried again.
func (d *Directory) Follow(ctx context.Context, access grpc.ClientConnInterface, logger *slog.Logger) {
	wait := firstWait
	for {
		filled, err := d.follow(ctx, access)
		if ctx.Err() != nil {
			return
		}
		if filled {
			wait = firstWait
		}
		if wait > time.Second { // a service that is still starting is not worth a line
			logger.Warn("the access service does not answer", "error", err)
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		wait = min(2*wait, maxWait)
	}
}

// follow reads all that the access service keeps, and then every change.
func (d *Directory) follow(ctx context.Context, access grpc.ClientConnInterface) (filled bool, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	changes := journalv1.NewJournalClient(access)
	head, err := changes.GetHead(ctx, &journalv1.GetHeadRequest{Name: "journals/access"})
	if err != nil {
		return false, err
	}
	known, err := readAll(ctx, accessv1.NewAccessControlClient(access))
	if err != nil {
		return false, err
	}
	// What changed while it was read is taken in before anybody is answered, so that nothing that was revoked is seen once more.
	at, err := catchUp(ctx, changes, known, head.GetRevision())
	if err != nil {
		return false, err
	}
	d.replace(known)
	stream, err := changes.WatchChanges(ctx, &journalv1.WatchChangesRequest{Name: "journals/access", AfterRevision: at})
	if err != nil {
		return true, err
	}
	dead := time.AfterFunc(silence, func() { stop(errors.New("no heartbeat")) })
	defer dead.Stop()
	for {
		res, err := stream.Recv()
		if err != nil {
			return true, errors.Join(err, context.Cause(ctx))
		}
		dead.Reset(silence)
		changed, err := resourceOf(res.GetChange())
		if err != nil {
			return true, err
		}
		if err := d.take(changed); err != nil {
			return true, err
		}
	}
}

// catchUp takes in what changed after a revision, and returns the one up to which it has everything.
func catchUp(ctx context.Context, changes journalv1.JournalClient, known *state, after int64) (int64, error) {
	req := &journalv1.ListChangesRequest{Parent: "journals/access", AfterRevision: after, PageSize: pageSize}
	for {
		res, err := changes.ListChanges(ctx, req)
		if err != nil {
			return after, err
		}
		for _, change := range res.GetChanges() {
			changed, err := resourceOf(change)
			if err == nil && changed != nil {
				err = known.put(changed)
			}
			if err != nil {
				return after, err
			}
			after = change.GetRevision()
		}
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			return after, nil
		}
	}
}

// resourceOf returns the resource after a change; nil if there is none. Nothing is ever deleted from the access service.
func resourceOf(change *journalv1.Change) (proto.Message, error) {
	if change.GetAfter() == nil {
		return nil, nil
	}
	m, err := change.GetAfter().UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", change.GetName(), err)
	}
	return m, nil
}

// pageSize is how much is asked for at once: the most that is given.
const pageSize = 1000

func readAll(ctx context.Context, access accessv1.AccessControlClient) (*state, error) {
	s := newState()
	lists := []func(token string) (next string, err error){
		func(token string) (string, error) {
			res, err := access.ListPrincipals(ctx, &accessv1.ListPrincipalsRequest{PageSize: pageSize, PageToken: token})
			return res.GetNextPageToken(), errors.Join(err, putAll(s, res.GetPrincipals()))
		},
		func(token string) (string, error) {
			res, err := access.ListRoles(ctx, &accessv1.ListRolesRequest{PageSize: pageSize, PageToken: token})
			return res.GetNextPageToken(), errors.Join(err, putAll(s, res.GetRoles()))
		},
		func(token string) (string, error) {
			res, err := access.ListApiKeys(ctx, &accessv1.ListApiKeysRequest{Parent: "principals/-", PageSize: pageSize, PageToken: token})
			return res.GetNextPageToken(), errors.Join(err, putAll(s, res.GetApiKeys()))
		},
		func(token string) (string, error) {
			res, err := access.ListBindings(ctx, &accessv1.ListBindingsRequest{PageSize: pageSize, PageToken: token})
			return res.GetNextPageToken(), errors.Join(err, putAll(s, res.GetBindings()))
		},
	}
	for _, list := range lists {
		for token, more := "", true; more; more = token != "" {
			next, err := list(token)
			if err != nil {
				return nil, err
			}
			token = next
		}
	}
	return s, nil
}

func putAll[M proto.Message](s *state, all []M) error {
	for _, m := range all {
		if err := s.put(m); err != nil {
			return err
		}
	}
	return nil
}
