package fund

import (
	"context"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// CreateBudget implements the SpecialFund service.
func (s *Server) CreateBudget(ctx context.Context, req *fundv1.CreateBudgetRequest) (*fundv1.Budget, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Budget, error) {
		b := record.New(req.GetBudget(), "budgets/"+req.GetBudgetId())
		b.State = BudgetLifecycle.Initial
		if err := sumSources(b); err != nil {
			return nil, err
		}
		return record.Create(tx, s.budgets, b)
	})
}

// GetBudget implements the SpecialFund service.
func (s *Server) GetBudget(ctx context.Context, req *fundv1.GetBudgetRequest) (*fundv1.Budget, error) {
	return record.Get(ctx, s.db, s.budgets, req.GetName())
}

// ListBudgets implements the SpecialFund service.
func (s *Server) ListBudgets(ctx context.Context, req *fundv1.ListBudgetsRequest) (*fundv1.ListBudgetsResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.budgets, "budgets/", req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListBudgetsResponse{Budgets: rows, NextPageToken: next}, nil
}

// UpdateBudget implements the SpecialFund service.
func (s *Server) UpdateBudget(ctx context.Context, req *fundv1.UpdateBudgetRequest) (*fundv1.Budget, error) {
	return record.Patch(ctx, s.db, s.budgets, req, req.GetBudget(), func(_ *journal.Tx, before, after *fundv1.Budget) error {
		if before.GetState() != fundv1.Budget_STATE_DRAFT {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return sumSources(after)
	})
}

// AdoptBudget implements the SpecialFund service.
func (s *Server) AdoptBudget(ctx context.Context, req *fundv1.AdoptBudgetRequest) (*fundv1.Budget, error) {
	return record.Follow(ctx, s.db, s.budgets, req, BudgetLifecycle, "adopt", func(tx *journal.Tx, b *fundv1.Budget) error {
		return s.post(ctx, tx, ledger.Adopt, b.GetName(), b.GetName(), b.GetTotalFen())
	})
}

// CloseBudget implements the SpecialFund service.
func (s *Server) CloseBudget(ctx context.Context, req *fundv1.CloseBudgetRequest) (*fundv1.Budget, error) {
	return record.Follow(ctx, s.db, s.budgets, req, BudgetLifecycle, "close", nil)
}

// sumSources works out the total of a budget.
func sumSources(b *fundv1.Budget) (err error) {
	b.TotalFen = 0
	for _, source := range b.GetSources() {
		if b.TotalFen, err = ledger.Add(b.GetTotalFen(), source.GetAmountFen()); err != nil {
			return postingFault(err)
		}
	}
	return nil
}

// CreateLine implements the SpecialFund service.
func (s *Server) CreateLine(ctx context.Context, req *fundv1.CreateLineRequest) (*fundv1.Line, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Line, error) {
		l := record.New(req.GetLine(), req.GetParent()+"/lines/"+req.GetLineId())
		if err := s.checkAdopted(tx, req.GetParent()); err != nil {
			return nil, err
		}
		l, err := record.Create(tx, s.lines, l)
		if err != nil {
			return nil, err
		}
		if err := s.post(ctx, tx, ledger.Appropriate, l.GetName(), l.GetName(), l.GetAmountFen()); err != nil {
			return nil, err
		}
		if err := s.readBalances(tx, l); err != nil {
			return nil, err
		}
		return record.Save(tx, s.lines, l)
	})
}

// GetLine implements the SpecialFund service.
func (s *Server) GetLine(ctx context.Context, req *fundv1.GetLineRequest) (l *fundv1.Line, err error) {
	err = s.db.View(ctx, func(r store.Reader) error {
		if l, err = record.Load(r, s.lines, req.GetName()); err != nil {
			return err
		}
		return s.readBalances(r, l)
	})
	return l, err
}

// ListLines implements the SpecialFund service.
func (s *Server) ListLines(ctx context.Context, req *fundv1.ListLinesRequest) (*fundv1.ListLinesResponse, error) {
	prefix := "budgets/"
	if req.GetParent() != "budgets/-" {
		prefix = req.GetParent() + "/lines/"
	}
	rows, next, err := record.List(ctx, s.db, s.lines, prefix, req)
	if err != nil {
		return nil, err
	}
	if err := s.db.View(ctx, func(r store.Reader) error { return s.readBalances(r, rows...) }); err != nil {
		return nil, err
	}
	return &fundv1.ListLinesResponse{Lines: rows, NextPageToken: next}, nil
}

// UpdateLine implements the SpecialFund service.
func (s *Server) UpdateLine(ctx context.Context, req *fundv1.UpdateLineRequest) (*fundv1.Line, error) {
	return record.Patch(ctx, s.db, s.lines, req, req.GetLine(), func(tx *journal.Tx, _, after *fundv1.Line) error {
		return s.readBalances(tx, after)
	})
}

// checkAdopted refuses what is only done under an adopted budget.
func (s *Server) checkAdopted(r store.Reader, budget string) error {
	b, err := record.Load(r, s.budgets, budget)
	if err != nil {
		return err
	}
	if b.GetState() != fundv1.Budget_STATE_ADOPTED {
		return budgetNotAdopted(budget, lifecycle.Name(b.GetState()))
	}
	return nil
}

// readBalances fills in where the money of lines is. What a row has stored is how it was when the line itself was last
// written, which the journal keeps; readers are always told how it is now.
func (s *Server) readBalances(r store.Reader, lines ...*fundv1.Line) error {
	for _, l := range lines {
		at := map[ledger.Stage]int64{}
		for _, stage := range ledger.Stages {
			a, err := s.account(r, placeOf(l.GetName()), stage)
			if err != nil {
				return err
			}
			at[stage] = a.GetBalanceFen()
		}
		l.Balances = &fundv1.LineBalances{
			AvailableFen: at[ledger.Available],
			ReservedFen:  at[ledger.Reserved],
			AwardedFen:   at[ledger.Awarded],
			PayableFen:   at[ledger.Payable],
			InTransitFen: at[ledger.InTransit],
			PaidFen:      at[ledger.Paid],
			RecoveredFen: at[ledger.Recovered],
		}
	}
	return nil
}
