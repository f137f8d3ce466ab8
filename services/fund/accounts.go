package fund

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/page"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// post makes a move in the books, for an amount of the money of a line or budget, as the step of a resource. It is the
// only thing that writes accounts and transfers.
func (s *Server) post(ctx context.Context, tx *journal.Tx, m ledger.Move, of, cause string, amountFen int64) error {
	place := placeOf(of)
	t := m.Transfer(place, strings.Join(ids(cause), "-"), amountFen)
	books := ledger.NewBooks()
	var rows []*fundv1.Account
	for _, stage := range []ledger.Stage{m.From, m.To} {
		row, err := s.account(tx, place, stage)
		if err != nil {
			return err
		}
		rows = append(rows, row)
		books.Accounts[lastID(row.GetName())] = bookAccount(row)
	}
	if err := s.readPosted(tx, books, t); err != nil {
		return err
	}
	if err := books.Post(t); err != nil {
		return postingFault(err)
	}
	for _, row := range rows {
		if err := s.saveAccount(tx, row, books.Accounts[lastID(row.GetName())]); err != nil {
			return err
		}
	}
	number, err := s.nextNumber(tx)
	if err != nil {
		return err
	}
	row := &fundv1.Transfer{
		Name:             rows[0].GetName() + "/transfers/" + t.ID,
		Cause:            cause,
		ReversedTransfer: t.Reverses,
		Principal:        authn.FromContext(ctx).Name,
		PostTime:         timestamppb.New(tx.Now()),
		Number:           number,
	}
	for _, leg := range t.Legs {
		row.Legs = append(row.Legs, &fundv1.Leg{Account: "accounts/" + leg.Account, DebitFen: leg.DebitFen, CreditFen: leg.CreditFen})
	}
	return s.transfers.Create(tx, row)
}

// account reads the account of a place at a stage. One that nothing has touched yet is empty and not stored.
func (s *Server) account(r store.Reader, p ledger.Place, stage ledger.Stage) (*fundv1.Account, error) {
	name := "accounts/" + p.Account(stage)
	row, err := s.accounts.Get(r, name)
	if !errors.Is(err, store.ErrNotFound) {
		return row, err
	}
	row = &fundv1.Account{Name: name, Budget: "budgets/" + p.Year, Stage: fundv1.Stage(stage)}
	if line := p.At(stage).Line; line != "" {
		row.Line = row.GetBudget() + "/lines/" + line
	}
	return row, nil
}

func bookAccount(row *fundv1.Account) ledger.Account {
	return ledger.Account{
		Year:      lastID(row.GetBudget()),
		Stage:     ledger.Stage(row.GetStage()),
		DebitFen:  row.GetDebitFen(),
		CreditFen: row.GetCreditFen(),
		Transfers: row.GetTransferCount(),
	}
}

func (s *Server) saveAccount(tx *journal.Tx, row *fundv1.Account, a ledger.Account) (err error) {
	row.BalanceFen, row.DebitFen, row.CreditFen, row.TransferCount = a.BalanceFen(), a.DebitFen, a.CreditFen, a.Transfers
	if row.GetEtag() == "" { // not stored yet
		_, err = record.Create(tx, s.accounts, row)
	} else {
		_, err = record.Save(tx, s.accounts, row)
	}
	return err
}

// readPosted puts into the books what a transfer is held against: one of its own identifier, the one that it reverses,
// and what has reversed that before.
func (s *Server) readPosted(r store.Reader, books *ledger.Books, t ledger.Transfer) error {
	for _, id := range []string{t.ID, t.Reverses} {
		if id == "" {
			continue
		}
		posted, err := first(s.transfers.ScanIndex(r, transfersByID.Name, id, ""))
		if err != nil {
			return err
		}
		if posted == nil {
			continue
		}
		entry := ledger.Transfer{ID: id, Reverses: posted.GetReversedTransfer()}
		for _, leg := range posted.GetLegs() {
			entry.Legs = append(entry.Legs, ledger.Leg{
				Account: lastID(leg.GetAccount()), DebitFen: leg.GetDebitFen(), CreditFen: leg.GetCreditFen(),
			})
		}
		books.Transfers[id] = entry
	}
	if t.Reverses == "" {
		return nil
	}
	by, err := first(s.transfers.ScanIndex(r, transfersByReversed.Name, t.Reverses, ""))
	if err == nil && by != nil {
		books.Reversals[t.Reverses] = lastID(by.GetName())
	}
	return err
}

// nextNumber returns the number of the next transfer.
func (s *Server) nextNumber(r store.Reader) (int64, error) {
	last, err := first(s.transfers.ScanIndexRange(r, transfersByNumber.Name, "", "", store.Descending))
	return last.GetNumber() + 1, err
}

// GetAccount implements the SpecialFund service.
func (s *Server) GetAccount(ctx context.Context, req *fundv1.GetAccountRequest) (*fundv1.Account, error) {
	return record.Get(ctx, s.db, s.accounts, req.GetName())
}

// ListAccounts implements the SpecialFund service.
func (s *Server) ListAccounts(ctx context.Context, req *fundv1.ListAccountsRequest) (*fundv1.ListAccountsResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.accounts, accountsOf(req.GetBudget()), req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListAccountsResponse{Accounts: rows, NextPageToken: next}, nil
}

// accountsOf returns what the names of the accounts of a budget begin with, or of all if it is empty.
func accountsOf(budget string) string {
	if budget == "" {
		return "accounts/"
	}
	return "accounts/" + lastID(budget) + "-"
}

// GetTransfer implements the SpecialFund service.
func (s *Server) GetTransfer(ctx context.Context, req *fundv1.GetTransferRequest) (t *fundv1.Transfer, err error) {
	account := "accounts/" + ids(req.GetName())[0]
	err = s.db.View(ctx, func(r store.Reader) error {
		t, err = first(s.transfers.ScanIndex(r, transfersByID.Name, lastID(req.GetName()), ""))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(t.GetLegs(), func(l *fundv1.Leg) bool { return l.GetAccount() == account }) {
		return nil, fault.NotFound(req.GetName())
	}
	t.Name = req.GetName()
	return t, nil
}

// ListTransfers implements the SpecialFund service.
func (s *Server) ListTransfers(ctx context.Context, req *fundv1.ListTransfersRequest) (res *fundv1.ListTransfersResponse, err error) {
	start, err := page.Start(req)
	if err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(r store.Reader) error {
		res = &fundv1.ListTransfersResponse{}
		if _, err := record.Load(r, s.accounts, req.GetParent()); err != nil {
			return err
		}
		from, to := req.GetParent()+"/"+start, req.GetParent()+"/~" // digits come before ~
		for t, err := range s.transfers.ScanIndexRange(r, transfersByAccount.Name, from, to, store.Ascending) {
			if err != nil {
				return err
			}
			if len(res.GetTransfers()) == page.Size(req) {
				res.NextPageToken = page.Token(req, padded(t.GetNumber()))
				return nil
			}
			t.Name = req.GetParent() + "/transfers/" + lastID(t.GetName())
			res.Transfers = append(res.Transfers, t)
		}
		return nil
	})
	return res, err
}

// ComputeTrialBalance implements the SpecialFund service.
func (s *Server) ComputeTrialBalance(ctx context.Context, req *fundv1.ComputeTrialBalanceRequest) (*fundv1.ComputeTrialBalanceResponse, error) {
	var trial ledger.Trial
	err := s.db.View(ctx, func(r store.Reader) error {
		trial = ledger.Trial{}
		if _, err := record.Load(r, s.budgets, req.GetBudget()); err != nil {
			return err
		}
		for row, err := range s.accounts.Scan(r, accountsOf(req.GetBudget()), "") {
			if err != nil {
				return err
			}
			if err := trial.Add(bookAccount(row)); err != nil {
				return postingFault(err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res := &fundv1.ComputeTrialBalanceResponse{
		Budget:     req.GetBudget(),
		DebitFen:   trial.Total.DebitFen,
		CreditFen:  trial.Total.CreditFen,
		BalanceFen: trial.Total.BalanceFen(),
	}
	for _, stage := range ledger.Stages {
		sum := trial.ByStage[stage]
		res.Rows = append(res.Rows, &fundv1.TrialBalanceRow{
			Stage: fundv1.Stage(stage), DebitFen: sum.DebitFen, CreditFen: sum.CreditFen, BalanceFen: sum.BalanceFen(),
		})
	}
	return res, nil
}
