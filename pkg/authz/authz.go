// Package authz decides whether a caller may make a call. What a call needs is declared on its method in the proto
// (yizhen.type.v1.access): a permission, and the request field that tells which division the call touches.
package authz

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/yizhen/yizhen/pkg/authn"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// open are the services that anybody may call: they tell whether a server is up and what it serves, nothing of what it
// keeps.
var open = []string{
	"grpc.health.v1.Health",
	"grpc.reflection.v1.ServerReflection",
	"grpc.reflection.v1alpha.ServerReflection",
}

// Policy is what the methods of a server declare.
type Policy struct{ rules map[string]rule }

type rule struct {
	permission       string
	cityWide         bool
	departmentScoped bool
	// division is the path to the field that names the division, and parent the field `parent` of the same request, in
	// which a list is narrowed too. Both may be empty.
	division, parent path
}

// path leads from a request to a field of text.
type path []protoreflect.FieldDescriptor

// NewPolicy reads what the methods of a server declare. A method that declares nothing is an error, so it cannot be
// served by oversight.
func NewPolicy(services map[string]grpc.ServiceInfo) (*Policy, error) {
	p := &Policy{rules: map[string]rule{}}
	for name := range services {
		if slices.Contains(open, name) {
			continue
		}
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return nil, fmt.Errorf("access of %s: %w", name, err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			r, err := ruleOf(m)
			if err != nil {
				return nil, fmt.Errorf("access of %s: %w", m.FullName(), err)
			}
			p.rules[fmt.Sprintf("/%s/%s", name, m.Name())] = r
		}
	}
	return p, nil
}

func ruleOf(m protoreflect.MethodDescriptor) (r rule, err error) {
	access, _ := proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access)
	if access.GetPermission() == "" {
		return r, fmt.Errorf("the method declares no permission")
	}
	r.permission, r.departmentScoped = access.GetPermission(), access.GetDepartmentScoped()
	switch scope := access.GetScope().(type) {
	case *typev1.Access_CityWide:
		r.cityWide = true
	case *typev1.Access_Unscoped:
	case *typev1.Access_DivisionField:
		r.parent, _ = find(m.Input(), "parent")
		r.division, err = find(m.Input(), scope.DivisionField)
	default:
		err = fmt.Errorf("the method declares no scope")
	}
	return r, err
}

func find(m protoreflect.MessageDescriptor, dotted string) (found path, err error) {
	for step := range strings.SplitSeq(dotted, ".") {
		if m == nil || len(found) > 0 && found[len(found)-1].Cardinality() == protoreflect.Repeated {
			return nil, fmt.Errorf("%s leads through a field that is no single message", dotted)
		}
		f := m.Fields().ByTextName(step)
		if f == nil {
			return nil, fmt.Errorf("%s has no field %s", m.FullName(), step)
		}
		found, m = append(found, f), f.Message()
	}
	if last := found[len(found)-1]; last.Kind() != protoreflect.StringKind || last.IsList() {
		return nil, fmt.Errorf("%s is not a text", dotted)
	}
	return found, nil
}

func (p path) value(m protoreflect.Message) string {
	if len(p) == 0 {
		return ""
	}
	for _, f := range p[:len(p)-1] {
		m = m.Get(f).Message()
	}
	return m.Get(p[len(p)-1]).String()
}

// narrows tells whether the field is the one that narrows a list: the request's own `division`.
func (p path) narrows() bool { return len(p) == 1 && p[0].Name() == "division" }

// Covers tells whether a method needs a caller that is known. Those that do not are health and reflection.
func (p *Policy) Covers(method string) bool {
	_, ok := p.rules[method]
	return ok
}

// cityDigits is how many digits the codes of a city and all below it have in common.
const cityDigits = 4

// named finds the division in a code or in a resource name, one of whose identifiers begins with it.
var named = regexp.MustCompile(`(?:^|/)([0-9]{6})(?:[-/]|$)`)

// DivisionOf returns the division that a code or a resource name names, empty if it names none.
func DivisionOf(name string) string {
	if m := named.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// Scope returns what the codes of all divisions that a list may show begin with: the narrower of what was asked for
// and what the caller is bound to. It is empty where everything may be shown.
func Scope(ctx context.Context, division string) string {
	g := FromContext(ctx)
	own := g.prefix()
	if division == "" {
		return own
	}
	return max(own, authn.DivisionPrefix(division)) // one begins with the other, so the longer one is the greater
}

// nothing is a prefix that no resource's name has.
const nothing = "-"

// Rows returns what the names of the resources to list begin with. The collection is that of the resources (`towns`), or
// what they stand under (`towns/140525-casting`), or every such (`towns/-`).
func Rows(ctx context.Context, collection, division string) string {
	scope := Scope(ctx, division)
	collection = strings.TrimSuffix(collection, "/-")
	switch of := DivisionOf(collection); {
	case of == "":
		return collection + "/" + scope
	case strings.HasPrefix(of, scope):
		return collection + "/"
	default:
		return nothing
	}
}
