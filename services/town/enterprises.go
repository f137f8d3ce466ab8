package town

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreateEnterprise implements the TownRegistry service.
func (s *Server) CreateEnterprise(ctx context.Context, req *townv1.CreateEnterpriseRequest) (*townv1.Enterprise, error) {
	if err := record.CheckCreditCode("enterprise_id", req.GetEnterpriseId()); err != nil {
		return nil, err
	}
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Enterprise, error) {
		if err := s.checkTown(tx, req.GetParent()); err != nil {
			return nil, err
		}
		e := record.New(req.GetEnterprise(), req.GetParent()+"/enterprises/"+req.GetEnterpriseId())
		if err := checkEnterprise(tx, nil, e); err != nil {
			return nil, err
		}
		return record.Create(tx, s.enterprises, e)
	})
}

// GetEnterprise implements the TownRegistry service.
func (s *Server) GetEnterprise(ctx context.Context, req *townv1.GetEnterpriseRequest) (*townv1.Enterprise, error) {
	return record.Get(ctx, s.db, s.enterprises, req.GetName())
}

// ListEnterprises implements the TownRegistry service.
func (s *Server) ListEnterprises(ctx context.Context, req *townv1.ListEnterprisesRequest) (*townv1.ListEnterprisesResponse, error) {
	enterprises, next, err := record.List(ctx, s.db, s.enterprises, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListEnterprisesResponse{Enterprises: enterprises, NextPageToken: next}, nil
}

// UpdateEnterprise implements the TownRegistry service.
func (s *Server) UpdateEnterprise(ctx context.Context, req *townv1.UpdateEnterpriseRequest) (*townv1.Enterprise, error) {
	return record.Patch(ctx, s.db, s.enterprises, req, req.GetEnterprise(), checkEnterprise)
}

// DeleteEnterprise implements the TownRegistry service.
func (s *Server) DeleteEnterprise(ctx context.Context, req *townv1.DeleteEnterpriseRequest) (*emptypb.Empty, error) {
	return record.Delete(ctx, s.db, s.enterprises, req)
}

// checkEnterprise is the rule of what an enterprise may become.
func checkEnterprise(_ *journal.Tx, _, after *townv1.Enterprise) error {
	return record.CheckDate("enterprise.join_date", after.GetJoinDate())
}
