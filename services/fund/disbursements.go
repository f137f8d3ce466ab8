package fund

import (
	"context"
	"slices"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// CreateDisbursement implements the SpecialFund service.
func (s *Server) CreateDisbursement(ctx context.Context, req *fundv1.CreateDisbursementRequest) (*fundv1.Disbursement, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Disbursement, error) {
		d := record.New(req.GetDisbursement(), "disbursements/"+req.GetDisbursementId())
		d.State = DisbursementLifecycle.Initial
		d.Maker = authn.FromContext(ctx).Name
		if err := record.CheckDivision("disbursement.tranche", d.GetTranche(), d.GetName()); err != nil {
			return nil, err
		}
		t, err := record.Refer(tx, s.tranches, "disbursement.tranche", d.GetTranche())
		switch {
		case err != nil:
			return nil, err
		case t.GetState() != fundv1.Tranche_STATE_PAYABLE:
			return nil, trancheNotPayable(t.GetName(), lifecycle.Name(t.GetState()))
		case t.GetDisbursement() != "":
			return nil, disbursementStands(t.GetName(), t.GetDisbursement())
		}
		d.AmountFen = t.GetAmountFen()
		t.Disbursement = d.GetName()
		if _, err := record.Save(tx, s.tranches, t); err != nil {
			return nil, err
		}
		return record.Create(tx, s.disbursements, d)
	})
}

// GetDisbursement implements the SpecialFund service.
func (s *Server) GetDisbursement(ctx context.Context, req *fundv1.GetDisbursementRequest) (*fundv1.Disbursement, error) {
	return record.Get(ctx, s.db, s.disbursements, req.GetName())
}

// ListDisbursements implements the SpecialFund service.
func (s *Server) ListDisbursements(ctx context.Context, req *fundv1.ListDisbursementsRequest) (*fundv1.ListDisbursementsResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.disbursements, authz.Rows(ctx, "disbursements", req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListDisbursementsResponse{Disbursements: rows, NextPageToken: next}, nil
}

// UpdateDisbursement implements the SpecialFund service.
func (s *Server) UpdateDisbursement(ctx context.Context, req *fundv1.UpdateDisbursementRequest) (*fundv1.Disbursement, error) {
	return record.Patch(ctx, s.db, s.disbursements, req, req.GetDisbursement(), func(_ *journal.Tx, before, _ *fundv1.Disbursement) error {
		switch {
		case before.GetMaker() != authn.FromContext(ctx).Name:
			return notTheMaker(before.GetName(), before.GetMaker())
		case before.GetState() != prepared:
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return nil
	})
}

// CheckDisbursement implements the SpecialFund service.
func (s *Server) CheckDisbursement(ctx context.Context, req *fundv1.CheckDisbursementRequest) (*fundv1.Disbursement, error) {
	return record.Follow(ctx, s.db, s.disbursements, req, DisbursementLifecycle, "check", func(tx *journal.Tx, d *fundv1.Disbursement) (err error) {
		d.Checker, err = newPrincipal(ctx, d)
		return err
	})
}

// SendDisbursement implements the SpecialFund service.
func (s *Server) SendDisbursement(ctx context.Context, req *fundv1.SendDisbursementRequest) (*fundv1.Disbursement, error) {
	return record.Follow(ctx, s.db, s.disbursements, req, DisbursementLifecycle, "send", func(tx *journal.Tx, d *fundv1.Disbursement) (err error) {
		if d.Sender, err = newPrincipal(ctx, d); err != nil {
			return err
		}
		d.SendDate = civil.DateOf(tx.Now())
		return s.follow(ctx, tx, req, "send", d, ledger.Send)
	})
}

// newPrincipal returns the caller, unless it has prepared or checked the disbursement.
func newPrincipal(ctx context.Context, d *fundv1.Disbursement) (string, error) {
	who := authn.FromContext(ctx).Name
	if slices.Contains([]string{d.GetMaker(), d.GetChecker()}, who) {
		return "", samePrincipal(who, d.GetName())
	}
	return who, nil
}

// ConfirmDisbursement implements the SpecialFund service.
func (s *Server) ConfirmDisbursement(ctx context.Context, req *fundv1.ConfirmDisbursementRequest) (*fundv1.Disbursement, error) {
	number := (*fundv1.Disbursement).GetPaymentReference
	return takeReceipt(ctx, s.db, s.disbursements, req, number, func(tx *journal.Tx, d *fundv1.Disbursement) (err error) {
		d.PaymentReference = req.GetBankReference()
		if d.PayDate, err = bankDay(tx, "pay_date", req.GetPayDate()); err != nil {
			return err
		}
		if d.GetState() == fundv1.Disbursement_STATE_RETURNED { // the return overtook the receipt: the money is back already
			d.Decisions = append(d.Decisions, record.Decide(ctx, tx, "confirm", req))
			return nil
		}
		if err := record.Advance(ctx, tx, req, DisbursementLifecycle, "confirm", d); err != nil {
			return err
		}
		return s.follow(ctx, tx, req, "confirm", d, ledger.Confirm)
	})
}

// ReturnDisbursement implements the SpecialFund service.
func (s *Server) ReturnDisbursement(ctx context.Context, req *fundv1.ReturnDisbursementRequest) (*fundv1.Disbursement, error) {
	number := (*fundv1.Disbursement).GetReturnReference
	return takeReceipt(ctx, s.db, s.disbursements, req, number, func(tx *journal.Tx, d *fundv1.Disbursement) (err error) {
		d.ReturnReference = req.GetBankReference()
		if d.ReturnDate, err = bankDay(tx, "return_date", req.GetReturnDate()); err != nil {
			return err
		}
		move := ledger.ReturnSent
		if d.GetState() == fundv1.Disbursement_STATE_PAID {
			move = ledger.ReturnPaid
		}
		if err := record.Advance(ctx, tx, req, DisbursementLifecycle, "return", d); err != nil {
			return err
		}
		return s.follow(ctx, tx, req, "return", d, move)
	})
}

// CancelDisbursement implements the SpecialFund service.
func (s *Server) CancelDisbursement(ctx context.Context, req *fundv1.CancelDisbursementRequest) (*fundv1.Disbursement, error) {
	return record.Follow(ctx, s.db, s.disbursements, req, DisbursementLifecycle, "cancel", func(tx *journal.Tx, d *fundv1.Disbursement) error {
		t, err := record.Load(tx, s.tranches, d.GetTranche())
		if err != nil {
			return err
		}
		t.Disbursement = ""
		_, err = record.Save(tx, s.tranches, t)
		return err
	})
}

// follow takes the tranche of a disbursement along in a step, keeps what its award has paid, and makes the step's move.
func (s *Server) follow(ctx context.Context, tx *journal.Tx, req record.StepRequest, verb string, d *fundv1.Disbursement, m ledger.Move) error {
	t, err := record.Load(tx, s.tranches, d.GetTranche())
	if err != nil {
		return err
	}
	if err := record.Advance(ctx, tx, req, TrancheLifecycle, verb, t); err != nil {
		return err
	}
	if t.GetState() == fundv1.Tranche_STATE_PAYABLE {
		t.Disbursement = ""
	}
	if _, err := record.Save(tx, s.tranches, t); err != nil {
		return err
	}
	award, err := record.Load(tx, s.awards, awardOf(t.GetName()))
	if err != nil {
		return err
	}
	if m.From == ledger.Paid || m.To == ledger.Paid {
		if award.PaidFen, err = paidAfter(award, m, d.GetAmountFen()); err != nil {
			return err
		}
		if _, err := record.Save(tx, s.awards, award); err != nil {
			return err
		}
	}
	return s.post(ctx, tx, m, award.GetLine(), d.GetName(), d.GetAmountFen())
}

// paidAfter returns what an award has paid after a move into or out of what is paid. Money that is demanded back or
// recovered cannot come back from the bank as well.
func paidAfter(award *fundv1.Award, m ledger.Move, amountFen int64) (int64, error) {
	if m.To == ledger.Paid {
		return award.GetPaidFen() + amountFen, nil // a part of the award, which fits
	}
	if open := openToDemand(award); amountFen > open {
		return 0, notPaidSoMuch(award.GetName(), open)
	}
	return award.GetPaidFen() - amountFen, nil
}

// openToDemand is what was paid of an award and is neither demanded back nor recovered.
func openToDemand(award *fundv1.Award) int64 {
	return award.GetPaidFen() - award.GetDemandedFen() - award.GetRecoveredFen()
}

// receipt is a request that brings a receipt of the bank.
type receipt interface {
	record.StepRequest
	GetBankReference() string
}

// takeReceipt takes a step that a receipt of the bank calls for. The same receipt may come again, before or after others:
// it is known by the number that the row has kept of it, and then changes nothing. Another number is a conflict.
func takeReceipt[T record.Resource](ctx context.Context, db *journal.DB, table *store.Table[T], req receipt, number func(T) string, take func(*journal.Tx, T) error) (T, error) {
	return record.Do(ctx, db, req, func(tx *journal.Tx) (T, error) {
		row, err := record.Load(tx, table, req.GetName())
		if err != nil {
			return row, err
		}
		if err := record.CheckETag(row, req.GetEtag()); err != nil {
			return row, err
		}
		switch number(row) {
		case "":
			if err := take(tx, row); err != nil {
				return row, err
			}
			return record.Save(tx, table, row)
		case req.GetBankReference():
			return row, nil
		default:
			return row, receiptConflict(row.GetName(), number(row))
		}
	})
}

// bankDay returns the day on which the bank acted: today if it is not said, and never one to come.
func bankDay(tx *journal.Tx, field string, said *date.Date) (*date.Date, error) {
	today := civil.DateOf(tx.Now())
	switch {
	case said == nil:
		return today, nil
	case !civil.Valid(said):
		return nil, fault.NotADate(field)
	case civil.Compare(said, today) > 0:
		return nil, dateInFuture(field, said)
	}
	return said, nil
}
