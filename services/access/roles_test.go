package access_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestRolePermitsWhatThereIs(t *testing.T) {
	o := serve(t)
	for _, good := range []string{"*", "fund.*", "*.get", "fund.disbursements.check", "access.bindings.*"} {
		o.role("r"+digest(len(good))[60:], good)
	}
	for _, bad := range []string{"fund", "fond.*", "fund.disbursements.chek", "*.getAll", "Fund.*"} {
		_, err := o.as(admin).CreateRole(t.Context(), &accessv1.CreateRoleRequest{
			RoleId: "bad", Role: &accessv1.Role{Title: "x", Permissions: []string{"fund.*", bad}},
		})
		refused(t, err, codes.InvalidArgument, accessv1.Reason_REASON_PERMISSION_UNKNOWN, "role.permissions[1]")
	}
}

func TestUpdateOfARole(t *testing.T) {
	o := ready(t)
	req := &accessv1.UpdateRoleRequest{
		Role:       &accessv1.Role{Name: "roles/maker", Permissions: []string{"fund.x.*"}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"permissions"}},
	}
	_, err := o.as(admin).UpdateRole(t.Context(), req)
	refused(t, err, codes.InvalidArgument, accessv1.Reason_REASON_PERMISSION_UNKNOWN, "role.permissions[0]")
	req.Role.Permissions = nil
	_, err = o.as(admin).UpdateRole(t.Context(), req)
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "permissions")
	req.Role.Permissions, req.Role.Etag = []string{"town.*"}, "0000000000000000"
	_, err = o.as(admin).UpdateRole(t.Context(), req)
	refused(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "")
	req.Role.Etag = ""
	o.must(o.as(admin).UpdateRole(t.Context(), req))
	role, err := o.as(reader).GetRole(t.Context(), &accessv1.GetRoleRequest{Name: "roles/maker"})
	ok(t, err)
	if len(role.GetPermissions()) != 1 || role.GetPermissions()[0] != "town.*" || role.GetTitle() != "maker" {
		t.Errorf("the update makes %v", role)
	}
	res, err := o.as(reader).ListRoles(t.Context(), &accessv1.ListRolesRequest{})
	ok(t, err)
	if len(res.GetRoles()) != 1 {
		t.Errorf("the roles are %v", res)
	}
}
