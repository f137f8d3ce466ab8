package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func filled(t testing.TB, all ...proto.Message) *Directory {
	t.Helper()
	d := New(func() time.Time { return now }, time.Minute)
	s := newState()
	for _, m := range all {
		if err := s.put(m); err != nil {
			t.Fatal(err)
		}
	}
	d.replace(s)
	return d
}

func system(id string, state accessv1.Principal_State) *accessv1.Principal {
	return &accessv1.Principal{Name: "principals/" + id, State: state}
}

var (
	tax     = system("tax", accessv1.Principal_STATE_ACTIVE)
	reader  = &accessv1.Role{Name: "roles/reader", Permissions: []string{"*.get"}}
	reading = &accessv1.Binding{Name: "bindings/tax-1", Principal: tax.GetName(), Role: reader.GetName(), Division: "140500",
		State: accessv1.Binding_STATE_ACTIVE, ExpireTime: timestamppb.New(now.Add(time.Hour))}
	key = KeyPrefix + strings.Repeat("x", 43)
)

func apiKey(state accessv1.ApiKey_State, expire time.Time) *accessv1.ApiKey {
	sum := sha256.Sum256([]byte(key))
	return &accessv1.ApiKey{Name: "principals/tax/apiKeys/1", KeySha256: hex.EncodeToString(sum[:]), State: state,
		ExpireTime: timestamppb.New(expire), Permissions: []string{"town.*"}}
}

func TestOf(t *testing.T) {
	d := filled(t, tax, reader, reading)
	grants, err := d.Of("tax")
	if err != nil || len(grants) != 1 {
		t.Fatalf("%v, %v", grants, err)
	}
	if g := grants[0]; g.Name != reading.GetName() || g.Division != "140500" || !slices.Equal(g.Permissions, reader.Permissions) {
		t.Errorf("%+v", g)
	}
	for about, change := range map[string]proto.Message{
		"a role that permits nothing any more": &accessv1.Role{Name: reader.GetName(), Permissions: []string{"x.y.z"}},
		"a binding that was revoked": func() proto.Message {
			b := proto.Clone(reading).(*accessv1.Binding)
			b.State = accessv1.Binding_STATE_REVOKED
			return b
		}(),
		"a principal that was disabled": system("tax", accessv1.Principal_STATE_DISABLED),
	} {
		d := filled(t, tax, reader, reading)
		if err := d.take(change); err != nil {
			t.Fatal(err)
		}
		grants, err := d.Of("tax")
		if err != nil || slices.ContainsFunc(grants, func(g authz.Grant) bool { return authn.Match(g.Permissions, "town.towns.get") }) {
			t.Errorf("%s: %v, %v", about, grants, err)
		}
	}
}

func TestKnowsNobody(t *testing.T) {
	empty := New(func() time.Time { return now }, time.Minute)
	old := filled(t, tax, reader, reading)
	old.heard = old.heard.Add(-time.Hour)
	for about, d := range map[string]*Directory{"before it is filled": empty, "when it is too old": old} {
		if _, err := d.Of("tax"); !fault.Is(err, typev1.Reason_REASON_GRANTS_UNKNOWN) {
			t.Errorf("%s: %v", about, err)
		}
		if _, err := d.ByKey(key); !fault.Is(err, typev1.Reason_REASON_GRANTS_UNKNOWN) {
			t.Errorf("%s: %v", about, err)
		}
	}
	if err := old.take(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Of("tax"); err != nil {
		t.Errorf("after a heartbeat: %v", err)
	}
}

func TestByKey(t *testing.T) {
	active, revoked := accessv1.ApiKey_STATE_ACTIVE, accessv1.ApiKey_STATE_REVOKED
	for _, c := range []struct {
		about string
		d     *Directory
		shown string
		let   bool
	}{
		{"the key", filled(t, tax, apiKey(active, now.Add(time.Second))), key, true},
		{"a key that has expired", filled(t, tax, apiKey(active, now)), key, false},
		{"a key that was revoked", filled(t, tax, apiKey(revoked, now.Add(time.Hour))), key, false},
		{"the key of a disabled principal", filled(t, system("tax", accessv1.Principal_STATE_DISABLED), apiKey(active, now.Add(time.Hour))), key, false},
		{"the key of nobody", filled(t, apiKey(active, now.Add(time.Hour))), key, false},
		{"another text", filled(t, tax, apiKey(active, now.Add(time.Hour))), key[:len(key)-1] + "y", false},
		{"a text that is too short to be a key", filled(t, tax), "yzk_", false},
		{"nothing", filled(t, tax), "", false},
	} {
		who, err := c.d.ByKey(c.shown)
		if err != nil || (who != nil) != c.let {
			t.Errorf("%s: %v, %v", c.about, who, err)
		}
		if who != nil && (who.Name != "tax" || !slices.Equal(who.Bounds, []string{"town.*"})) {
			t.Errorf("%s: %+v", c.about, who)
		}
	}
}

// BenchmarkDecide is what authorisation adds to a call: who it is by the key, what they are granted among 10,000 bindings, and
// which grant the call rests on.
func BenchmarkDecide(b *testing.B) {
	all := []proto.Message{tax, apiKey(accessv1.ApiKey_STATE_ACTIVE, now.Add(time.Hour))}
	for i := range 50 {
		all = append(all, &accessv1.Role{Name: fmt.Sprintf("roles/%d", i), Permissions: []string{"town.*", "fund.disbursements.check", "*.get"}})
	}
	for i := range 10_000 {
		owner := tax.GetName()
		if i >= 4 {
			owner = fmt.Sprintf("principals/%d", i/4)
			all = append(all, system(fmt.Sprint(i/4), accessv1.Principal_STATE_ACTIVE))
		}
		all = append(all, &accessv1.Binding{Name: fmt.Sprintf("bindings/%05d", i), Principal: owner, Role: fmt.Sprintf("roles/%d", i%50),
			Division: "140500", State: accessv1.Binding_STATE_ACTIVE, ExpireTime: timestamppb.New(now.Add(time.Hour))})
	}
	d := filled(b, all...)
	b.ReportAllocs()
	for b.Loop() {
		who, err := d.ByKey(key)
		if err != nil || who == nil {
			b.Fatal(err)
		}
		if _, err := d.Of(who.Name); err != nil {
			b.Fatal(err)
		}
	}
}
