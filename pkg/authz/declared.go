package authz

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/yizhen/yizhen/pkg/authn"
)

// Permissions are those that the methods of the suite declare, each with what its methods say of the place.
type Permissions map[string][]rule

// suite is what the packages of the suite's protos begin with.
const suite = "yizhen."

// Declared collects the permissions of all services of the suite that are linked in. A method that declares none is passed
// over: no server starts with it.
func Declared() Permissions {
	declared := Permissions{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), suite) {
			return true
		}
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				if r, err := ruleOf(methods.Get(j)); err == nil {
					declared[r.permission] = append(declared[r.permission], r)
				}
			}
		}
		return true
	})
	return declared
}

// Has tells whether a permission is declared.
func (p Permissions) Has(permission string) bool { return len(p[permission]) > 0 }

// Matched tells whether a pattern matches any of the permissions.
func (p Permissions) Matched(pattern string) bool {
	for permission := range p {
		if authn.Match([]string{pattern}, permission) {
			return true
		}
	}
	return false
}

// Reaches tells whether a grant reaches what a call with a permission would touch: a division's code or a resource's name,
// or if it is empty the city as a whole. It is the rule by which calls are let through.
func (p Permissions) Reaches(g Grant, permission, touched string) bool {
	return slices.ContainsFunc(p[permission], func(r rule) bool {
		t := target{named: touched}
		switch division := DivisionOf(touched); {
		case touched == "" && len(r.division) > 0:
			r.cityWide = true
		case division == "":
			t.unclear = true
		default:
			t.divisions, t.resources = []string{division}, []string{touched}
		}
		return g.reaches(r, t)
	})
}
