package fund

import (
	"context"
	"errors"
	"fmt"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/reconcile"
)

// CreateStatement implements the SpecialFund service.
func (s *Server) CreateStatement(ctx context.Context, req *fundv1.CreateStatementRequest) (*fundv1.Statement, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Statement, error) {
		st := record.New(req.GetStatement(), "statements/"+req.GetStatementId())
		if err := checkPeriod("statement.start_date", st.GetStartDate(), "statement.end_date", st.GetEndDate()); err != nil {
			return nil, err
		}
		for i, line := range st.GetLines() {
			if !civil.Valid(line.GetDate()) {
				return nil, fault.NotADate(fmt.Sprintf("statement.lines[%d].date", i))
			}
		}
		books, err := s.readBooks(tx, st)
		if err != nil {
			return nil, err
		}
		if err := reconcile.Compare(st, books); err != nil {
			return nil, postingFault(err)
		}
		return record.Create(tx, s.statements, st)
	})
}

// readBooks reads what a statement is compared with: the disbursements that it names, and those sent or returned in its
// period.
func (s *Server) readBooks(r store.Reader, st *fundv1.Statement) (reconcile.Books, error) {
	books := reconcile.Books{Named: map[string]*fundv1.Disbursement{}}
	for _, line := range st.GetLines() {
		d, err := s.disbursements.Get(r, line.GetDisbursement())
		switch {
		case err == nil:
			books.Named[d.GetName()] = d
		case !errors.Is(err, store.ErrNotFound):
			return books, err
		}
	}
	from, to := civil.Text(st.GetStartDate()), civil.Text(st.GetEndDate())+"~" // the last day is in the range
	for d, err := range s.disbursements.ScanIndexRange(r, disbursementsBySendDate.Name, from, to, store.Ascending) {
		if err != nil {
			return books, err
		}
		books.Sent = append(books.Sent, d)
	}
	for d, err := range s.disbursements.ScanIndexRange(r, disbursementsByReturnDate.Name, from, to, store.Ascending) {
		if err != nil {
			return books, err
		}
		books.Returned = append(books.Returned, d)
	}
	return books, nil
}

// GetStatement implements the SpecialFund service.
func (s *Server) GetStatement(ctx context.Context, req *fundv1.GetStatementRequest) (*fundv1.Statement, error) {
	return record.Get(ctx, s.db, s.statements, req.GetName())
}

// ListStatements implements the SpecialFund service.
func (s *Server) ListStatements(ctx context.Context, req *fundv1.ListStatementsRequest) (*fundv1.ListStatementsResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.statements, "statements/", req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListStatementsResponse{Statements: rows, NextPageToken: next}, nil
}
