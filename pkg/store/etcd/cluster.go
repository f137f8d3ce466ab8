package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/store"
)

const (
	// callTimeout bounds one call of one member. Electing a leader takes up to two of it by etcd's defaults.
	callTimeout = 2 * time.Second
	// maxWait bounds how long a call is tried again on all members when the caller sets no bound.
	maxWait = 30 * time.Second
	// firstPause and maxPause bound the pause before another try.
	firstPause = 20 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// cluster calls the members. It stays with one, which thereby has everything that this process has committed, until that
// one does not answer, and then goes on to the next. A member that is stopped but keeps its connections open is left
// behind so too, after one call that it does not answer in time.
type cluster struct {
	client    *clientv3.Client
	endpoints []string

	mu      sync.Mutex
	current int
	left    chan struct{} // closed, and replaced, when the current member is left
}

func dial(ctx context.Context, o Options) (*cluster, error) {
	scheme := "http://"
	if o.TLS != nil {
		scheme = "https://"
	}
	c := &cluster{left: make(chan struct{})}
	for _, e := range o.Endpoints {
		c.endpoints = append(c.endpoints, scheme+e)
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for pause := firstPause; ; pause = longer(pause) {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{c.endpoints[c.current]}, TLS: o.TLS, Username: o.User, Password: o.Password,
			Context: context.WithoutCancel(ctx), Logger: zap.NewNop(), DialTimeout: callTimeout,
			DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: callTimeout,
			MaxCallSendMsgSize: o.MaxRequestBytes + 1<<20,
			// One more than once, for a token of etcd's authentication that has run out.
			MaxUnaryRetries: 2,
			DialOptions:     []grpc.DialOption{grpc.WithChainUnaryInterceptor(atOnce)},
		})
		if err == nil {
			c.client = client
			return c, nil
		}
		if !passing(err) {
			return nil, translate(err)
		}
		c.current = (c.current + 1) % len(c.endpoints)
		if !wait(ctx, pause) {
			return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
	}
}

// atOnce has a call of a member that cannot be connected to fail at once, where etcd's client would have it wait for as long
// as it may: there are other members.
func atOnce(ctx context.Context, method string, req, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, answer, conn, append(opts[:len(opts):len(opts)], grpc.WaitForReady(false))...)
}

// unreachable says why no member could be spoken to. The client says no more than that it has waited for too long, also where
// a certificate is not accepted.
func (o Options) unreachable(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrUnavailable) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	var problems []error
	for _, address := range o.Endpoints {
		if err := o.knock(ctx, address); err != nil {
			problems = append(problems, fmt.Errorf("member %s: %w", address, err))
		}
	}
	return errors.Join(problems...)
}

// knock connects to a member and hears its first words: with TLS it is only then that it refuses a certificate.
func (o Options) knock(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was said
	if o.TLS == nil {
		return nil
	}
	config := o.TLS.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address)
	config.NextProtos = []string{"h2"}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	_, err = secure.Read(make([]byte, 1))
	return err
}

func (c *cluster) close() error {
	if err := c.client.Close(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// get reads, and tries again until the context ends. Reading twice does no harm.
func (c *cluster) get(ctx context.Context, key string, opts ...clientv3.OpOption) (res *clientv3.GetResponse, err error) {
	err = c.persist(ctx, func(ctx context.Context) error {
		res, err = c.client.Get(ctx, key, opts...)
		return err
	})
	return res, err
}

// txn carries out a transaction and tries again until the context ends. It is for those that do no harm twice.
func (c *cluster) txn(ctx context.Context, op clientv3.Op) (res *clientv3.TxnResponse, err error) {
	err = c.persist(ctx, func(ctx context.Context) error {
		res, err = c.once(ctx, op)
		return err
	})
	return res, err
}

// once carries out a transaction on the current member.
func (c *cluster) once(ctx context.Context, op clientv3.Op) (*clientv3.TxnResponse, error) {
	res, err := c.client.Do(ctx, op)
	if err != nil {
		return nil, err
	}
	return res.Txn(), nil
}

// persist calls a member until it answers or says that it never will.
func (c *cluster) persist(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for pause := firstPause; ; pause = longer(pause) {
		err := c.call(ctx, call)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ended(ctx, err)
		case !passing(err):
			return translate(err)
		case !wait(ctx, pause):
			return ended(ctx, err)
		}
	}
}

// call calls the current member once, and leaves it if it does not do what is asked for a reason that will pass.
func (c *cluster) call(ctx context.Context, call func(context.Context) error) error {
	c.mu.Lock()
	member := c.current
	c.mu.Unlock()
	attempt, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := call(attempt)
	if err != nil && ctx.Err() == nil && passing(err) {
		c.leave(member)
	}
	return err
}

// leave goes on to the next member, unless another call has done so already.
func (c *cluster) leave(member int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != member || len(c.endpoints) == 1 {
		return
	}
	c.current = (member + 1) % len(c.endpoints)
	c.client.SetEndpoints(c.endpoints[c.current])
	close(c.left)
	c.left = make(chan struct{})
}

func (c *cluster) leaving() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// ended is the error of a call that was tried until its context ended.
func ended(ctx context.Context, last error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(last, cause) {
		return fmt.Errorf("%w: %w: %w", store.ErrUnavailable, cause, last)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, last)
}

// passing tells whether an error may pass, on another member or later. The request may have been carried out all the same.
func passing(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Internal, codes.Aborted:
		return true
	case codes.ResourceExhausted:
		return is(err, rpctypes.ErrGRPCRequestTooManyRequests)
	case codes.FailedPrecondition:
		return is(err, rpctypes.ErrGRPCNotLeader)
	case codes.Unauthenticated:
		return true // the token was made by a member that has forgotten it
	case codes.InvalidArgument:
		return is(err, rpctypes.ErrGRPCAuthOldRevision)
	}
	return false
}

// code returns the gRPC code of an error of the client.
func code(err error) codes.Code {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code()
	}
	return status.Code(err)
}

// is tells whether an error of the client is one of the server's.
func is(err, known error) bool {
	text := status.Convert(known).Message()
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Error() == text
	}
	return err != nil && status.Convert(err).Message() == text
}

// translate gives an error of the cluster the name that package store has for it.
func translate(err error) error {
	switch {
	case is(err, rpctypes.ErrGRPCNoSpace):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case is(err, rpctypes.ErrGRPCRequestTooLarge), is(err, rpctypes.ErrGRPCTooManyOps):
		return fmt.Errorf("%w: the members take less than max-txn-ops or max-request-bytes in the store's URL say: %w", store.ErrTooLarge, err)
	case is(err, rpctypes.ErrGRPCAuthFailed), is(err, rpctypes.ErrGRPCPermissionDenied):
		return fmt.Errorf("etcd refuses the user: %w", err)
	}
	return err
}

// wait pauses, half of the time by chance, and tells whether the context goes on.
func wait(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func longer(pause time.Duration) time.Duration { return min(2*pause, maxPause) }
