package project

import (
	"context"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	"github.com/yizhen/yizhen/services/project/quota"
)

// CreateFactorQuota implements the ProjectTracking service.
func (s *Server) CreateFactorQuota(ctx context.Context, req *projectv1.CreateFactorQuotaRequest) (*projectv1.FactorQuota, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.FactorQuota, error) {
		q := record.New(req.GetFactorQuota(), "factorQuotas/"+req.GetFactorQuotaId())
		setPool(q, quota.Pool{Total: q.GetTotalThousandths()})
		return record.Create(tx, s.quotas, q)
	})
}

// GetFactorQuota implements the ProjectTracking service.
func (s *Server) GetFactorQuota(ctx context.Context, req *projectv1.GetFactorQuotaRequest) (*projectv1.FactorQuota, error) {
	return record.Get(ctx, s.db, s.quotas, req.GetName())
}

// ListFactorQuotas implements the ProjectTracking service.
func (s *Server) ListFactorQuotas(ctx context.Context, req *projectv1.ListFactorQuotasRequest) (*projectv1.ListFactorQuotasResponse, error) {
	rows := authz.Rows(ctx, "factorQuotas", req.GetDivision())
	quotas, next, err := record.ListWhere(ctx, s.db, s.quotas, rows, req, func(q *projectv1.FactorQuota) bool {
		return matches(req.GetFactor(), q.GetFactor())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListFactorQuotasResponse{FactorQuotas: quotas, NextPageToken: next}, nil
}

// UpdateFactorQuota implements the ProjectTracking service.
func (s *Server) UpdateFactorQuota(ctx context.Context, req *projectv1.UpdateFactorQuotaRequest) (*projectv1.FactorQuota, error) {
	return record.Patch(ctx, s.db, s.quotas, req, req.GetFactorQuota(), func(_ *journal.Tx, before, after *projectv1.FactorQuota) error {
		pool, err := poolOf(before).Resize(after.GetTotalThousandths())
		if err != nil {
			return quotaFault(before.GetName(), err)
		}
		setPool(after, pool)
		return nil
	})
}

func poolOf(q *projectv1.FactorQuota) quota.Pool {
	return quota.Pool{Total: q.GetTotalThousandths(), Reserved: q.GetReservedThousandths(), Consumed: q.GetConsumedThousandths()}
}

func setPool(q *projectv1.FactorQuota, p quota.Pool) {
	q.TotalThousandths, q.ReservedThousandths, q.ConsumedThousandths = p.Total, p.Reserved, p.Consumed
	q.AvailableThousandths = p.Available()
}

// CreateFactorRequest implements the ProjectTracking service.
func (s *Server) CreateFactorRequest(ctx context.Context, req *projectv1.CreateFactorRequestRequest) (*projectv1.FactorRequest, error) {
	sent := req.GetFactorRequest()
	if err := record.CheckDivision("factor_request.project", sent.GetProject(), req.GetFactorRequestId()); err != nil {
		return nil, err
	}
	if !covers(authz.DivisionOf(sent.GetFactorQuota()), authz.DivisionOf(sent.GetProject())) {
		return nil, fault.DivisionMismatch("factor_request.factor_quota", sent.GetFactorQuota(), sent.GetProject())
	}
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.FactorRequest, error) {
		p, err := record.Refer(tx, s.projects, "factor_request.project", sent.GetProject())
		if err != nil {
			return nil, err
		}
		if p.GetState() == cancelled {
			return nil, projectCancelled(p.GetName())
		}
		if _, err := record.Refer(tx, s.quotas, "factor_request.factor_quota", sent.GetFactorQuota()); err != nil {
			return nil, err
		}
		r := record.New(sent, "factorRequests/"+req.GetFactorRequestId())
		r.State = FactorRequestLifecycle.Initial
		return record.Create(tx, s.requests, r)
	})
}

// GetFactorRequest implements the ProjectTracking service.
func (s *Server) GetFactorRequest(ctx context.Context, req *projectv1.GetFactorRequestRequest) (*projectv1.FactorRequest, error) {
	return record.Get(ctx, s.db, s.requests, req.GetName())
}

// ListFactorRequests implements the ProjectTracking service.
func (s *Server) ListFactorRequests(ctx context.Context, req *projectv1.ListFactorRequestsRequest) (*projectv1.ListFactorRequestsResponse, error) {
	rows := authz.Rows(ctx, "factorRequests", req.GetDivision())
	requests, next, err := record.ListWhere(ctx, s.db, s.requests, rows, req, func(r *projectv1.FactorRequest) bool {
		return matches(req.GetProject(), r.GetProject()) && matches(req.GetFactorQuota(), r.GetFactorQuota()) &&
			matches(req.GetState(), r.GetState())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListFactorRequestsResponse{FactorRequests: requests, NextPageToken: next}, nil
}

// UpdateFactorRequest implements the ProjectTracking service.
func (s *Server) UpdateFactorRequest(ctx context.Context, req *projectv1.UpdateFactorRequestRequest) (*projectv1.FactorRequest, error) {
	return record.Patch(ctx, s.db, s.requests, req, req.GetFactorRequest(), func(tx *journal.Tx, before, _ *projectv1.FactorRequest) error {
		if before.GetState() != requested {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		_, err := s.going(tx, before.GetProject())
		return err
	})
}

// ReserveFactorRequest implements the ProjectTracking service. A county asks for the city's land, and does not reserve it
// for itself.
func (s *Server) ReserveFactorRequest(ctx context.Context, req *projectv1.ReserveFactorRequestRequest) (*projectv1.FactorRequest, error) {
	return s.stepFactorRequest(ctx, req, "reserve", func(tx *journal.Tx, r *projectv1.FactorRequest) error {
		if own := authz.FromContext(ctx).Division; !covers(own, authz.DivisionOf(r.GetFactorQuota())) {
			return poolElsewhere(r.GetFactorQuota(), own)
		}
		if _, err := s.going(tx, r.GetProject()); err != nil {
			return err
		}
		return s.move(tx, r, quota.Pool.Reserve)
	})
}

// ConsumeFactorRequest implements the ProjectTracking service.
func (s *Server) ConsumeFactorRequest(ctx context.Context, req *projectv1.ConsumeFactorRequestRequest) (*projectv1.FactorRequest, error) {
	return s.stepFactorRequest(ctx, req, "consume", func(tx *journal.Tx, r *projectv1.FactorRequest) error {
		if _, err := s.going(tx, r.GetProject()); err != nil {
			return err
		}
		return s.move(tx, r, quota.Pool.Consume)
	})
}

// ReleaseFactorRequest implements the ProjectTracking service. It is possible after the project is cancelled, too: what
// was set aside for it goes back.
func (s *Server) ReleaseFactorRequest(ctx context.Context, req *projectv1.ReleaseFactorRequestRequest) (*projectv1.FactorRequest, error) {
	return s.stepFactorRequest(ctx, req, "release", func(tx *journal.Tx, r *projectv1.FactorRequest) error {
		return s.move(tx, r, quota.Pool.Release)
	})
}

// RejectFactorRequest implements the ProjectTracking service.
func (s *Server) RejectFactorRequest(ctx context.Context, req *projectv1.RejectFactorRequestRequest) (*projectv1.FactorRequest, error) {
	return s.stepFactorRequest(ctx, req, "reject", nil)
}

// stepFactorRequest takes a step in the life of a request; what it does to the pool, more does.
func (s *Server) stepFactorRequest(ctx context.Context, req record.StepRequest, verb string, more func(*journal.Tx, *projectv1.FactorRequest) error) (*projectv1.FactorRequest, error) {
	return record.Follow(ctx, s.db, s.requests, req, FactorRequestLifecycle, verb, more)
}

// move carries out on the pool of a request what the step does with its quantity.
func (s *Server) move(tx *journal.Tx, r *projectv1.FactorRequest, do func(quota.Pool, int64) (quota.Pool, error)) error {
	q, err := record.Load(tx, s.quotas, r.GetFactorQuota())
	if err != nil {
		return err
	}
	pool, err := do(poolOf(q), r.GetQuantityThousandths())
	if err != nil {
		return quotaFault(q.GetName(), err)
	}
	setPool(q, pool)
	_, err = record.Save(tx, s.quotas, q)
	return err
}
