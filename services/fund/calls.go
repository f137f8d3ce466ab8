package fund

import (
	"context"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
)

// CreateCall implements the SpecialFund service.
func (s *Server) CreateCall(ctx context.Context, req *fundv1.CreateCallRequest) (*fundv1.Call, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*fundv1.Call, error) {
		c := record.New(req.GetCall(), "calls/"+req.GetCallId())
		c.State = CallLifecycle.Initial
		if placeOf(c.GetLine()).Year != req.GetCallId()[:4] {
			return nil, yearMismatch(c.GetName(), c.GetLine())
		}
		if err := checkCall(c); err != nil {
			return nil, err
		}
		if _, err := record.Refer(tx, s.lines, "call.line", c.GetLine()); err != nil {
			return nil, err
		}
		return record.Create(tx, s.calls, c)
	})
}

// GetCall implements the SpecialFund service.
func (s *Server) GetCall(ctx context.Context, req *fundv1.GetCallRequest) (*fundv1.Call, error) {
	return record.Get(ctx, s.db, s.calls, req.GetName())
}

// ListCalls implements the SpecialFund service.
func (s *Server) ListCalls(ctx context.Context, req *fundv1.ListCallsRequest) (*fundv1.ListCallsResponse, error) {
	rows, next, err := record.List(ctx, s.db, s.calls, "calls/", req)
	if err != nil {
		return nil, err
	}
	return &fundv1.ListCallsResponse{Calls: rows, NextPageToken: next}, nil
}

// UpdateCall implements the SpecialFund service.
func (s *Server) UpdateCall(ctx context.Context, req *fundv1.UpdateCallRequest) (*fundv1.Call, error) {
	return record.Patch(ctx, s.db, s.calls, req, req.GetCall(), func(_ *journal.Tx, before, after *fundv1.Call) error {
		if before.GetState() != fundv1.Call_STATE_DRAFT {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return checkCall(after)
	})
}

// OpenCall implements the SpecialFund service.
func (s *Server) OpenCall(ctx context.Context, req *fundv1.OpenCallRequest) (*fundv1.Call, error) {
	return record.Follow(ctx, s.db, s.calls, req, CallLifecycle, "open", nil)
}

// CloseCall implements the SpecialFund service.
func (s *Server) CloseCall(ctx context.Context, req *fundv1.CloseCallRequest) (*fundv1.Call, error) {
	return record.Follow(ctx, s.db, s.calls, req, CallLifecycle, "close", nil)
}

// checkCall holds a call against the rules that concern several of its fields.
func checkCall(c *fundv1.Call) error {
	var shares int64
	for _, p := range c.GetTranchePlan() {
		shares += int64(p.GetShareBp())
	}
	switch {
	case shares != 10000:
		return sharesNotWhole(shares)
	case c.GetRateBp()+c.GetKeyTownExtraBp() > 10000:
		return rateTooHigh()
	}
	return checkPeriod("call.open_date", c.GetOpenDate(), "call.close_date", c.GetCloseDate())
}

// checkPeriod refuses days that the calendar does not have, and a period that ends before it begins.
func checkPeriod(startField string, start *date.Date, endField string, end *date.Date) error {
	switch {
	case !civil.Valid(start):
		return fault.NotADate(startField)
	case !civil.Valid(end):
		return fault.NotADate(endField)
	case civil.Compare(end, start) < 0:
		return datesReversed(startField, endField)
	}
	return nil
}
