package assessment

import (
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// Peers are the services that facts are read from, each with its journal. The credential of their connections has to be
// the city's, since a collection reads all towns.
type Peers struct {
	Town           townv1.TownRegistryClient
	TownJournal    journalv1.JournalClient
	Project        projectv1.ProjectTrackingClient
	ProjectJournal journalv1.JournalClient
	Fund           fundv1.SpecialFundClient
	FundJournal    journalv1.JournalClient
}

// Server serves the assessment.
type Server struct {
	// Unsafe, not Unimplemented: a method that the contract has and this package lacks does not compile.
	assessmentv1.UnsafeAssessmentServer

	db     *journal.DB
	schema *store.Schema
	peers  Peers

	sets       *store.Table[*assessmentv1.IndicatorSet]
	campaigns  *store.Table[*assessmentv1.Campaign]
	scorecards *store.Table[*assessmentv1.Scorecard]
	appeals    *store.Table[*assessmentv1.Appeal]
	goals      *store.Table[*assessmentv1.Goal]
}

var _ assessmentv1.AssessmentServer = (*Server)(nil)

// New returns a server that keeps its rows in db and reads facts from its peers.
func New(db *journal.DB, peers Peers) *Server {
	schema := store.NewSchema("assessment")
	return &Server{
		schema:     schema,
		db:         db,
		peers:      peers,
		sets:       store.Declare[*assessmentv1.IndicatorSet](schema),
		campaigns:  store.Declare[*assessmentv1.Campaign](schema),
		scorecards: store.Declare[*assessmentv1.Scorecard](schema),
		appeals:    store.Declare(schema, appealsByCampaign),
		goals:      store.Declare[*assessmentv1.Goal](schema),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { assessmentv1.RegisterAssessmentServer(r, s) }

// Schema returns what the service keeps in its store.
func (s *Server) Schema() *store.Schema { return s.schema }
