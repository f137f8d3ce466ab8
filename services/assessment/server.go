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

	db    *journal.DB
	peers Peers

	sets       *store.Table[*assessmentv1.IndicatorSet]
	campaigns  *store.Table[*assessmentv1.Campaign]
	scorecards *store.Table[*assessmentv1.Scorecard]
	appeals    *store.Table[*assessmentv1.Appeal]
	goals      *store.Table[*assessmentv1.Goal]
}

var _ assessmentv1.AssessmentServer = (*Server)(nil)

// New returns a server that keeps its rows in db and reads facts from its peers.
func New(db *journal.DB, peers Peers) *Server {
	return &Server{
		db:         db,
		peers:      peers,
		sets:       store.NewTable[*assessmentv1.IndicatorSet](),
		campaigns:  store.NewTable[*assessmentv1.Campaign](),
		scorecards: store.NewTable[*assessmentv1.Scorecard](),
		appeals:    store.NewTable(appealsByCampaign),
		goals:      store.NewTable[*assessmentv1.Goal](),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { assessmentv1.RegisterAssessmentServer(r, s) }
