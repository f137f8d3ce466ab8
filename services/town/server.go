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

	db *journal.DB

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
	return &Server{
		db:           db,
		towns:        store.NewTable[*townv1.Town](),
		designations: store.NewTable(designationsByBatch),
		enterprises:  store.NewTable[*townv1.Enterprise](),
		reports:      store.NewTable[*townv1.Report](),
		totals:       store.NewTable[*townv1.Total](),
		assets:       store.NewTable[*townv1.Asset](),
		policies:     store.NewTable[*townv1.Policy](),
		batches:      store.NewTable[*townv1.Batch](),
		divisions:    store.NewTable[*townv1.Division](),
		calendars:    store.NewTable[*townv1.HolidayCalendar](),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { townv1.RegisterTownRegistryServer(r, s) }
