package rpc

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/record"
)

// guard lets a call through when its caller is known and may make it, and the request keeps to the contract.
type guard struct {
	callers authn.Authenticator
	grants  authz.Grants // of those whose credentials carry none; nil knows none
	policy  *authz.Policy
	now     func() time.Time
}

// authenticate finds out who calls, and what of what they are granted permits the method at all.
func (g *guard) authenticate(ctx context.Context, method string) (context.Context, []authz.Grant, error) {
	if !g.policy.Covers(method) {
		return ctx, nil, nil
	}
	who, err := g.callers.Authenticate(ctx)
	if err != nil {
		return ctx, nil, err
	}
	noteCaller(ctx, who.Name)
	permitting, err := g.permitting(who, method)
	return authn.NewContext(ctx, who), permitting, err
}

func (g *guard) permitting(who *authn.Principal, method string) ([]authz.Grant, error) {
	grants := authz.Carried(who)
	if len(grants) == 0 && g.grants != nil {
		var err error
		if grants, err = g.grants.Of(who.Name); err != nil {
			return nil, err
		}
	}
	return g.policy.Permit(who, grants, method, g.now())
}

// admit checks a request and finds the grant that the call rests on. The place is looked for in valid requests only: in others
// there may be none.
func (g *guard) admit(ctx context.Context, permitting []authz.Grant, method string, req any) (context.Context, error) {
	m, ok := req.(proto.Message)
	if !ok || !g.policy.Covers(method) {
		return ctx, nil
	}
	if err := record.ValidateRequest(m); err != nil {
		return ctx, err
	}
	grant, err := g.policy.Choose(permitting, method, m)
	if err != nil {
		return ctx, err
	}
	noteGrant(ctx, grant.Name)
	return authz.NewContext(ctx, grant), nil
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, permitting, err := g.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if ctx, err = g.admit(ctx, permitting, info.FullMethod, req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, permitting, err := g.authenticate(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &guardedStream{ServerStream: ss, ctx: ctx, guard: g, method: info.FullMethod, permitting: permitting})
}

// guardedStream checks each message that the caller sends. The context of a stream carries a grant once a message was
// received, which is before its handler begins: all streams of the suite begin with a request.
type guardedStream struct {
	grpc.ServerStream
	ctx        context.Context
	guard      *guard
	method     string
	permitting []authz.Grant
}

func (s *guardedStream) Context() context.Context { return s.ctx }

func (s *guardedStream) RecvMsg(m any) (err error) {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.ctx, err = s.guard.admit(s.ctx, s.permitting, s.method, m)
	return err
}

// SendMsg sends only for as long as the grant holds that the stream rests on: whoever is shut out is shut out of what they
// watch, too.
func (s *guardedStream) SendMsg(m any) error {
	if err := s.guard.still(s.ctx, s.method); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// still refuses a caller who has lost the grant that a call in progress rests on.
func (g *guard) still(ctx context.Context, method string) error {
	if g.grants == nil || !g.policy.Covers(method) {
		return nil
	}
	who, rests := authn.FromContext(ctx), authz.FromContext(ctx)
	if len(authz.Carried(who)) > 0 {
		return nil // what a credential carries does not change while it is accepted
	}
	permitting, err := g.permitting(who, method)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(permitting, func(p authz.Grant) bool { return p.Name == rests.Name }) {
		return authz.Lost(rests.Name)
	}
	return nil
}

// deadline bounds how long a call may take, whatever its caller allows.
func deadline(most time.Duration) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		return handler(ctx, req)
	}
}
