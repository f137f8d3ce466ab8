package rpc

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/yizhen/yizhen/pkg/authn"
)

// Dial returns a connection to a server of the suite. It connects when it is first used, and again after a failure. A nil
// TLS configuration connects without TLS. The token is shown at every call; an empty one shows none.
func Dial(target string, config *tls.Config, token string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes)),
		grpc.WithChainUnaryInterceptor(spend, passCorrelation),
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(authn.Bearer{Token: token, Insecure: config == nil}))
	}
	return grpc.NewClient(target, options...)
}

// reserve is what a caller keeps back of its own deadline, so that it can still say which service did not answer.
const reserve = 200 * time.Millisecond

// spend gives each outgoing call a deadline: the caller's own less a reserve, and never more than DefaultCallTimeout.
func spend(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	most := DefaultCallTimeout
	if at, ok := ctx.Deadline(); ok {
		left := time.Until(at) //nolint:forbidigo // deadlines are in real time
		most = min(most, left-min(reserve, left/10))
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return invoke(ctx, method, req, reply, cc, opts...)
}

// passCorrelation passes the correlation id of the call that is being answered on to the calls made for it.
func passCorrelation(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if c, ok := ctx.Value(callKey{}).(*call); ok && c.correlation != "" {
		ctx = withCorrelation(ctx, c.correlation)
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func withCorrelation(ctx context.Context, id string) context.Context {
	if sent, ok := metadata.FromOutgoingContext(ctx); ok && len(sent.Get(CorrelationKey)) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, CorrelationKey, id)
}
