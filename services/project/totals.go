package project

import (
	"context"
	"errors"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project/tally"
)

// count keeps the total of a project's division: it takes the project out as it was before, if it was there, and puts it
// in as it is now. The verb is the step that it took, empty if it took none.
func (s *Server) count(tx *journal.Tx, before, after *projectv1.Project, verb string) error {
	division := authz.DivisionOf(after.GetName())
	total, err := s.totals.Get(tx, "divisionTotals/"+division)
	if errors.Is(err, store.ErrNotFound) {
		total, err = &projectv1.DivisionTotal{Name: "divisionTotals/" + division, Division: division}, nil
	}
	if err != nil {
		return err
	}
	if before != nil {
		if err := tally.Leave(total, before); err != nil {
			return err
		}
	}
	if err := tally.Enter(total, after); err != nil {
		return sumFault(err)
	}
	tally.Took(total, civil.DateOf(tx.Now()).GetYear(), verb)
	return s.totals.Put(tx, total)
}

// SummarizeProjects implements the ProjectTracking service.
func (s *Server) SummarizeProjects(ctx context.Context, req *projectv1.SummarizeProjectsRequest) (*projectv1.SummarizeProjectsResponse, error) {
	var totals []*projectv1.DivisionTotal
	err := s.db.View(ctx, func(r store.Reader) error {
		totals = nil
		for total, err := range s.totals.Scan(r, authz.Rows(ctx, "divisionTotals", req.GetDivision()), "") {
			if err != nil {
				return err
			}
			totals = append(totals, total)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sum, err := tally.Sum(totals)
	if err != nil {
		return nil, sumFault(err)
	}
	return &projectv1.SummarizeProjectsResponse{Totals: totals, Sum: sum}, nil
}
