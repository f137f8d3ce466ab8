package town

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreateAsset implements the TownRegistry service.
func (s *Server) CreateAsset(ctx context.Context, req *townv1.CreateAssetRequest) (*townv1.Asset, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Asset, error) {
		if err := s.checkTown(tx, req.GetParent()); err != nil {
			return nil, err
		}
		a := record.New(req.GetAsset(), req.GetParent()+"/assets/"+req.GetAssetId())
		if err := checkAsset(tx, nil, a); err != nil {
			return nil, err
		}
		return record.Create(tx, s.assets, a)
	})
}

// GetAsset implements the TownRegistry service.
func (s *Server) GetAsset(ctx context.Context, req *townv1.GetAssetRequest) (*townv1.Asset, error) {
	return record.Get(ctx, s.db, s.assets, req.GetName())
}

// ListAssets implements the TownRegistry service.
func (s *Server) ListAssets(ctx context.Context, req *townv1.ListAssetsRequest) (*townv1.ListAssetsResponse, error) {
	assets, next, err := record.List(ctx, s.db, s.assets, authz.Rows(ctx, req.GetParent(), req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListAssetsResponse{Assets: assets, NextPageToken: next}, nil
}

// UpdateAsset implements the TownRegistry service.
func (s *Server) UpdateAsset(ctx context.Context, req *townv1.UpdateAssetRequest) (*townv1.Asset, error) {
	return record.Patch(ctx, s.db, s.assets, req, req.GetAsset(), checkAsset)
}

// DeleteAsset implements the TownRegistry service.
func (s *Server) DeleteAsset(ctx context.Context, req *townv1.DeleteAssetRequest) (*emptypb.Empty, error) {
	return record.Delete(ctx, s.db, s.assets, req)
}

// checkAsset is the rule of what an asset may become. Its owner need not be an enterprise of the town: a laboratory may
// belong to a university.
func checkAsset(_ *journal.Tx, _, after *townv1.Asset) error {
	if err := record.CheckCreditCode("asset.owner_code", after.GetOwnerCode()); err != nil {
		return err
	}
	return record.CheckDate("asset.grant_date", after.GetGrantDate())
}
