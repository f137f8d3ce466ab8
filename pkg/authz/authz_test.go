package authz_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Every package with services of the suite is linked in here.
var suite = []protoreflect.FileDescriptor{
	accessv1.File_yizhen_access_v1_access_control_proto,
	assessmentv1.File_yizhen_assessment_v1_assessment_proto,
	fundv1.File_yizhen_fund_v1_special_fund_proto,
	journalv1.File_yizhen_journal_v1_journal_proto,
	maintenancev1.File_yizhen_maintenance_v1_maintenance_proto,
	projectv1.File_yizhen_project_v1_project_tracking_proto,
	townv1.File_yizhen_town_v1_town_registry_proto,
}

// services are the suite's services that are linked in.
func services() (all []protoreflect.ServiceDescriptor) {
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), "yizhen.") {
			for i := range f.Services().Len() {
				all = append(all, f.Services().Get(i))
			}
		}
		return true
	})
	return all
}

func info(all ...protoreflect.ServiceDescriptor) map[string]grpc.ServiceInfo {
	out := map[string]grpc.ServiceInfo{}
	for _, s := range all {
		out[string(s.FullName())] = grpc.ServiceInfo{}
	}
	return out
}

func policy(t *testing.T) *authz.Policy {
	t.Helper()
	p, err := authz.NewPolicy(info(services()...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryMethodOfTheSuite guards the contract: who may call is declared for each method, in one form.
func TestEveryMethodOfTheSuite(t *testing.T) {
	all := services()
	if len(all) < len(suite) {
		t.Fatalf("%d services are linked in, want %d at the least", len(all), len(suite))
	}
	p := policy(t)
	form := regexp.MustCompile(`^[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+$`)
	for _, s := range all {
		service := strings.Split(string(s.FullName()), ".")[1]
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			access := proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access)
			if !form.MatchString(access.GetPermission()) || !strings.HasPrefix(access.GetPermission(), service+".") {
				t.Errorf("%s: permission %q is not of the form %s.resource.verb", m.FullName(), access.GetPermission(), service)
			}
			if !p.Covers(fmt.Sprintf("/%s/%s", s.FullName(), m.Name())) {
				t.Errorf("%s: anybody may call it", m.FullName())
			}
			switch scope := access.GetScope().(type) {
			case *typev1.Access_DivisionField:
				if m.Input().Fields().ByName("division") != nil && m.Input().Fields().ByName("page_token") != nil && scope.DivisionField != "division" {
					t.Errorf("%s: the list is narrowed by division, which the access option does not look at", m.FullName())
				}
			case *typev1.Access_CityWide:
				if !scope.CityWide {
					t.Errorf("%s: city_wide is false", m.FullName())
				}
			case *typev1.Access_Unscoped:
				if !scope.Unscoped {
					t.Errorf("%s: unscoped is false", m.FullName())
				}
				if m.Input().Fields().ByName("request_id") != nil {
					t.Errorf("%s: what changes something belongs to a division or to the city", m.FullName())
				}
			default:
				t.Errorf("%s: no scope", m.FullName())
			}
		}
	}
}

var (
	zezhou   = &authn.Principal{Name: "zezhou/li", Division: "140525", Permissions: []string{"town.*"}}
	jincheng = &authn.Principal{Name: "city/wang", Division: "140500", Permissions: []string{"*"}}
	shanxi   = &authn.Principal{Name: "province/zhao", Division: "140000", Permissions: []string{"*.get", "*.list"}}
)

func TestPermit(t *testing.T) {
	p := policy(t)
	for _, c := range []struct {
		who     *authn.Principal
		method  string
		granted bool
	}{
		{zezhou, "/yizhen.town.v1.TownRegistry/CreateTown", true},
		{zezhou, "/yizhen.fund.v1.SpecialFund/GetBudget", false},
		{jincheng, "/yizhen.fund.v1.SpecialFund/GetBudget", true},
		{shanxi, "/yizhen.town.v1.TownRegistry/GetTown", true},
		{shanxi, "/yizhen.town.v1.TownRegistry/CreateTown", false},
		{&authn.Principal{}, "/yizhen.town.v1.TownRegistry/GetTown", false},
		{&authn.Principal{Division: "140500", Permissions: []string{"*"}, Bounds: []string{"*.list"}}, "/yizhen.town.v1.TownRegistry/GetTown", false},
		{&authn.Principal{Division: "140500", Permissions: []string{"*"}, Bounds: []string{"*.get"}}, "/yizhen.town.v1.TownRegistry/GetTown", true},
		{jincheng, "/yizhen.town.v1.TownRegistry/NoSuchMethod", true}, // the star; there is nothing to call
		{zezhou, "/yizhen.town.v1.TownRegistry/NoSuchMethod", false},
	} {
		_, err := p.Permit(c.who, authz.Carried(c.who), c.method, time.Time{})
		if c.granted && err != nil || !c.granted && !fault.Is(err, typev1.Reason_REASON_PERMISSION_MISSING) {
			t.Errorf("%s, %s: %v, want granted: %v", c.who.Name, c.method, err, c.granted)
		}
	}
}

func TestChoose(t *testing.T) {
	p := policy(t)
	const own, other = "towns/140525-casting", "towns/140581-silk"
	for _, c := range []struct {
		name   string
		method string
		req    proto.Message
		county bool // whether Zezhou's caller is let through; the city's and the province's always are
	}{
		{"county reads its own town", "GetTown", &townv1.GetTownRequest{Name: own}, true},
		{"county does not read another's town", "GetTown", &townv1.GetTownRequest{Name: other}, false},
		{"county registers a town of its own", "CreateTown", &townv1.CreateTownRequest{TownId: "140525-stone"}, true},
		{"county does not register another's town", "CreateTown", &townv1.CreateTownRequest{TownId: "140581-stone"}, false},
		{"county changes its own town", "UpdateTown", &townv1.UpdateTownRequest{Town: &townv1.Town{Name: own}}, true},
		{"county does not change another's town", "UpdateTown", &townv1.UpdateTownRequest{Town: &townv1.Town{Name: other}}, false},
		{"county recommends its own town", "RecommendDesignation",
			&townv1.RecommendDesignationRequest{Name: own + "/designations/municipal"}, true},
		{"county cannot recommend outside its division", "RecommendDesignation",
			&townv1.RecommendDesignationRequest{Name: other + "/designations/municipal"}, false},
		{"county does not do what is the city's to do", "ReviewDesignation",
			&townv1.ReviewDesignationRequest{Name: own + "/designations/municipal"}, false},
		{"a list that is not narrowed is left to the rows", "ListTowns", &townv1.ListTownsRequest{}, true},
		{"county lists its own towns", "ListTowns", &townv1.ListTownsRequest{Division: "140525"}, true},
		{"county does not list another's towns", "ListTowns", &townv1.ListTownsRequest{Division: "140581"}, false},
		{"county does not list the city's towns", "ListTowns", &townv1.ListTownsRequest{Division: "140500"}, false},
		{"county does not list what stands under another's town", "ListEnterprises",
			&townv1.ListEnterprisesRequest{Parent: other}, false},
		{"county lists what stands under its own town", "ListEnterprises", &townv1.ListEnterprisesRequest{Parent: own}, true},
		{"what stands under every town is left to the rows", "ListEnterprises", &townv1.ListEnterprisesRequest{Parent: "towns/-"}, true},
		{"a division beside another's parent does not help", "ListEnterprises",
			&townv1.ListEnterprisesRequest{Parent: other, Division: "140525"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			method := "/yizhen.town.v1.TownRegistry/" + c.method
			for _, who := range []*authn.Principal{zezhou, jincheng, shanxi} {
				want := c.county || who != zezhou
				_, err := p.Choose(authz.Carried(who), method, c.req)
				if want && err != nil {
					t.Errorf("%s: %v", who.Name, err)
				}
				if !want && (!fault.Is(err, typev1.Reason_REASON_OUTSIDE_DIVISION) || status.Code(err) != codes.PermissionDenied) {
					t.Errorf("%s: %v, want OUTSIDE_DIVISION", who.Name, err)
				}
			}
		})
	}
	t.Run("the city of another name does not reach in", func(t *testing.T) {
		taiyuan := &authn.Principal{Division: "140100"}
		_, err := p.Choose(authz.Carried(taiyuan), "/yizhen.town.v1.TownRegistry/GetTown", &townv1.GetTownRequest{Name: own})
		if !fault.Is(err, typev1.Reason_REASON_OUTSIDE_DIVISION) {
			t.Errorf("%v", err)
		}
	})
	t.Run("what names no division is refused to everybody", func(t *testing.T) {
		for _, req := range []proto.Message{
			&townv1.GetTownRequest{}, &townv1.GetTownRequest{Name: "towns/-"}, &townv1.GetTownRequest{Name: "towns/casting"},
		} {
			_, err := p.Choose(authz.Carried(jincheng), "/yizhen.town.v1.TownRegistry/GetTown", req)
			if !fault.Is(err, typev1.Reason_REASON_OUTSIDE_DIVISION) {
				t.Errorf("%v: %v", req, err)
			}
		}
	})
	t.Run("reference data are for everybody", func(t *testing.T) {
		if _, err := p.Choose(authz.Carried(zezhou), "/yizhen.town.v1.TownRegistry/ListDivisions", &townv1.ListDivisionsRequest{}); err != nil {
			t.Error(err)
		}
	})
}

func TestScopeAndRows(t *testing.T) {
	for _, c := range []struct {
		who              *authn.Principal
		division         string
		collection       string
		wantScope, wants string
	}{
		{zezhou, "", "towns", "140525", "towns/140525"},
		{zezhou, "140525", "towns", "140525", "towns/140525"},
		{jincheng, "", "towns", "1405", "towns/1405"},
		{jincheng, "140525", "towns", "140525", "towns/140525"},
		{shanxi, "", "towns", "14", "towns/14"},
		{shanxi, "140500", "towns/-", "1405", "towns/1405"},
		{jincheng, "", "towns/140525-casting", "1405", "towns/140525-casting/"},
		{zezhou, "", "towns/140525-casting", "140525", "towns/140525-casting/"},
		{jincheng, "140581", "towns/140525-casting", "140581", "-"},
		{&authn.Principal{}, "", "towns", "", "towns/"},
	} {
		ctx := authz.NewContext(context.Background(), authz.Grant{Division: c.who.Division})
		if got := authz.Scope(ctx, c.division); got != c.wantScope {
			t.Errorf("%s, Scope(%q) = %q, want %q", c.who.Name, c.division, got, c.wantScope)
		}
		if got := authz.Rows(ctx, c.collection, c.division); got != c.wants {
			t.Errorf("%s, Rows(%q, %q) = %q, want %q", c.who.Name, c.collection, c.division, got, c.wants)
		}
	}
}

func TestDivisionOf(t *testing.T) {
	for name, want := range map[string]string{
		"140525":                                 "140525",
		"140525-casting":                         "140525",
		"towns/140525-casting":                   "140525",
		"towns/140525-casting/reports/2022Q3":    "140525",
		"towns/140525-casting/policies/140581-x": "140525",
		"divisions/140525":                       "140525",
		"budgets/2023/lines/140525-support":      "140525",
		"":                                       "",
		"towns/-":                                "",
		"towns/14052-casting":                    "",
		"towns/1405251-casting":                  "",
		"towns/x140525-casting":                  "",
		"budgets/2023":                           "",
		"towns/a/enterprises/91350100M000100Y43": "",
		"towns/140525casting":                    "",
	} {
		if got := authz.DivisionOf(name); got != want {
			t.Errorf("DivisionOf(%q) = %q, want %q", name, got, want)
		}
	}
}

// registered makes a service with one method, of an input and with access as given, known to the process.
func registered(t *testing.T, name string, access *typev1.Access, fields ...*descriptorpb.FieldDescriptorProto) map[string]grpc.ServiceInfo {
	t.Helper()
	options := &descriptorpb.MethodOptions{}
	if access != nil {
		proto.SetExtension(options, typev1.E_Access, access)
	}
	pkg := "test." + name
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String(name + ".proto"), Package: &pkg, Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Request"), Field: fields}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String("Service"),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: proto.String("Do"), InputType: proto.String("." + pkg + ".Request"), OutputType: proto.String("." + pkg + ".Request"),
				Options: options,
			}},
		}},
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := protoregistry.GlobalFiles.RegisterFile(d); err != nil {
		t.Fatal(err)
	}
	return info(d.Services().Get(0))
}

func TestNewPolicyRefuses(t *testing.T) {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, label descriptorpb.FieldDescriptorProto_Label, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &kind, Label: &label}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	const (
		text     = descriptorpb.FieldDescriptorProto_TYPE_STRING
		number   = descriptorpb.FieldDescriptorProto_TYPE_INT64
		message  = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
		one      = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		repeated = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	)
	division := func(path string) *typev1.Access {
		return &typev1.Access{Permission: "test.things.do", Scope: &typev1.Access_DivisionField{DivisionField: path}}
	}
	for _, c := range []struct {
		name, problem string
		access        *typev1.Access
		fields        []*descriptorpb.FieldDescriptorProto
	}{
		{"nothing", "no permission", nil, nil},
		{"nopermission", "no permission", &typev1.Access{Scope: &typev1.Access_CityWide{CityWide: true}}, nil},
		{"noscope", "no scope", &typev1.Access{Permission: "test.things.do"}, nil},
		{"nofield", "no field", division("division"), nil},
		{"nopath", "no field", division("thing.division"), []*descriptorpb.FieldDescriptorProto{
			field("thing", 1, message, one, ".test.nopath.Request"),
		}},
		{"notext", "not a text", division("division"), []*descriptorpb.FieldDescriptorProto{field("division", 1, number, one, "")}},
		{"texts", "not a text", division("division"), []*descriptorpb.FieldDescriptorProto{field("division", 1, text, repeated, "")}},
		{"throughtext", "no single message", division("name.division"), []*descriptorpb.FieldDescriptorProto{field("name", 1, text, one, "")}},
		{"throughlist", "no single message", division("requests.name"), []*descriptorpb.FieldDescriptorProto{
			field("requests", 1, message, repeated, ".test.throughlist.Request"), field("name", 2, text, one, ""),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := authz.NewPolicy(registered(t, c.name, c.access, c.fields...))
			if err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), "test."+c.name+".Service.Do") {
				t.Errorf("NewPolicy: %v, want that it names the method and says %q", err, c.problem)
			}
		})
	}
	t.Run("an unknown service", func(t *testing.T) {
		if _, err := authz.NewPolicy(map[string]grpc.ServiceInfo{"test.absent.Service": {}}); err == nil {
			t.Error("a service without a descriptor was taken")
		}
	})
	t.Run("but not one that declares all", func(t *testing.T) {
		p, err := authz.NewPolicy(registered(t, "complete", division("thing.division"),
			field("thing", 1, message, one, ".test.complete.Request"), field("division", 2, text, one, "")))
		if err != nil || !p.Covers("/test.complete.Service/Do") {
			t.Fatal(err)
		}
	})
	t.Run("nor health and reflection, which are open", func(t *testing.T) {
		p, err := authz.NewPolicy(map[string]grpc.ServiceInfo{"grpc.health.v1.Health": {}, "grpc.reflection.v1.ServerReflection": {}})
		if err != nil || p.Covers("/grpc.health.v1.Health/Check") {
			t.Errorf("NewPolicy: %v", err)
		}
	})
}
