package access

import (
	"context"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// CreateRole implements the AccessControl service.
func (s *Server) CreateRole(ctx context.Context, req *accessv1.CreateRoleRequest) (*accessv1.Role, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*accessv1.Role, error) {
		role := record.New(req.GetRole(), "roles/"+req.GetRoleId())
		if err := s.checkRole(tx, nil, role); err != nil {
			return nil, err
		}
		return record.Create(tx, s.roles, role)
	})
}

// GetRole implements the AccessControl service.
func (s *Server) GetRole(ctx context.Context, req *accessv1.GetRoleRequest) (*accessv1.Role, error) {
	return record.Get(ctx, s.db, s.roles, req.GetName())
}

// ListRoles implements the AccessControl service.
func (s *Server) ListRoles(ctx context.Context, req *accessv1.ListRolesRequest) (*accessv1.ListRolesResponse, error) {
	roles, next, err := record.List(ctx, s.db, s.roles, "roles/", req)
	if err != nil {
		return nil, err
	}
	return &accessv1.ListRolesResponse{Roles: roles, NextPageToken: next}, nil
}

// UpdateRole implements the AccessControl service.
func (s *Server) UpdateRole(ctx context.Context, req *accessv1.UpdateRoleRequest) (*accessv1.Role, error) {
	return record.Patch(ctx, s.db, s.roles, req, req.GetRole(), s.checkRole)
}

// checkRole is the rule of what a role may become.
func (s *Server) checkRole(_ *journal.Tx, _, after *accessv1.Role) error {
	return s.checkPatterns("role.permissions", after.GetPermissions())
}
