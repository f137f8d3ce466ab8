package town

import (
	"context"
	"strings"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// CreateTown implements the TownRegistry service.
func (s *Server) CreateTown(ctx context.Context, req *townv1.CreateTownRequest) (*townv1.Town, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Town, error) {
		town := record.New(req.GetTown(), "towns/"+req.GetTownId())
		if !strings.HasPrefix(req.GetTownId(), town.GetDivision()+"-") {
			return nil, fault.IdentifierMismatch("town_id", req.GetTownId(), town.GetDivision())
		}
		if err := s.checkCounty(tx, town.GetDivision()); err != nil {
			return nil, err
		}
		return record.Create(tx, s.towns, town)
	})
}

// GetTown implements the TownRegistry service.
func (s *Server) GetTown(ctx context.Context, req *townv1.GetTownRequest) (*townv1.Town, error) {
	return record.Get(ctx, s.db, s.towns, req.GetName())
}

// ListTowns implements the TownRegistry service.
func (s *Server) ListTowns(ctx context.Context, req *townv1.ListTownsRequest) (*townv1.ListTownsResponse, error) {
	towns, next, err := record.List(ctx, s.db, s.towns, authz.Rows(ctx, "towns", req.GetDivision()), req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListTownsResponse{Towns: towns, NextPageToken: next}, nil
}

// UpdateTown implements the TownRegistry service. A town that changes its field takes its published figures with it.
func (s *Server) UpdateTown(ctx context.Context, req *townv1.UpdateTownRequest) (*townv1.Town, error) {
	return record.Patch(ctx, s.db, s.towns, req, req.GetTown(), s.moveFigures)
}

// checkCounty refuses a division that is not loaded, or no county or district.
func (s *Server) checkCounty(r store.Reader, division string) error {
	if len(authn.DivisionPrefix(division)) < len(division) {
		return divisionNotACounty(division)
	}
	loaded, err := s.divisions.Has(r, "divisions/"+division)
	if err == nil && !loaded {
		err = divisionNotLoaded(division)
	}
	return err
}

// checkTown answers NOT_FOUND if the town that a resource is to stand under is not there.
func (s *Server) checkTown(r store.Reader, name string) error {
	_, err := record.Load(r, s.towns, name)
	return err
}
