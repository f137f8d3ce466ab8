// Package gateway is the edge of the suite for browsers, offices and scripts: REST and JSON in front of gRPC. It owns no
// business state and decides nothing. It dials the services like any other client, so that every rule about who may call
// and what a request may say is enforced in one place, the service.
//
// What it adds is what HTTP has and gRPC has not: entity tags (ETag, If-Match, If-None-Match), an idempotency key,
// problem documents (RFC 9457) in the reader's language, compression, and the reference of the API at /docs/.
package gateway

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/klauspost/compress/gzhttp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// What Options are taken for when they are 0.
const (
	DefaultTimeout      = 30 * time.Second
	DefaultStall        = 30 * time.Second
	DefaultMaxBodyBytes = 4 << 20
	DefaultMaxWatchers  = 500
)

// minCompressBytes is the size from which an answer is worth compressing.
const minCompressBytes = 1 << 10

// Options say what a gateway stands in front of.
type Options struct {
	// Connections to the services, without credentials of their own: each call carries its caller's. All of them are
	// needed; one that does not answer yet is no hindrance.
	Town, Project, Fund, Assessment grpc.ClientConnInterface
	// Access is the connection to access control; nil where there is none.
	Access grpc.ClientConnInterface

	// Logger takes a line for each request; nil throws them away.
	Logger *slog.Logger
	// Timeout bounds a call to a service; DefaultTimeout if 0. A watch is not bounded.
	Timeout time.Duration
	// Stall bounds how long a watcher may leave a message unread before it is cut off; DefaultStall if 0.
	Stall time.Duration
	// MaxWatchers bounds how many watches are open at once; DefaultMaxWatchers if 0. They share a connection with all
	// other calls, on which a service permits a number of streams.
	MaxWatchers int
	// MaxBodyBytes bounds the body of a request; DefaultMaxBodyBytes if 0.
	MaxBodyBytes int64
}

// Gateway is the edge as a handler.
type Gateway struct {
	handler http.Handler
	api     *runtime.ServeMux
	pages   *pages
	logger  *slog.Logger
	maxBody int64

	stop     sync.Once
	stopping chan struct{}
}

var _ http.Handler = (*Gateway)(nil)

// service is one service of the suite: what the gateway needs in order to put REST in front of it.
type service struct {
	name     string
	conn     grpc.ClientConnInterface
	contract protoreflect.FileDescriptor
	register func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error
}

// services is the list of what the gateway stands in front of. A new service is a line here.
func services(o Options) []service {
	all := []service{
		{"town", o.Town, townv1.File_yizhen_town_v1_town_registry_proto,
			func(ctx context.Context, mux *runtime.ServeMux, cc grpc.ClientConnInterface) error {
				return townv1.RegisterTownRegistryHandlerClient(ctx, mux, townv1.NewTownRegistryClient(cc))
			}},
		{"project", o.Project, projectv1.File_yizhen_project_v1_project_tracking_proto,
			func(ctx context.Context, mux *runtime.ServeMux, cc grpc.ClientConnInterface) error {
				return projectv1.RegisterProjectTrackingHandlerClient(ctx, mux, projectv1.NewProjectTrackingClient(cc))
			}},
		{"fund", o.Fund, fundv1.File_yizhen_fund_v1_special_fund_proto,
			func(ctx context.Context, mux *runtime.ServeMux, cc grpc.ClientConnInterface) error {
				return fundv1.RegisterSpecialFundHandlerClient(ctx, mux, fundv1.NewSpecialFundClient(cc))
			}},
		{"assessment", o.Assessment, assessmentv1.File_yizhen_assessment_v1_assessment_proto,
			func(ctx context.Context, mux *runtime.ServeMux, cc grpc.ClientConnInterface) error {
				return assessmentv1.RegisterAssessmentHandlerClient(ctx, mux, assessmentv1.NewAssessmentClient(cc))
			}},
	}
	if o.Access != nil {
		all = append(all, service{"access", o.Access, accessv1.File_yizhen_access_v1_access_control_proto,
			func(ctx context.Context, mux *runtime.ServeMux, cc grpc.ClientConnInterface) error {
				return accessv1.RegisterAccessControlHandlerClient(ctx, mux, accessv1.NewAccessControlClient(cc))
			}})
	}
	return all
}

// everywhere are the contracts of what every service hosts.
func everywhere() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{journalv1.File_yizhen_journal_v1_journal_proto, maintenancev1.File_yizhen_maintenance_v1_maintenance_proto}
}

// document is the OpenAPI description of all that the gateway serves under /v1/.
//
//go:embed openapi/openapi.json
var document []byte

// New makes a gateway in front of the services. It calls none of them yet.
func New(o Options) (*Gateway, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Stall == 0 {
		o.Stall = DefaultStall
	}
	if o.MaxWatchers == 0 {
		o.MaxWatchers = DefaultMaxWatchers
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	g := &Gateway{logger: o.Logger, maxBody: o.MaxBodyBytes, stopping: make(chan struct{})}
	g.api = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler()),
		runtime.WithErrorHandler(g.answerError),
		runtime.WithRoutingErrorHandler(g.answerNoRoute),
		runtime.WithMiddlewares(g.admit),
		runtime.WithForwardResponseOption(tagAnswer),
		// A resource name with an encoded slash in it is a wrong name, not two segments of another.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved),
		// A request is what its method and path say. What a header or a form could make of it is not in the
		// OpenAPI document, and would go past whoever watches the methods.
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
		// Which metadata goes to a service and comes back is decided by peer, not by the names of headers.
		runtime.WithIncomingHeaderMatcher(nothing),
		runtime.WithOutgoingHeaderMatcher(nothing),
		runtime.WithOutgoingTrailerMatcher(nothing),
	)
	ctx := context.Background()
	journals, stores := journals{}, stores{}
	g.pages = newPages()
	for _, s := range services(o) {
		if s.conn == nil {
			return nil, fmt.Errorf("gateway: there is no connection to the %s service", s.name)
		}
		p := &peer{ClientConnInterface: s.conn, service: s.name, timeout: o.Timeout, logger: o.Logger}
		journals[s.name], stores[s.name] = journalv1.NewJournalClient(p), maintenancev1.NewMaintenanceClient(p)
		g.pages.addService(s.name, s.conn)
		for _, contract := range append(everywhere(), s.contract) {
			if err := p.bind(contract); err != nil {
				return nil, err
			}
		}
		if err := s.register(ctx, g.api, p); err != nil {
			return nil, err
		}
	}
	if err := journalv1.RegisterJournalHandlerClient(ctx, g.api, journals); err != nil {
		return nil, err
	}
	if err := maintenancev1.RegisterMaintenanceHandlerClient(ctx, g.api, stores); err != nil {
		return nil, err
	}
	// The generated handlers of the streams are replaced: by one that answers with problem documents, at once, and by one that
	// sends the file itself.
	watch, err := newWatcher(g, journals, o)
	if err != nil {
		return nil, err
	}
	download, err := newDownloader(g, stores, o)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		g.api.HandlePath(watch.binding.verb, watch.binding.path, watch.serve),
		g.api.HandlePath(download.binding.verb, download.binding.path, download.serve),
	)
	if err != nil {
		return nil, err
	}
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(minCompressBytes), gzhttp.EnableZstd(false))
	if err != nil {
		return nil, err
	}
	g.handler = g.observe(compress(http.HandlerFunc(g.route)))
	return g, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// Stop ends the streams of all watchers, who are told to resume elsewhere. It belongs into RegisterOnShutdown of the HTTP
// server, whose Shutdown would wait for them for ever.
func (g *Gateway) Stop() { g.stop.Do(func() { close(g.stopping) }) }

// route tells the API from the pages. It compares paths as they are: nothing is cleaned or redirected, so what is asked
// for is what was sent.
func (g *Gateway) route(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		g.serveAPI(w, r)
		return
	}
	page, ok := g.pages.find(r.URL.Path)
	switch {
	case !ok:
		g.refuse(w, r, noSuchPath(r.URL.Path))
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		g.refuse(w, r, methodNotAllowed(r.Method, "GET, HEAD"))
	default:
		page.ServeHTTP(w, r)
	}
}

// serveAPI answers a call. HEAD is GET whose body net/http throws away.
func (g *Gateway) serveAPI(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		callOf(r.Context()).head = true
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	// Deadlines are the gateway's own, and trailers are of no use to a REST client.
	r.Header.Del("Grpc-Timeout")
	r.Header.Del("Te")
	g.api.ServeHTTP(w, r)
}

// marshaler is JSON as protobuf defines it: lowerCamelCase names, 64-bit integers as text. Zero is written, so that a
// balance of 0 fen is seen to be 0; an absent message is left out. A field that the contract does not know is an error:
// a misspelt one would otherwise be lost without a word.
func marshaler() runtime.Marshaler {
	return &runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitDefaultValues: true},
		UnmarshalOptions: protojson.UnmarshalOptions{},
	}
}

func nothing(string) (string, bool) { return "", false }

// documentTag is the entity tag of the OpenAPI document.
func documentTag() string {
	sum := sha256.Sum256(document)
	return fmt.Sprintf(`"%x"`, sum[:8])
}
