package access_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func (o *office) taxKey(id string, n int) *accessv1.ApiKey {
	o.t.Helper()
	k, err := o.key(id, &accessv1.ApiKey{
		Title: "申报接口", KeySha256: digest(n), Permissions: []string{"town.*.get"}, ExpireTime: o.in(400 * day),
	})
	ok(o.t, err)
	return k
}

func TestKeysThatAreRefused(t *testing.T) {
	o := ready(t)
	o.taxKey("first", 1)
	for _, c := range []struct {
		shows  string
		key    *accessv1.ApiKey
		code   codes.Code
		reason protoreflect.Enum
		field  string
	}{
		{"the digest of another key", &accessv1.ApiKey{KeySha256: digest(1), ExpireTime: o.in(day)},
			codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN, "api_key.key_sha256"},
		{"expired already", &accessv1.ApiKey{KeySha256: digest(2), ExpireTime: o.in(0)},
			codes.InvalidArgument, accessv1.Reason_REASON_PERIOD_INVALID, "api_key.expire_time"},
		{"valid for too long", &accessv1.ApiKey{KeySha256: digest(2), ExpireTime: o.in(400*day + time.Second)},
			codes.InvalidArgument, accessv1.Reason_REASON_PERIOD_INVALID, "api_key.expire_time"},
		{"a moment that is none", &accessv1.ApiKey{KeySha256: digest(2), ExpireTime: &timestamppb.Timestamp{Seconds: 1800000000, Nanos: -1}},
			codes.InvalidArgument, accessv1.Reason_REASON_PERIOD_INVALID, "api_key.expire_time"},
		{"a bound that matches nothing", &accessv1.ApiKey{KeySha256: digest(2), ExpireTime: o.in(day), Permissions: []string{"*", "towns.*"}},
			codes.InvalidArgument, accessv1.Reason_REASON_PERMISSION_UNKNOWN, "api_key.permissions[1]"},
		{"the key itself", &accessv1.ApiKey{KeySha256: "yzk_x", ExpireTime: o.in(day)},
			codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "api_key.key_sha256"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := o.key("new", c.key)
			refused(t, err, c.code, c.reason, c.field)
		})
	}
}

func TestOnlySystemsThatMayCallGetKeys(t *testing.T) {
	o := ready(t)
	req := &accessv1.CreateApiKeyRequest{ApiKeyId: "k", ApiKey: &accessv1.ApiKey{KeySha256: digest(1), ExpireTime: o.in(day)}}
	req.Parent = "principals/chen"
	_, err := o.as(admin).CreateApiKey(t.Context(), req)
	refused(t, err, codes.InvalidArgument, accessv1.Reason_REASON_CREDENTIAL_KIND_MISMATCH, "parent")
	req.Parent = "principals/nobody"
	_, err = o.as(admin).CreateApiKey(t.Context(), req)
	refused(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "")
	k := o.taxKey("old", 2)
	o.must(o.as(admin).DisablePrincipal(t.Context(), &accessv1.DisablePrincipalRequest{Name: "principals/tax", Reason: "audit"}))
	req.Parent = "principals/tax"
	_, err = o.as(admin).CreateApiKey(t.Context(), req)
	refused(t, err, codes.FailedPrecondition, accessv1.Reason_REASON_PRINCIPAL_DISABLED, "")
	_, err = o.as(admin).RotateApiKey(t.Context(), rotation(k, 3, 0))
	refused(t, err, codes.FailedPrecondition, accessv1.Reason_REASON_PRINCIPAL_DISABLED, "")
}

func rotation(k *accessv1.ApiKey, n int, overlap time.Duration) *accessv1.RotateApiKeyRequest {
	return &accessv1.RotateApiKeyRequest{
		Name: k.GetName(), Reason: "yearly", ApiKeyId: "next", KeySha256: digest(n), Overlap: durationpb.New(overlap),
	}
}

func TestRotation(t *testing.T) {
	for _, c := range []struct {
		shows         string
		after         time.Duration
		overlap, left time.Duration
	}{
		{"a week beside the new one", 0, 7 * day, 7 * day},
		{"at once", 0, 0, 0},
		{"no longer than it was meant to be", 395 * day, 30 * day, 5 * day},
	} {
		t.Run(c.shows, func(t *testing.T) {
			o := ready(t)
			old := o.taxKey("old", 1)
			o.clock.Advance(c.after)
			req := rotation(old, 2, c.overlap)
			req.RequestId, req.Etag = "r-1", old.GetEtag()
			next, err := o.as(admin).RotateApiKey(t.Context(), req)
			ok(t, err)
			if next.GetName() != "principals/tax/apiKeys/next" || next.GetKeySha256() != digest(2) || next.GetTitle() != old.GetTitle() ||
				!slices.Equal(next.GetPermissions(), old.GetPermissions()) || !proto.Equal(next.GetExpireTime(), old.GetExpireTime()) ||
				next.GetState() != accessv1.ApiKey_STATE_ACTIVE {
				t.Errorf("the new key is %v", next)
			}
			was, err := o.as(admin).GetApiKey(t.Context(), &accessv1.GetApiKeyRequest{Name: old.GetName()})
			ok(t, err)
			if left := was.GetExpireTime().AsTime().Sub(o.clock.Now()); left != c.left || len(was.GetDecisions()) != 1 {
				t.Errorf("the old key has %v left, want %v: %v", left, c.left, was)
			}
			again, err := o.as(admin).RotateApiKey(t.Context(), req)
			ok(t, err)
			if !proto.Equal(again, next) {
				t.Errorf("the repeated request gets %v", again)
			}
		})
	}
}

func TestRotationsThatAreRefused(t *testing.T) {
	o := ready(t)
	old := o.taxKey("old", 1)
	_, err := o.as(admin).RotateApiKey(t.Context(), rotation(old, 1, 0))
	refused(t, err, codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN, "key_sha256")
	stale := rotation(old, 2, 0)
	stale.Etag = "0000000000000000"
	_, err = o.as(admin).RotateApiKey(t.Context(), stale)
	refused(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "")
	_, err = o.as(admin).RotateApiKey(t.Context(), rotation(old, 2, 31*day))
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "overlap")
	same := rotation(old, 2, 0)
	same.ApiKeyId = "old"
	_, err = o.as(admin).RotateApiKey(t.Context(), same)
	refused(t, err, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, "")
	if k, err := o.as(admin).GetApiKey(t.Context(), &accessv1.GetApiKeyRequest{Name: old.GetName()}); err != nil || !proto.Equal(k, old) {
		t.Errorf("refused rotations left %v (%v)", k, err)
	}
	o.clock.Advance(400 * day)
	_, err = o.as(admin).RotateApiKey(t.Context(), rotation(old, 2, 0))
	refused(t, err, codes.InvalidArgument, accessv1.Reason_REASON_PERIOD_INVALID, "name")
}

func TestRevokedKeyStaysKnown(t *testing.T) {
	o := ready(t)
	k := o.taxKey("old", 1)
	revoke := &accessv1.RevokeApiKeyRequest{Name: k.GetName(), Reason: "leaked"}
	k, err := o.as(admin).RevokeApiKey(t.Context(), revoke)
	ok(t, err)
	if k.GetState() != accessv1.ApiKey_STATE_REVOKED {
		t.Errorf("revoked: %v", k)
	}
	_, err = o.as(admin).RevokeApiKey(t.Context(), revoke)
	refused(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "")
	_, err = o.as(admin).RotateApiKey(t.Context(), rotation(k, 2, 0))
	refused(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "")
	_, err = o.key("again", &accessv1.ApiKey{KeySha256: digest(1), ExpireTime: o.in(day)})
	refused(t, err, codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN, "api_key.key_sha256")
}

func TestKeysOfAPrincipalAndOfAll(t *testing.T) {
	o := ready(t)
	o.principal("tax-2", system("tax-2"))
	o.taxKey("a", 1)
	o.must(o.as(admin).CreateApiKey(t.Context(), &accessv1.CreateApiKeyRequest{
		Parent: "principals/tax-2", ApiKeyId: "b", ApiKey: &accessv1.ApiKey{KeySha256: digest(2), ExpireTime: o.in(day)},
	}))
	for parent, want := range map[string]int{"principals/tax": 1, "principals/tax-2": 1, "principals/-": 2, "principals/chen": 0} {
		res, err := o.as(reader).ListApiKeys(t.Context(), &accessv1.ListApiKeysRequest{Parent: parent})
		ok(t, err)
		if len(res.GetApiKeys()) != want {
			t.Errorf("%s has %v", parent, res.GetApiKeys())
		}
	}
}
