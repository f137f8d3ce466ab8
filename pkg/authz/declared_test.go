package authz_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authz"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestDeclared(t *testing.T) {
	declared := authz.Declared()
	for _, s := range services() {
		for i := range s.Methods().Len() {
			access := proto.GetExtension(s.Methods().Get(i).Options(), typev1.E_Access).(*typev1.Access)
			if p := access.GetPermission(); !declared.Has(p) || !declared.Matched(p) {
				t.Errorf("%s of %s is not among them", p, s.Methods().Get(i).FullName())
			}
		}
	}
	for pattern, want := range map[string]bool{"*": true, "fund.*": true, "*.check": true, "fund": false, "fund.*.chek": false, "": false} {
		if declared.Matched(pattern) != want {
			t.Errorf("%q matches one: %v", pattern, !want)
		}
	}
	if declared.Has("fund.*") {
		t.Error("a pattern is taken for a permission")
	}
}

func TestReaches(t *testing.T) {
	declared := authz.Declared()
	county, city := authz.Grant{Division: "140525"}, authz.Grant{Division: "140500"}
	town := authz.Grant{Division: "140500", Town: "towns/140525-casting"}
	energy := authz.Grant{Division: "140500", Department: "市能源局"}
	for _, c := range []struct {
		shows               string
		grant               authz.Grant
		permission, touched string
		want                bool
	}{
		{"county, its town", county, "town.towns.get", "towns/140525-casting", true},
		{"county, another's town", county, "town.towns.get", "towns/140581-silk", false},
		{"county, the city as a whole", county, "town.towns.list", "", false},
		{"city, the city as a whole", city, "town.towns.list", "", true},
		{"county, what concerns the city", county, "access.roles.get", "140525", false},
		{"city, what concerns the city", city, "access.roles.get", "", true},
		{"town, what concerns the city", town, "access.roles.get", "towns/140525-casting", false},
		{"town, what stands under it", town, "town.reports.get", "towns/140525-casting/reports/2025", true},
		{"town, its county", town, "town.towns.list", "140525", false},
		{"department, where none is kept to", energy, "town.towns.get", "140525", false},
		{"nowhere", city, "town.towns.get", "towns/casting", false},
		{"a permission that is not declared", city, "town.towns.gets", "140525", false},
	} {
		t.Run(c.shows, func(t *testing.T) {
			if got := declared.Reaches(c.grant, c.permission, c.touched); got != c.want {
				t.Errorf("reaches: %v", got)
			}
		})
	}
}
