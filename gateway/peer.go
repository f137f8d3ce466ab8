package gateway

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/rpc"
)

// peer is a connection to one service, as a request of the edge sees it: what stood in HTTP headers is put into the
// message, the call gets a deadline, and an error says which service it is about.
//
// The headers are applied here, to the message, and not to the body before it is decoded: here it does not matter whether
// a field came from the path, the query or the body, and which field is meant is known from the method's descriptor.
type peer struct {
	grpc.ClientConnInterface
	service string
	timeout time.Duration
	logger  *slog.Logger
	methods map[string]*binding
}

// bind learns the methods of a contract file.
func (p *peer) bind(file protoreflect.FileDescriptor) error {
	if p.methods == nil {
		p.methods = map[string]*binding{}
	}
	for i := range file.Services().Len() {
		methods := file.Services().Get(i).Methods()
		for j := range methods.Len() {
			b, err := bind(methods.Get(j))
			if err != nil {
				return err
			}
			p.methods[b.fullMethod] = b
		}
	}
	return nil
}

// Invoke implements grpc.ClientConnInterface.
func (p *peer) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	c := callOf(ctx)
	c.method = method
	if b, req := p.methods[method], args.(proto.Message); b != nil {
		if err := b.apply(c, req.ProtoReflect()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(c.outgoing(ctx), p.timeout)
	defer cancel()
	return p.explain(ctx, c, p.ClientConnInterface.Invoke(ctx, method, args, reply, opts...))
}

// NewStream implements grpc.ClientConnInterface. A stream lasts as long as its reader wants it.
func (p *peer) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	c := callOf(ctx)
	c.method = method
	stream, err := p.ClientConnInterface.NewStream(c.outgoing(ctx), desc, method, opts...)
	if err != nil {
		return nil, p.explain(ctx, c, err)
	}
	return &explained{ClientStream: stream, ctx: ctx, call: c, peer: p}, nil
}

// explained is a stream whose errors say which service they are about.
type explained struct {
	grpc.ClientStream
	ctx  context.Context
	call *call
	peer *peer
}

func (s *explained) RecvMsg(m any) error {
	return s.peer.explain(s.ctx, s.call, s.ClientStream.RecvMsg(m))
}

// explain gives errors that gRPC itself made, and that therefore carry no reason, one that callers can act on. What a
// service let slip of its inside is not passed on: it is in the log.
func (p *peer) explain(ctx context.Context, c *call, err error) error {
	if _, isStatus := status.FromError(err); err == nil || !isStatus || fault.ReasonOf(err) != "" {
		return err
	}
	switch status.Code(err) {
	case codes.Unavailable:
		p.log(ctx, c, err)
		return unavailable(p.service, status.Code(err))
	case codes.DeadlineExceeded:
		return fault.FromContext(context.DeadlineExceeded)
	case codes.Unknown, codes.Internal, codes.DataLoss:
		p.log(ctx, c, err)
		return fault.Internal()
	}
	return err
}

func (p *peer) log(ctx context.Context, c *call, err error) {
	p.logger.LogAttrs(ctx, slog.LevelError, "a service did not answer as it should",
		slog.String("service", p.service), slog.String(rpc.FieldMethod, c.method),
		slog.String(rpc.FieldCorrelation, c.id), slog.String(rpc.FieldError, err.Error()))
}

// outgoing returns a context whose metadata is what a service is told of a request: the credential and the correlation
// id. No header of the caller's gets through by being named like metadata.
func (c *call) outgoing(ctx context.Context) context.Context {
	md := metadata.Pairs(rpc.CorrelationKey, c.id)
	md.Append("authorization", c.authorization...)
	return metadata.NewOutgoingContext(ctx, md)
}
