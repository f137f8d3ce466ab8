package fund

import (
	"context"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// CreateRecovery implements the SpecialFund service.
func (s *Server) CreateRecovery(ctx context.Context, req *fundv1.CreateRecoveryRequest) (*fundv1.Recovery, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Recovery, error) {
		r := record.New(req.GetRecovery(), "recoveries/"+req.GetRecoveryId())
		r.State = RecoveryLifecycle.Initial
		if err := record.CheckDivision("recovery.award", r.GetAward(), r.GetName()); err != nil {
			return nil, err
		}
		if err := record.CheckDate("recovery.due_date", r.GetDueDate()); err != nil {
			return nil, err
		}
		award, err := record.Refer(tx, s.awards, "recovery.award", r.GetAward())
		if err != nil {
			return nil, err
		}
		if open := openToDemand(award); r.GetAmountFen() > open {
			return nil, notPaidSoMuch(award.GetName(), open)
		}
		award.DemandedFen += r.GetAmountFen() // a part of what was paid, which fits
		if _, err := record.Save(tx, s.awards, award); err != nil {
			return nil, err
		}
		return record.Create(tx, s.recoveries, r)
	})
}

// GetRecovery implements the SpecialFund service.
func (s *Server) GetRecovery(ctx context.Context, req *fundv1.GetRecoveryRequest) (*fundv1.Recovery, error) {
	return record.Get(ctx, s.db, s.recoveries, req.GetName())
}

// ListRecoveries implements the SpecialFund service.
func (s *Server) ListRecoveries(ctx context.Context, req *fundv1.ListRecoveriesRequest) (*fundv1.ListRecoveriesResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.recoveries, authz.Rows(ctx, "recoveries", req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListRecoveriesResponse{Recoveries: rows, NextPageToken: next}, nil
}

// UpdateRecovery implements the SpecialFund service.
func (s *Server) UpdateRecovery(ctx context.Context, req *fundv1.UpdateRecoveryRequest) (*fundv1.Recovery, error) {
	return record.Patch(ctx, s.db, s.recoveries, req, req.GetRecovery(), func(_ *journal.Tx, before, after *fundv1.Recovery) error {
		if before.GetState() != fundv1.Recovery_STATE_DEMANDED {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return record.CheckDate("recovery.due_date", after.GetDueDate())
	})
}

// ReceiveRecovery implements the SpecialFund service.
func (s *Server) ReceiveRecovery(ctx context.Context, req *fundv1.ReceiveRecoveryRequest) (*fundv1.Recovery, error) {
	number := (*fundv1.Recovery).GetBankReference
	return takeReceipt(ctx, s.db, s.recoveries, req, number, func(tx *journal.Tx, r *fundv1.Recovery) (err error) {
		if err := record.Advance(ctx, tx, req, RecoveryLifecycle, "receive", r); err != nil {
			return err
		}
		r.BankReference = req.GetBankReference()
		if r.ReceiveDate, err = bankDay(tx, "receive_date", req.GetReceiveDate()); err != nil {
			return err
		}
		award, err := record.Load(tx, s.awards, r.GetAward())
		if err != nil {
			return err
		}
		award.DemandedFen -= r.GetAmountFen()
		award.RecoveredFen += r.GetAmountFen() // a part of what was paid, which fits
		if _, err := record.Save(tx, s.awards, award); err != nil {
			return err
		}
		return s.post(ctx, tx, ledger.Recover, award.GetLine(), r.GetName(), r.GetAmountFen())
	})
}

// CancelRecovery implements the SpecialFund service.
func (s *Server) CancelRecovery(ctx context.Context, req *fundv1.CancelRecoveryRequest) (*fundv1.Recovery, error) {
	return record.Follow(ctx, s.db, s.recoveries, req, RecoveryLifecycle, "cancel", func(tx *journal.Tx, r *fundv1.Recovery) error {
		award, err := record.Load(tx, s.awards, r.GetAward())
		if err != nil {
			return err
		}
		award.DemandedFen -= r.GetAmountFen()
		_, err = record.Save(tx, s.awards, award)
		return err
	})
}
