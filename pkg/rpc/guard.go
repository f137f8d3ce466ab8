package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/record"
)

// guard lets a call through when its caller is known and may make it, and the request keeps to the contract.
type guard struct {
	credentials *authn.Credentials
	policy      *authz.Policy
}

// authenticate finds out who calls, and whether they may call the method at all.
func (g *guard) authenticate(ctx context.Context, method string) (context.Context, error) {
	if !g.policy.Covers(method) {
		return ctx, nil
	}
	who, err := g.credentials.Authenticate(ctx)
	if err != nil {
		return ctx, err
	}
	noteCaller(ctx, who.Name)
	return authn.NewContext(ctx, who), g.policy.CheckPermission(who, method)
}

// admit checks a request. The division is looked for in valid requests only: in others there may be none.
func (g *guard) admit(ctx context.Context, method string, req any) error {
	m, ok := req.(proto.Message)
	if !ok || !g.policy.Covers(method) {
		return nil
	}
	if err := record.ValidateRequest(m); err != nil {
		return err
	}
	return g.policy.CheckDivision(authn.FromContext(ctx), method, m)
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := g.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if err := g.admit(ctx, info.FullMethod, req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := g.authenticate(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &guardedStream{ServerStream: ss, ctx: ctx, guard: g, method: info.FullMethod})
}

// guardedStream checks each message that the caller sends.
type guardedStream struct {
	grpc.ServerStream
	ctx    context.Context
	guard  *guard
	method string
}

func (s *guardedStream) Context() context.Context { return s.ctx }

func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.guard.admit(s.ctx, s.method, m)
}

// deadline bounds how long a call may take, whatever its caller allows.
func deadline(most time.Duration) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		return handler(ctx, req)
	}
}
