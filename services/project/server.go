package project

import (
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project/lights"
)

// Server serves the tracking of projects.
type Server struct {
	// Unsafe, not Unimplemented: a method that the contract has and this package lacks does not compile.
	projectv1.UnsafeProjectTrackingServer

	db     *journal.DB
	schema *store.Schema
	// town is the journal of the town registry, which says whether there is a town.
	town journalv1.JournalClient
	// editions are the thresholds of the lights, by the day from which they hold.
	editions []lights.Edition

	projects   *store.Table[*projectv1.Project]
	totals     *store.Table[*projectv1.DivisionTotal]
	milestones *store.Table[*projectv1.Milestone]
	reports    *store.Table[*projectv1.ProgressReport]
	leads      *store.Table[*projectv1.Lead]
	quotas     *store.Table[*projectv1.FactorQuota]
	requests   *store.Table[*projectv1.FactorRequest]
	cases      *store.Table[*projectv1.Case]
	tasks      *store.Table[*projectv1.ActionTask]
}

var _ projectv1.ProjectTrackingServer = (*Server)(nil)

// New returns a server that keeps its rows in db and asks the town registry's journal for towns.
func New(db *journal.DB, town journalv1.JournalClient) *Server {
	schema := store.NewSchema("project")
	return &Server{
		schema:     schema,
		db:         db,
		town:       town,
		editions:   lights.Editions(),
		projects:   store.Declare(schema, projectsByCode),
		totals:     store.Declare[*projectv1.DivisionTotal](schema),
		milestones: store.Declare[*projectv1.Milestone](schema),
		reports:    store.Declare[*projectv1.ProgressReport](schema),
		leads:      store.Declare[*projectv1.Lead](schema),
		quotas:     store.Declare[*projectv1.FactorQuota](schema),
		requests:   store.Declare[*projectv1.FactorRequest](schema),
		cases:      store.Declare[*projectv1.Case](schema),
		tasks:      store.Declare[*projectv1.ActionTask](schema),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { projectv1.RegisterProjectTrackingServer(r, s) }

// Schema returns what the service keeps in its store.
func (s *Server) Schema() *store.Schema { return s.schema }
