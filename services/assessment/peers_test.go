package assessment_test

import (
	"context"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/assessment"
)

// self is the credential with which the assessment calls its peers.
const self = "service/assessment"

// peers are the other services: what this one reads of them, over real journals, without their rules.
type peers struct {
	t testing.TB

	townDB, projectDB, fundDB *journal.DB

	towns        *store.Table[*townv1.Town]
	designations *store.Table[*townv1.Designation]
	enterprises  *store.Table[*townv1.Enterprise]
	assets       *store.Table[*townv1.Asset]
	reports      *store.Table[*townv1.Report]
	calendars    *store.Table[*townv1.HolidayCalendar]
	projects     *store.Table[*projectv1.Project]
	awards       *store.Table[*fundv1.Award]

	// down makes the fund give no answer.
	down atomic.Bool
	// onAssets is called whenever assets are listed.
	onAssets atomic.Pointer[func()]
}

type townPeer struct {
	townv1.UnimplementedTownRegistryServer
	*peers
}
type projectPeer struct {
	projectv1.UnimplementedProjectTrackingServer
	*peers
}
type fundPeer struct {
	fundv1.UnimplementedSpecialFundServer
	*peers
}

func newPeers(t testing.TB, c clock.Clock) *peers {
	return &peers{
		t:            t,
		townDB:       rpctest.OpenDB(t, "town", c),
		projectDB:    rpctest.OpenDB(t, "project", c),
		fundDB:       rpctest.OpenDB(t, "fund", c),
		towns:        store.NewTable[*townv1.Town](),
		designations: store.NewTable[*townv1.Designation](),
		enterprises:  store.NewTable[*townv1.Enterprise](),
		assets:       store.NewTable[*townv1.Asset](),
		reports:      store.NewTable[*townv1.Report](),
		calendars:    store.NewTable[*townv1.HolidayCalendar](),
		projects:     store.NewTable[*projectv1.Project](),
		awards:       store.NewTable[*fundv1.Award](),
	}
}

// serve serves the peers on loopback and returns clients of them.
func (p *peers) serve() assessment.Peers {
	who := func() authn.Principal {
		return authn.Principal{Name: self, Division: "140500", Permissions: []string{
			"town.towns.list", "town.designations.list", "town.enterprises.list", "town.assets.list", "project.projects.list",
			"fund.awards.list", "journal.heads.get", "journal.changes.get", "journal.changes.list",
		}}
	}
	town := rpctest.Serve(p.t, p.townDB, func(r grpc.ServiceRegistrar) {
		townv1.RegisterTownRegistryServer(r, townPeer{peers: p})
	}, who()).As(self)
	project := rpctest.Serve(p.t, p.projectDB, func(r grpc.ServiceRegistrar) {
		projectv1.RegisterProjectTrackingServer(r, projectPeer{peers: p})
	}, who()).As(self)
	fund := rpctest.Serve(p.t, p.fundDB, func(r grpc.ServiceRegistrar) {
		fundv1.RegisterSpecialFundServer(r, fundPeer{peers: p})
	}, who()).As(self)
	return assessment.Peers{
		Town: townv1.NewTownRegistryClient(town), TownJournal: journalv1.NewJournalClient(town),
		Project: projectv1.NewProjectTrackingClient(project), ProjectJournal: journalv1.NewJournalClient(project),
		Fund: fundv1.NewSpecialFundClient(fund), FundJournal: journalv1.NewJournalClient(fund),
	}
}

func (p townPeer) ListTowns(ctx context.Context, req *townv1.ListTownsRequest) (*townv1.ListTownsResponse, error) {
	rows, next, err := record.List(ctx, p.townDB, p.towns, authz.Rows(ctx, "towns", req.GetDivision()), req)
	return &townv1.ListTownsResponse{Towns: rows, NextPageToken: next}, err
}

func (p townPeer) ListDesignations(ctx context.Context, req *townv1.ListDesignationsRequest) (*townv1.ListDesignationsResponse, error) {
	rows, next, err := record.List(ctx, p.townDB, p.designations, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	return &townv1.ListDesignationsResponse{Designations: rows, NextPageToken: next}, err
}

func (p townPeer) ListEnterprises(ctx context.Context, req *townv1.ListEnterprisesRequest) (*townv1.ListEnterprisesResponse, error) {
	rows, next, err := record.List(ctx, p.townDB, p.enterprises, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	return &townv1.ListEnterprisesResponse{Enterprises: rows, NextPageToken: next}, err
}

func (p townPeer) ListAssets(ctx context.Context, req *townv1.ListAssetsRequest) (*townv1.ListAssetsResponse, error) {
	if call := p.onAssets.Load(); call != nil {
		(*call)()
	}
	rows, next, err := record.List(ctx, p.townDB, p.assets, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	return &townv1.ListAssetsResponse{Assets: rows, NextPageToken: next}, err
}

func (p projectPeer) ListProjects(ctx context.Context, req *projectv1.ListProjectsRequest) (*projectv1.ListProjectsResponse, error) {
	rows, next, err := record.List(ctx, p.projectDB, p.projects, authz.Rows(ctx, "projects", req.GetDivision()), req)
	return &projectv1.ListProjectsResponse{Projects: rows, NextPageToken: next}, err
}

func (p fundPeer) ListAwards(ctx context.Context, req *fundv1.ListAwardsRequest) (*fundv1.ListAwardsResponse, error) {
	if p.down.Load() {
		return nil, status.Error(codes.Unavailable, "the fund is down for this test")
	}
	rows, next, err := record.List(ctx, p.fundDB, p.awards, authz.Rows(ctx, "awards", req.GetDivision()), req)
	return &fundv1.ListAwardsResponse{Awards: rows, NextPageToken: next}, err
}

// put stores rows in a peer.
func put[T store.Row](p *peers, db *journal.DB, table *store.Table[T], rows ...T) {
	p.t.Helper()
	err := db.Update(context.Background(), journal.Origin{Actor: "test"}, func(tx *journal.Tx) error {
		for _, row := range rows {
			if err := table.Put(tx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// town enters a town that holds the municipal designation.
func (p *peers) town(name string, field townv1.Field) {
	p.t.Helper()
	put(p, p.townDB, p.towns, &townv1.Town{Name: name, Division: name[6:12], Field: field, TitleZh: "镇", TitleEn: "Town " + name[6:]})
	p.designation(name, townv1.Level_LEVEL_MUNICIPAL, townv1.Designation_STATE_DESIGNATED)
}

func (p *peers) designation(town string, level townv1.Level, state townv1.Designation_State) {
	p.t.Helper()
	id := "municipal"
	if level == townv1.Level_LEVEL_PROVINCIAL {
		id = "provincial"
	}
	put(p, p.townDB, p.designations, &townv1.Designation{Name: town + "/designations/" + id, Level: level, State: state})
}

// publish publishes figures, above those that were published before.
func (p *peers) publish(town, period string, f *townv1.Figures) {
	p.t.Helper()
	name := town + "/reports/" + period
	report := &townv1.Report{Name: name, Period: period}
	err := p.townDB.View(context.Background(), func(r store.Reader) error {
		if before, err := p.reports.Get(r, name); err == nil {
			report = proto.Clone(before).(*townv1.Report)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	report.State = townv1.Report_STATE_PUBLISHED
	report.Publications = append(report.Publications, &townv1.Publication{Figures: f})
	put(p, p.townDB, p.reports, report)
}

// latest returns the last change of a resource of the town service.
func (p *peers) latest(resource string) (c *journalv1.Change, err error) {
	err = p.townDB.View(context.Background(), func(r store.Reader) error {
		c, err = journal.Latest(r, resource)
		return err
	})
	return c, err
}
