package authn_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		patterns   string
		permission string
		want       bool
	}{
		{"town.designations.recommend", "town.designations.recommend", true},
		{"town.designations.recommend", "town.designations.review", false},
		{"town.*", "town.designations.recommend", true},
		{"town.*", "fund.disbursements.check", false},
		{"town.*", "townhall.keys.get", false},
		{"town.designations.*", "town.designations.get", true},
		{"town.designations.*", "town.towns.get", false},
		{"*.get", "fund.budgets.get", true},
		{"*.get", "fund.budgets.getAll", false},
		{"*", "fund.disbursements.pay", true},
		{"fund.*.get", "fund.lines.get", true},
		{"town.*, fund.*.get", "fund.lines.get", true},
		{"", "town.towns.get", false},
		{"town.towns.get", "", false},
		{"Town.*", "town.towns.get", false},
	} {
		if got := authn.Match(strings.Split(c.patterns, ", "), c.permission); got != c.want {
			t.Errorf("%q holds %q: %v, want %v", c.patterns, c.permission, got, c.want)
		}
	}
	if authn.Match(nil, "town.towns.get") {
		t.Error("no patterns cover a permission")
	}
}

func TestDivisionPrefix(t *testing.T) {
	for code, want := range map[string]string{
		"140000": "14", "140500": "1405", "140525": "140525", "140581": "140581", "110000": "11", "000000": "", "": "",
		"140510": "140510",
	} {
		if got := authn.DivisionPrefix(code); got != want {
			t.Errorf("DivisionPrefix(%q) = %q, want %q", code, got, want)
		}
	}
}

const good = `
principals:
  - name: zezhou/li
    token_sha256: %s
    permissions: ["town.*", "*.get"]
    division: "140525"
`

func TestReadCredentials(t *testing.T) {
	one, two := authn.Digest("one"), authn.Digest("two")
	entry := func(name, digest, division, permission string) string {
		return fmt.Sprintf("principals:\n  - {name: %q, token_sha256: %q, division: %q, permissions: [%q]}\n", name, digest, division, permission)
	}
	second := func(name, digest string) string {
		return entry("zezhou/li", one, "140525", "town.*") +
			fmt.Sprintf("  - {name: %q, token_sha256: %q, division: %q}\n", name, digest, "140581")
	}
	for _, c := range []struct{ name, text, problem string }{
		{"a whole file", fmt.Sprintf(good, one), ""},
		{"two principals", second("gaoping/xu", two), ""},
		{"nothing", "", "no principals"},
		{"no principals", "principals: []", "no principals"},
		{"no YAML", "principals: [", "credentials:"},
		{"a misspelt key", strings.Replace(fmt.Sprintf(good, one), "division:", "devision:", 1), "devision"},
		{"a key given twice", fmt.Sprintf(good, one) + "    division: \"140500\"\n", "division"},
		{"a second document", fmt.Sprintf(good, one) + "---\nprincipals: []\n", "more than one document"},
		{"no name", entry("", one, "140525", "town.*"), "name"},
		{"capitals in a name", entry("Li", one, "140525", "town.*"), "name"},
		{"a name too long", entry(strings.Repeat("l", 65), one, "140525", "town.*"), "name"},
		{"the token itself for its digest", entry("li", "one", "140525", "town.*"), "token_sha256"},
		{"half a digest", entry("li", one[:32], "140525", "town.*"), "token_sha256"},
		{"no division", entry("li", one, "", "town.*"), "division"},
		{"a short division", entry("li", one, "1405", "town.*"), "division"},
		{"a name for a division", entry("li", one, "zezhou", "town.*"), "division"},
		{"a pattern that is none", entry("li", one, "140525", "town.["), "town.["},
		{"one name twice", second("zezhou/li", two), "twice"},
		{"one token twice", second("gaoping/xu", one), "one token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			credentials, err := authn.ReadCredentials(strings.NewReader(c.text))
			if c.problem == "" {
				if err != nil || credentials == nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%v, want an error about %q", err, c.problem)
			}
		})
	}
}

// FuzzReadCredentials: whatever is read, nobody is let in who is not in it, and nothing panics.
func FuzzReadCredentials(f *testing.F) {
	f.Add(fmt.Sprintf(good, authn.Digest("one")))
	f.Add("principals: [{}]")
	f.Add("principals:\n- &a {name: a}\n- *a\n")
	f.Add("---\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		credentials, err := authn.ReadCredentials(strings.NewReader(text))
		if (credentials == nil) != (err != nil) {
			t.Fatalf("%v with %v", credentials, err)
		}
		if err != nil {
			return
		}
		if who, err := credentials.Authenticate(withToken("Bearer a token that nobody has")); err == nil {
			t.Errorf("let in as %v", who)
		}
	})
}

func withToken(authorization ...string) context.Context {
	md := metadata.MD{}
	md.Append("authorization", authorization...)
	return metadata.NewIncomingContext(context.Background(), md)
}

func TestAuthenticate(t *testing.T) {
	credentials, err := authn.NewCredentials(
		authn.Principal{Name: "zezhou/li", TokenSHA256: authn.Digest("one"), Division: "140525"},
		authn.Principal{Name: "city/wang", TokenSHA256: authn.Digest("two"), Division: "140500"},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		want string
	}{
		{"a token that is known", withToken("Bearer one"), "zezhou/li"},
		{"another", withToken("Bearer two"), "city/wang"},
		{"a scheme in small letters", withToken("bearer one"), "zezhou/li"},
		{"no metadata", context.Background(), ""},
		{"no token", withToken(), ""},
		{"an empty token", withToken("Bearer "), ""},
		{"no scheme", withToken("one"), ""},
		{"another scheme", withToken("Basic one"), ""},
		{"a token that is not known", withToken("Bearer three"), ""},
		{"a token and more", withToken("Bearer one two"), ""},
		{"the digest for the token", withToken("Bearer " + authn.Digest("one")), ""},
		{"two tokens", withToken("Bearer one", "Bearer two"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := credentials.Authenticate(c.ctx)
			if c.want != "" && (err != nil || who.Name != c.want) {
				t.Errorf("%v, %v; want %s", who, err, c.want)
			}
			if c.want == "" && (!fault.Is(err, typev1.Reason_REASON_UNAUTHENTICATED) || status.Code(err) != codes.Unauthenticated) {
				t.Errorf("%v, %v; want UNAUTHENTICATED", who, err)
			}
		})
	}
}

func TestWith(t *testing.T) {
	li := authn.Principal{Name: "zezhou/li", TokenSHA256: authn.Digest("one"), Division: "140525"}
	first, err := authn.NewCredentials(li)
	if err != nil {
		t.Fatal(err)
	}
	both, err := first.With(authn.Principal{Name: "service/fund", TokenSHA256: authn.Digest("two"), Division: "140500"})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"one", "two"} {
		if _, err := both.Authenticate(withToken("Bearer " + token)); err != nil {
			t.Errorf("%s: %v", token, err)
		}
	}
	if _, err := first.Authenticate(withToken("Bearer two")); err == nil {
		t.Error("the credentials that were extended have changed")
	}
	if _, err := both.With(li); err == nil {
		t.Error("a principal was added twice")
	}
}

func TestFromContext(t *testing.T) {
	if who := authn.FromContext(context.Background()); who == nil || who.Name != "" || authn.Match(who.Permissions, "town.towns.get") {
		t.Errorf("without a caller: %v", who)
	}
	ctx := authn.NewContext(context.Background(), &authn.Principal{Name: "zezhou/li"})
	if who := authn.FromContext(ctx); who.Name != "zezhou/li" {
		t.Errorf("the caller is %v", who)
	}
}

func TestBearerStaysOnTLS(t *testing.T) {
	if !(authn.Bearer{Token: "one"}).RequireTransportSecurity() {
		t.Error("a token may be sent in the clear")
	}
	if (authn.Bearer{Token: "one", Insecure: true}).RequireTransportSecurity() {
		t.Error("a token may not be sent over loopback")
	}
	md, err := authn.Bearer{Token: "one"}.GetRequestMetadata(context.Background())
	if err != nil || md["authorization"] != "Bearer one" {
		t.Errorf("%v, %v", md, err)
	}
}

func ExampleReadCredentials() {
	credentials, err := authn.ReadCredentials(strings.NewReader(`
principals:
  - name: zezhou/li
    token_sha256: ` + authn.Digest("a long random token") + `
    permissions: ["town.*", "*.get"]
    division: "140525"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	call := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer a long random token"))
	who, err := credentials.Authenticate(call)
	fmt.Println(who.Name, authn.Match(who.Permissions, "town.designations.recommend"), authn.Match(who.Permissions, "fund.disbursements.pay"), err)
	// Output: zezhou/li true false <nil>
}
