package access_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Short names of what speaks against a binding.
const (
	nothing    = accessv1.Consideration_OBSTACLE_UNSPECIFIED
	permission = accessv1.Consideration_OBSTACLE_PERMISSION
	place      = accessv1.Consideration_OBSTACLE_PLACE
	notBegun   = accessv1.Consideration_OBSTACLE_NOT_BEGUN
	expired    = accessv1.Consideration_OBSTACLE_EXPIRED
	revoked    = accessv1.Consideration_OBSTACLE_REVOKED
	shutOut    = accessv1.Consideration_OBSTACLE_PRINCIPAL_DISABLED
)

func (o *office) explain(req *accessv1.ExplainAccessRequest) (*accessv1.ExplainAccessResponse, error) {
	o.t.Helper()
	req.Name = "principals/chen"
	return o.as(admin).ExplainAccess(o.t.Context(), req)
}

// rests fails the test unless there is one binding, and that speaks against it.
func (o *office) rests(want accessv1.Consideration_Obstacle, req *accessv1.ExplainAccessRequest) {
	o.t.Helper()
	got, err := o.explain(req)
	ok(o.t, err)
	c := got.GetConsiderations()
	if len(c) != 1 || c[0].GetObstacle() != want || (got.GetBinding() != "") != (want == nothing) {
		o.t.Errorf("%v is answered with %v, want %v", req, got, want)
	}
}

func TestExplainThePlace(t *testing.T) {
	const get, list, check = "town.towns.get", "fund.disbursements.list", "fund.disbursements.check"
	county := func(b *binding) { b.Division = "140525" }
	city := func(b *binding) { b.Division = "140500" }
	town := func(b *binding) { b.Town = "towns/140525-casting" }
	energy := func(b *binding) { b.Division, b.Department = "140500", "市能源局" }
	for _, c := range []struct {
		shows              string
		binding            func(*binding)
		permission, target string
		want               accessv1.Consideration_Obstacle
	}{
		{"the county, in the county", county, get, "towns/140525-casting", nothing},
		{"the county, by its code", county, get, "140525", nothing},
		{"the county, next door", county, get, "towns/140581-silk", place},
		{"the county, for the city", county, get, "140500", place},
		{"the county, for the city as a whole", county, get, "", place},
		{"the city, in a county", city, get, "towns/140581-silk", nothing},
		{"the city, in another city", city, get, "140400", place},
		{"the city, for the city as a whole", city, list, "", nothing},
		{"the town, in the town", town, get, "towns/140525-casting/reports/2025", nothing},
		{"the town, in a town whose name begins alike", town, get, "towns/140525-casting-2", place},
		{"the town, for its county", town, get, "140525", place},
		{"a name that lies nowhere", city, get, "towns/casting", place},
		{"a permission that the role lacks", city, "town.towns.update", "140525", permission},
		{"a department, where the method does not keep to it", energy, get, "140525", place},
		{"a permission that concerns the city, for the city", city, "town.batches.get", "batches/2023", nothing},
		{"reference data, for a county", county, "town.holidayCalendars.get", "holidayCalendars/2026", nothing},
		{"a payment in the county", county, check, "140525", nothing},
	} {
		t.Run(c.shows, func(t *testing.T) {
			o := ready(t)
			o.must(o.bind("b", c.binding))
			o.rests(c.want, &accessv1.ExplainAccessRequest{Permission: c.permission, Target: c.target})
		})
	}
}

func TestExplainTheTime(t *testing.T) {
	o := ready(t)
	begin := o.clock.Now()
	b, err := o.bind("b", func(b *binding) { b.StartTime, b.ExpireTime = o.in(2*day), o.in(10*day) })
	ok(t, err)
	at := func(days int) *accessv1.ExplainAccessRequest {
		moment := timestamppb.New(begin.Add(time.Duration(days) * day))
		return &accessv1.ExplainAccessRequest{Permission: "town.towns.get", Target: "140525", CallTime: moment}
	}
	o.rests(notBegun, &accessv1.ExplainAccessRequest{Permission: "town.towns.get", Target: "140525"})
	o.rests(nothing, at(2))
	o.rests(expired, at(10))

	o.clock.Set(begin.Add(4 * day))
	o.must(o.as(admin).DisablePrincipal(t.Context(), &accessv1.DisablePrincipalRequest{Name: "principals/chen", Reason: "leave"}))
	o.clock.Set(begin.Add(6 * day))
	o.must(o.as(admin).EnablePrincipal(t.Context(), &accessv1.EnablePrincipalRequest{Name: "principals/chen", Reason: "back"}))
	o.clock.Set(begin.Add(8 * day))
	o.must(o.as(admin).RevokeBinding(t.Context(), &accessv1.RevokeBindingRequest{Name: b.GetName(), Reason: "moved on"}))
	for days, want := range map[int]accessv1.Consideration_Obstacle{
		1: notBegun, 3: nothing, 4: shutOut, 5: shutOut, 6: nothing, 7: nothing, 8: revoked, 9: revoked, 11: expired,
	} {
		o.rests(want, at(days))
	}
	o.rests(revoked, &accessv1.ExplainAccessRequest{Permission: "town.towns.get", Target: "140525"})
}

func TestNothingRestsOnABindingBeforeItWasMade(t *testing.T) {
	o := ready(t)
	o.must(o.bind("b", func(b *binding) { b.StartTime = o.in(-30 * day) }))
	o.rests(notBegun, &accessv1.ExplainAccessRequest{Permission: "town.towns.get", Target: "140525", CallTime: o.in(-day)})
	o.rests(nothing, &accessv1.ExplainAccessRequest{Permission: "town.towns.get", Target: "140525"})
}

func TestExplainNamesTheFirstOfSeveral(t *testing.T) {
	o := ready(t)
	for id, division := range map[string]string{"a": "140581", "b": "140500", "c": "140525"} {
		o.must(o.bind(id, func(b *binding) { b.Division = division }))
	}
	got, err := o.explain(&accessv1.ExplainAccessRequest{Permission: "fund.disbursements.check", Target: "140525"})
	ok(t, err)
	if got.GetBinding() != "bindings/b" || len(got.GetConsiderations()) != 3 || got.GetConsiderations()[0].GetObstacle() != place ||
		got.GetConsiderations()[2].GetObstacle() != nothing {
		t.Errorf("explained by %v", got)
	}
}

func TestQuestionsThatAreRefused(t *testing.T) {
	o := ready(t)
	_, err := o.explain(&accessv1.ExplainAccessRequest{Permission: "fund.disbursements.chek"})
	refused(t, err, codes.InvalidArgument, accessv1.Reason_REASON_PERMISSION_UNKNOWN, "permission")
	_, err = o.explain(&accessv1.ExplainAccessRequest{Permission: "town.towns.get", CallTime: &timestamppb.Timestamp{Nanos: -1}})
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "call_time")
	_, err = o.as(admin).ExplainAccess(t.Context(), &accessv1.ExplainAccessRequest{Name: "principals/nobody", Permission: "town.towns.get"})
	refused(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "")
	o.must(o.explain(&accessv1.ExplainAccessRequest{Permission: "town.towns.get"}))
}
