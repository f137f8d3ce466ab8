package access_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	_ "github.com/yizhen/yizhen/proto/yizhen/fund/v1" // roles are checked against the permissions that these declare
	_ "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	_ "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/access"
)

// Who calls in these tests: an administrator of the city, another, a county's, and one who may only read.
const (
	admin   = "admin.li"
	another = "admin.wu"
	zezhou  = "zezhou.admin"
	reader  = "city.reader"
)

// office is an access control that is being served, with a clock that the test moves.
type office struct {
	t     *testing.T
	clock *clock.Manual
	srv   *rpctest.Server
}

func serve(t *testing.T) *office {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 1, 5, 10, 0, 0, 0, civil.Zone))
	db := rpctest.OpenDB(t, "access", c)
	s := access.New(db)
	rpctest.Replays(t, db, s.Schema())
	return &office{t: t, clock: c, srv: rpctest.Serve(t, db, s.Register,
		authn.Principal{Name: admin, Division: "140500", Permissions: []string{"*"}},
		authn.Principal{Name: another, Division: "140500", Permissions: []string{"access.*"}},
		authn.Principal{Name: zezhou, Division: "140525", Permissions: []string{"access.*"}},
		authn.Principal{Name: reader, Division: "140500", Permissions: []string{"access.*.get", "access.*.list"}},
	)}
}

func (o *office) as(name string) accessv1.AccessControlClient {
	o.t.Helper()
	return accessv1.NewAccessControlClient(o.srv.As(name))
}

// in returns the moment that is so long after now.
func (o *office) in(d time.Duration) *timestamppb.Timestamp {
	return timestamppb.New(o.clock.Now().Add(d))
}

func (o *office) must(_ any, err error) {
	o.t.Helper()
	ok(o.t, err)
}

func (o *office) principal(id string, p *accessv1.Principal) *accessv1.Principal {
	o.t.Helper()
	made, err := o.as(admin).CreatePrincipal(o.t.Context(), &accessv1.CreatePrincipalRequest{PrincipalId: id, Principal: p})
	ok(o.t, err)
	return made
}

func (o *office) key(id string, k *accessv1.ApiKey) (*accessv1.ApiKey, error) {
	o.t.Helper()
	return o.as(admin).CreateApiKey(o.t.Context(), &accessv1.CreateApiKeyRequest{Parent: "principals/tax", ApiKeyId: id, ApiKey: k})
}

func (o *office) role(id string, permissions ...string) {
	o.t.Helper()
	o.must(o.as(admin).CreateRole(o.t.Context(), &accessv1.CreateRoleRequest{
		RoleId: id, Role: &accessv1.Role{Title: id, Permissions: permissions},
	}))
}

// bind makes a binding of Chen to the role of the maker in Zezhou for a year, with some of that changed.
func (o *office) bind(id string, change func(*accessv1.Binding)) (*accessv1.Binding, error) {
	o.t.Helper()
	b := &accessv1.Binding{
		Principal: "principals/chen", Role: "roles/maker", Division: "140525", ExpireTime: o.in(365 * day), Justification: "her post",
	}
	if change != nil {
		change(b)
	}
	return o.as(admin).CreateBinding(o.t.Context(), &accessv1.CreateBindingRequest{BindingId: id, Binding: b})
}

// ready has Chen, the system of the tax bureau, and the role of the maker.
func ready(t *testing.T) *office {
	t.Helper()
	o := serve(t)
	o.principal("chen", person("chen"))
	o.principal("tax", system("tax"))
	o.role("maker", "fund.disbursements.*", "town.*.get")
	return o
}

const day = 24 * time.Hour

func person(subject string) *accessv1.Principal {
	return &accessv1.Principal{
		Kind: accessv1.Principal_KIND_PERSON, Title: "陈某", Department: "市财政局",
		Oidc: &accessv1.OidcIdentity{Issuer: "https://login.jincheng.example", Subject: subject},
	}
}

func system(id string) *accessv1.Principal {
	return &accessv1.Principal{
		Kind: accessv1.Principal_KIND_SYSTEM, Title: "金税系统", Department: "市税务局", CertificateUri: "spiffe://jincheng/system/" + id,
	}
}

// digest returns some digest of a key, another for each number.
func digest(n int) string { return fmt.Sprintf("%064x", n) }

func with[T proto.Message](m T, change func(T)) T {
	change(m)
	return m
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused: %v\n%v", err, status.Convert(err).Details())
	}
}

// refused fails the test unless a call was refused for that reason, in two languages, and names the field if one is given.
func refused(t testing.TB, err error, code codes.Code, reason protoreflect.Enum, field string) {
	t.Helper()
	if status.Code(err) != code || !fault.Is(err, reason) {
		t.Fatalf("got %v (%s), want %v (%v)", err, fault.ReasonOf(err), code, reason)
	}
	languages, named := 0, field == ""
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				named = named || v.GetField() == field
			}
		case *errdetails.LocalizedMessage:
			languages++
		}
	}
	if languages != 2 || !named {
		t.Errorf("the refusal is said in %d languages, and names the field %q: %v", languages, field, named)
	}
}

func TestOnlyTheCityCalls(t *testing.T) {
	o := ready(t)
	_, err := o.as(zezhou).GetPrincipal(t.Context(), &accessv1.GetPrincipalRequest{Name: "principals/chen"})
	refused(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION, "")
	_, err = o.as(zezhou).CreateRole(t.Context(), &accessv1.CreateRoleRequest{
		RoleId: "x", Role: &accessv1.Role{Title: "x", Permissions: []string{"*"}},
	})
	refused(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION, "")
	_, err = o.as(reader).DisablePrincipal(t.Context(), &accessv1.DisablePrincipalRequest{Name: "principals/chen", Reason: "left"})
	refused(t, err, codes.PermissionDenied, typev1.Reason_REASON_PERMISSION_MISSING, "")
	o.must(o.as(reader).GetPrincipal(t.Context(), &accessv1.GetPrincipalRequest{Name: "principals/chen"}))
}
