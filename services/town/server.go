package town

import (
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// Server serves the town registry.
type Server struct {
	// Unsafe, not Unimplemented: a method that the contract has and this package lacks does not compile.
	townv1.UnsafeTownRegistryServer

	db     *journal.DB
	schema *store.Schema

	towns        *store.Table[*townv1.Town]
	designations *store.Table[*townv1.Designation]
	enterprises  *store.Table[*townv1.Enterprise]
	reports      *store.Table[*townv1.Report]
	totals       *store.Table[*townv1.Total]
	assets       *store.Table[*townv1.Asset]
	policies     *store.Table[*townv1.Policy]
	batches      *store.Table[*townv1.Batch]
	divisions    *store.Table[*townv1.Division]
	calendars    *store.Table[*townv1.HolidayCalendar]
}

var _ townv1.TownRegistryServer = (*Server)(nil)

// New returns a server that keeps its rows in db.
func New(db *journal.DB) *Server {
	schema := store.NewSchema("town")
	return &Server{
		schema:       schema,
		db:           db,
		towns:        store.Declare[*townv1.Town](schema),
		designations: store.Declare(schema, designationsByBatch),
		enterprises:  store.Declare[*townv1.Enterprise](schema),
		reports:      store.Declare[*townv1.Report](schema),
		totals:       store.Declare[*townv1.Total](schema),
		assets:       store.Declare[*townv1.Asset](schema),
		policies:     store.Declare[*townv1.Policy](schema),
		batches:      store.Declare[*townv1.Batch](schema),
		divisions:    store.Declare[*townv1.Division](schema),
		calendars:    store.Declare[*townv1.HolidayCalendar](schema),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { townv1.RegisterTownRegistryServer(r, s) }

// Schema returns what the service keeps in its store.
func (s *Server) Schema() *store.Schema { return s.schema }
