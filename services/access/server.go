package access

import (
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// Server serves access control.
type Server struct {
	// Unsafe, not Unimplemented: a method that the contract has and this package lacks does not compile.
	accessv1.UnsafeAccessControlServer

	db       *journal.DB
	schema   *store.Schema
	declared authz.Permissions

	principals *store.Table[*accessv1.Principal]
	apiKeys    *store.Table[*accessv1.ApiKey]
	roles      *store.Table[*accessv1.Role]
	bindings   *store.Table[*accessv1.Binding]
}

var _ accessv1.AccessControlServer = (*Server)(nil)

// New returns a server that keeps its rows in db. The permissions that it knows are those of the services that are linked
// into the program.
func New(db *journal.DB) *Server {
	schema := store.NewSchema("access")
	return &Server{
		schema:     schema,
		db:         db,
		declared:   authz.Declared(),
		principals: store.Declare(schema, principalsByIdentity, principalsByCertificate),
		apiKeys:    store.Declare(schema, apiKeysByDigest),
		roles:      store.Declare[*accessv1.Role](schema),
		bindings:   store.Declare(schema, bindingsByPrincipal),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { accessv1.RegisterAccessControlServer(r, s) }

// Schema returns what the service keeps in its store.
func (s *Server) Schema() *store.Schema { return s.schema }
