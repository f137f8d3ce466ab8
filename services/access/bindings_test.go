package access_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

type binding = accessv1.Binding

func TestBindingsThatAreRefused(t *testing.T) {
	o := ready(t)
	o.principal(admin, person("li"))
	o.principal("gone", person("gone"))
	o.must(o.as(admin).DisablePrincipal(t.Context(), &accessv1.DisablePrincipalRequest{Name: "principals/gone", Reason: "left"}))
	period, invalid := accessv1.Reason_REASON_PERIOD_INVALID, codes.InvalidArgument
	for _, c := range []struct {
		shows  string
		change func(*binding)
		code   codes.Code
		reason protoreflect.Enum
		field  string
	}{
		{"a principal that is not there", func(b *binding) { b.Principal = "principals/nobody" },
			codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "binding.principal"},
		{"a role that is not there", func(b *binding) { b.Role = "roles/none" },
			codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND, "binding.role"},
		{"a principal that is shut out", func(b *binding) { b.Principal = "principals/gone" },
			codes.FailedPrecondition, accessv1.Reason_REASON_PRINCIPAL_DISABLED, ""},
		{"the caller themselves", func(b *binding) { b.Principal = "principals/" + admin },
			codes.FailedPrecondition, accessv1.Reason_REASON_SELF_GRANT, "binding.principal"},
		{"a town of another county", func(b *binding) { b.Town = "towns/140581-silk" },
			invalid, accessv1.Reason_REASON_TOWN_OUTSIDE_DIVISION, "binding.town"},
		{"over already", func(b *binding) { b.StartTime, b.ExpireTime = o.in(-day), o.in(0) }, invalid, period, "binding.expire_time"},
		{"over before it begins", func(b *binding) { b.StartTime, b.ExpireTime = o.in(2*day), o.in(day) }, invalid, period, "binding.expire_time"},
		{"empty", func(b *binding) { b.StartTime, b.ExpireTime = o.in(day), o.in(day) }, invalid, period, "binding.expire_time"},
		{"longer than five years", func(b *binding) {
			b.ExpireTime = timestamppb.New(o.clock.Now().UTC().AddDate(5, 0, 0).Add(time.Second))
		}, invalid, period, "binding.expire_time"},
		{"a start that is no moment", func(b *binding) { b.StartTime = &timestamppb.Timestamp{Nanos: -1} }, invalid, period, "binding.start_time"},
		{"an expiry that is no moment", func(b *binding) { b.ExpireTime = &timestamppb.Timestamp{Nanos: -1} }, invalid, period, "binding.expire_time"},
		{"no reason", func(b *binding) { b.Justification = "" }, invalid, typev1.Reason_REASON_INVALID_FIELD, "binding.justification"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := o.bind("b", c.change)
			refused(t, err, c.code, c.reason, c.field)
		})
	}
}

func TestBindingBeginsAtOnceAndIsRevoked(t *testing.T) {
	o := ready(t)
	b, err := o.bind("b", func(b *binding) {
		b.Division, b.Town = "140500", "towns/140525-casting"
		b.ExpireTime = timestamppb.New(o.clock.Now().UTC().AddDate(5, 0, 0))
	})
	ok(t, err)
	if !b.GetStartTime().AsTime().Equal(o.clock.Now()) || b.GetState() != accessv1.Binding_STATE_ACTIVE || b.GetRevokeTime() != nil {
		t.Errorf("made: %v", b)
	}
	o.clock.Advance(day)
	revoke := &accessv1.RevokeBindingRequest{Name: b.GetName(), Reason: "moved on", Etag: "0000000000000000", RequestId: "r-1"}
	_, err = o.as(another).RevokeBinding(t.Context(), revoke)
	refused(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "")
	revoke.Etag = b.GetEtag()
	revoked, err := o.as(another).RevokeBinding(t.Context(), revoke)
	ok(t, err)
	if revoked.GetState() != accessv1.Binding_STATE_REVOKED || !revoked.GetRevokeTime().AsTime().Equal(o.clock.Now()) {
		t.Errorf("revoked: %v", revoked)
	}
	o.clock.Advance(day)
	again, err := o.as(another).RevokeBinding(t.Context(), revoke)
	ok(t, err)
	if !proto.Equal(again, revoked) {
		t.Errorf("the repeated request gets %v", again)
	}
	revoke.RequestId, revoke.Etag = "", ""
	_, err = o.as(another).RevokeBinding(t.Context(), revoke)
	refused(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "")
}

func TestAnybodyGivesBackWhatTheyHave(t *testing.T) {
	o := ready(t)
	o.principal(another, person("wu"))
	b, err := o.bind("b", func(b *binding) { b.Principal = "principals/" + another })
	ok(t, err)
	o.must(o.as(another).RevokeBinding(t.Context(), &accessv1.RevokeBindingRequest{Name: b.GetName(), Reason: "not mine"}))
}

func TestBindingsOfAPrincipal(t *testing.T) {
	o := ready(t)
	o.principal("chen.2", person("chen.2")) // whose name begins with the other's
	for _, id := range []string{"e", "c", "a", "d", "b"} {
		_, err := o.bind(id, func(b *binding) {
			if id == "c" || id == "d" {
				b.Principal = "principals/chen.2"
			}
		})
		ok(t, err)
	}
	o.must(o.as(admin).RevokeBinding(t.Context(), &accessv1.RevokeBindingRequest{Name: "bindings/b", Reason: "x"}))
	for of, want := range map[string][]string{
		"": {"a", "b", "c", "d", "e"}, "principals/chen": {"a", "b", "e"}, "principals/chen.2": {"c", "d"}, "principals/nobody": nil,
	} {
		var got []string
		req := &accessv1.ListBindingsRequest{Principal: of, PageSize: 1}
		for more := true; more; more = req.GetPageToken() != "" {
			res, err := o.as(reader).ListBindings(t.Context(), req)
			ok(t, err)
			for _, b := range res.GetBindings() {
				got = append(got, b.GetName()[len("bindings/"):])
			}
			if len(res.GetBindings()) > 1 {
				t.Errorf("a page of one has %v", res)
			}
			req.PageToken = res.GetNextPageToken()
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q has %v, want %v", of, got, want)
		}
	}
	res, err := o.as(reader).ListBindings(t.Context(), &accessv1.ListBindingsRequest{Principal: "principals/chen", PageSize: 1})
	ok(t, err)
	_, err = o.as(reader).ListBindings(t.Context(), &accessv1.ListBindingsRequest{PageToken: res.GetNextPageToken()})
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN, "page_token")
}
