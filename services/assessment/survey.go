package assessment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// Bounds of a survey.
const (
	surveyTimeout = 25 * time.Second // a little less than a server gives a call, so that the caller hears who did not answer
	maxTowns      = 200
	maxRows       = 50_000 // of one kind of record
	maxReads      = 8      // at the same time
	maxAttempts   = 3
	maxNews       = 5 // pages of changes that are looked through for one that matters
	pageSize      = 1000
)

// survey is what a collection has found out: the scorecards with their facts, ordered by town, and where each journal
// stood.
type survey struct {
	pins  []*assessmentv1.JournalPin
	cards []*assessmentv1.Scorecard
	// collections is how often the campaign had been collected when the survey began.
	collections int32
}

// survey reads the facts of a period from all services at the same time.
func (s *Server) survey(ctx context.Context, period string) (*survey, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var seen records
	var fund, project, town *assessmentv1.JournalPin
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		fund, err = steady(ctx, s.fundSource(), func(ctx context.Context) (err error) {
			seen.awards, err = s.readAwards(ctx)
			return err
		})
		return err
	})
	g.Go(func() (err error) {
		project, err = steady(ctx, s.projectSource(), func(ctx context.Context) (err error) {
			seen.projects, err = s.readProjects(ctx)
			return err
		})
		return err
	})
	g.Go(func() (err error) {
		town, err = steady(ctx, s.townSource(), func(ctx context.Context) error {
			return s.readRegistry(ctx, period, &seen)
		})
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	pins := []*assessmentv1.JournalPin{fund, project, town}
	cards, err := seen.cards(period, pins)
	return &survey{pins: pins, cards: cards}, err
}

// source is a service that facts are read from.
type source struct {
	service string
	journal journalv1.JournalClient
	// rows is what the names of the resources begin with that are read from it.
	rows string
}

func (s *Server) townSource() source { return source{"town", s.peers.TownJournal, "towns/"} }
func (s *Server) projectSource() source {
	return source{"project", s.peers.ProjectJournal, "projects/"}
}
func (s *Server) fundSource() source { return source{"fund", s.peers.FundJournal, "awards/"} }

// steady reads from a service at one point of its journal, and returns that point. Reading takes several calls; if
// something that matters changed between the first and the last, all is read again.
func steady(ctx context.Context, from source, read func(context.Context) error) (*assessmentv1.JournalPin, error) {
	for range maxAttempts {
		head, err := from.journal.GetHead(ctx, &journalv1.GetHeadRequest{Name: "journals/" + from.service})
		if err != nil {
			return nil, fault.PeerUnavailable(from.service, err)
		}
		pin := &assessmentv1.JournalPin{Service: from.service, Revision: head.GetRevision(), Hash: head.GetHash()}
		if err := read(ctx); err != nil {
			return nil, err
		}
		moved, err := movedSince(ctx, from, pin.GetRevision())
		if err != nil {
			return nil, err
		}
		if !moved {
			return pin, nil
		}
	}
	return nil, sourceChanging(from.service)
}

// movedSince tells whether anything that is read from a service changed after a revision. So many changes that they are
// not looked through count as one that matters.
func movedSince(ctx context.Context, from source, revision int64) (bool, error) {
	req := &journalv1.ListChangesRequest{Parent: "journals/" + from.service, AfterRevision: revision, PageSize: pageSize}
	for range maxNews {
		res, err := from.journal.ListChanges(ctx, req)
		if err != nil {
			return false, fault.PeerUnavailable(from.service, err)
		}
		for _, c := range res.GetChanges() {
			if strings.HasPrefix(c.GetResource(), from.rows) {
				return true, nil
			}
		}
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			return false, nil
		}
	}
	return true, nil
}

// every reads all pages of a list. Also a page that is refused is none of the caller's doing: the suite's own credential is
// at fault.
func every[Row any](service, rows string, page func(token string) ([]Row, string, error)) ([]Row, error) {
	var all []Row
	for token := ""; ; {
		some, next, err := page(token)
		if err != nil {
			return nil, fault.PeerUnavailable(service, err)
		}
		if all = append(all, some...); len(all) > maxRows {
			return nil, sourceTooLarge(rows, maxRows)
		}
		if token = next; token == "" {
			return all, nil
		}
	}
}

func (s *Server) readAwards(ctx context.Context) ([]*fundv1.Award, error) {
	return every("fund", "awards", func(token string) ([]*fundv1.Award, string, error) {
		res, err := s.peers.Fund.ListAwards(ctx, &fundv1.ListAwardsRequest{PageSize: pageSize, PageToken: token})
		return res.GetAwards(), res.GetNextPageToken(), err
	})
}

func (s *Server) readProjects(ctx context.Context) ([]*projectv1.Project, error) {
	return every("project", "projects", func(token string) ([]*projectv1.Project, string, error) {
		res, err := s.peers.Project.ListProjects(ctx, &projectv1.ListProjectsRequest{PageSize: pageSize, PageToken: token})
		return res.GetProjects(), res.GetNextPageToken(), err
	})
}

func (s *Server) readTowns(ctx context.Context) ([]*townv1.Town, error) {
	return every("town", "towns", func(token string) ([]*townv1.Town, string, error) {
		res, err := s.peers.Town.ListTowns(ctx, &townv1.ListTownsRequest{PageSize: pageSize, PageToken: token})
		return res.GetTowns(), res.GetNextPageToken(), err
	})
}

func (s *Server) readDesignations(ctx context.Context) ([]*townv1.Designation, error) {
	return every("town", "designations", func(token string) ([]*townv1.Designation, string, error) {
		res, err := s.peers.Town.ListDesignations(ctx, &townv1.ListDesignationsRequest{Parent: "towns/-", PageSize: pageSize, PageToken: token})
		return res.GetDesignations(), res.GetNextPageToken(), err
	})
}

func (s *Server) readEnterprises(ctx context.Context) ([]*townv1.Enterprise, error) {
	return every("town", "enterprises", func(token string) ([]*townv1.Enterprise, string, error) {
		res, err := s.peers.Town.ListEnterprises(ctx, &townv1.ListEnterprisesRequest{Parent: "towns/-", PageSize: pageSize, PageToken: token})
		return res.GetEnterprises(), res.GetNextPageToken(), err
	})
}

func (s *Server) readAssets(ctx context.Context) ([]*townv1.Asset, error) {
	return every("town", "assets", func(token string) ([]*townv1.Asset, string, error) {
		res, err := s.peers.Town.ListAssets(ctx, &townv1.ListAssetsRequest{Parent: "towns/-", PageSize: pageSize, PageToken: token})
		return res.GetAssets(), res.GetNextPageToken(), err
	})
}

// readRegistry reads what the town service knows: first which towns are assessed, then their records.
func (s *Server) readRegistry(ctx context.Context, period string, seen *records) (err error) {
	if seen.towns, err = s.readTowns(ctx); err != nil {
		return err
	}
	if seen.designations, err = s.readDesignations(ctx); err != nil {
		return err
	}
	assessed := seen.assessed()
	switch {
	case len(assessed) == 0:
		return noTowns()
	case len(assessed) > maxTowns:
		return sourceTooLarge("towns", maxTowns)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxReads)
	g.Go(func() (err error) { seen.enterprises, err = s.readEnterprises(ctx); return err })
	g.Go(func() (err error) { seen.assets, err = s.readAssets(ctx); return err })
	reports := make([][2]*journalv1.Change, len(assessed))
	for i, town := range assessed {
		for j, p := range []string{period, yearBefore(period)} {
			g.Go(func() (err error) { reports[i][j], err = s.readReport(ctx, reportName(town.GetName(), p)); return err })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	seen.reports = map[string]*journalv1.Change{}
	for _, pair := range reports {
		for _, change := range pair {
			if change != nil {
				seen.reports[change.GetResource()] = change
			}
		}
	}
	return nil
}

// readReport reads a report with the change that proves it; nil if there is none.
func (s *Server) readReport(ctx context.Context, name string) (*journalv1.Change, error) {
	change, err := journal.Ask(ctx, s.peers.TownJournal, "town", name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return change, err
}

func reportName(town, period string) string { return town + "/reports/" + period }

// yearBefore returns the same period a year earlier: 2021Q3 for 2022Q3.
func yearBefore(period string) string {
	year, err := strconv.Atoi(period[:4])
	if err != nil {
		return period // the contract's pattern begins with four digits
	}
	return fmt.Sprintf("%04d%s", year-1, period[4:])
}
