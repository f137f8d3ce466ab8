package town

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town/totals"
)

// Totals are rows like any other: they change in the transaction that publishes, revises or moves what they sum, and go
// into the journal with it. So replaying the journal gives them back without knowing what they mean, and whoever follows
// it sees them change. At every revision a total is what adding up the figures in force would give.
//
// The name puts them in the order of the answer, and a division with everything below it under one prefix:
// periods/2022/totals/140525-1.

func totalsOf(period, scope string) string { return "periods/" + period + "/totals/" + scope }

func totalName(period, division string, field townv1.Field) string {
	return totalsOf(period, fmt.Sprintf("%s-%d", division, field))
}

// recount takes figures of a town out of the total of a period and puts others in. Either may be nil.
func (s *Server) recount(tx *journal.Tx, period string, town *townv1.Town, out, in *townv1.Figures) error {
	name := totalName(period, town.GetDivision(), town.GetField())
	t, err := s.totals.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) {
		t, err = &townv1.Total{Name: name, Period: period, Division: town.GetDivision(), Field: town.GetField()}, nil
	}
	if err != nil {
		return err
	}
	if out != nil {
		if err := totals.Leave(t, out); err != nil {
			return sumFault(err)
		}
	}
	if in != nil {
		if err := totals.Enter(t, in); err != nil {
			return sumFault(err)
		}
	}
	if t.GetTownCount() == 0 {
		return s.totals.Delete(tx, name)
	}
	if err := s.totals.Put(tx, t); err != nil {
		return err
	}
	// The sum of all is checked here, where it can be refused, so that no summary ever fails for it.
	_, err = s.sum(tx, period, "")
	return err
}

// moveFigures is what becomes of the totals when a town changes: with another field, its published figures count there.
func (s *Server) moveFigures(tx *journal.Tx, before, after *townv1.Town) error {
	if before.GetField() == after.GetField() {
		return nil
	}
	var published []*townv1.Report
	for r, err := range s.reports.Scan(tx, before.GetName()+"/reports/", "") {
		if err != nil {
			return err
		}
		if inForce(r) != nil {
			published = append(published, r)
		}
	}
	for _, r := range published {
		if err := s.recount(tx, r.GetPeriod(), before, inForce(r), nil); err != nil {
			return err
		}
		if err := s.recount(tx, r.GetPeriod(), after, nil, inForce(r)); err != nil {
			return err
		}
	}
	return nil
}

// summarize answers the totals of a period in the divisions that begin with scope.
func (s *Server) summarize(ctx context.Context, period, scope string) (res *townv1.SummarizeReportsResponse, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		res, err = s.sum(r, period, scope)
		return err
	})
	return res, err
}

func (s *Server) sum(r store.Reader, period, scope string) (*townv1.SummarizeReportsResponse, error) {
	res := &townv1.SummarizeReportsResponse{}
	for t, err := range s.totals.Scan(r, totalsOf(period, scope), "") {
		if err != nil {
			return nil, err
		}
		res.Totals = append(res.Totals, t)
	}
	var err error
	if res.Sum, res.TownCount, err = totals.Sum(res.Totals); err != nil {
		return nil, sumFault(err)
	}
	return res, nil
}

// townOf returns the name of the town that a resource stands under.
func townOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return parts[0] + "/" + parts[1]
}
