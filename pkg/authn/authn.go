// Package authn tells who is calling. A caller shows a bearer token; the credentials that a server was
// started with say whose it is, what it permits, and for which division.
package authn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"gopkg.in/yaml.v3"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Principal is a caller that is known.
type Principal struct {
	// Name identifies the caller in the journal: `finance/wang`.
	Name string `yaml:"name"`
	// TokenSHA256 is the digest of the caller's token, in hexadecimal. The token itself is not kept.
	TokenSHA256 string `yaml:"token_sha256"`
	// Permissions are patterns of what the caller may do: `town.*`, `fund.disbursements.check`, `*.get`.
	// A star stands for any text.
	Permissions []string `yaml:"permissions"`
	// Division bounds the caller to a place and what is below it: `140525` is Zezhou county, `140500`
	// all of Jincheng.
	Division string `yaml:"division"`
	// Bounds are patterns that narrow whatever the caller is granted, if there are any: an API key may have them.
	Bounds []string `yaml:"-"`
}

// Match tells whether one of the patterns covers a permission.
func Match(patterns []string, permission string) bool {
	for _, pattern := range patterns {
		if ok, _ := path.Match(pattern, permission); ok {
			return true
		}
	}
	return false
}

// DivisionPrefix returns what the codes of a division and all below it begin with. The code is hierarchical, two digits
// a level, and ends in zeros above the county: 140000 is Shanxi, 140500 Jincheng, 140525 Zezhou.
func DivisionPrefix(code string) string {
	for strings.HasSuffix(code, "00") && len(code)%2 == 0 {
		code = code[:len(code)-2]
	}
	return code
}

// Credentials are the principals that a server knows.
type Credentials struct {
	principals []Principal
	byToken    map[[sha256.Size]byte]*Principal
}

var (
	validName     = regexp.MustCompile(`^[a-z0-9][a-z0-9/._-]{0,63}$`)
	validDivision = regexp.MustCompile(`^[0-9]{6}$`)
)

// NewCredentials makes credentials of principals, and refuses ones that are incomplete or double.
func NewCredentials(principals ...Principal) (*Credentials, error) {
	c := &Credentials{principals: principals, byToken: map[[sha256.Size]byte]*Principal{}}
	names := map[string]bool{}
	for _, p := range principals {
		raw, err := hex.DecodeString(p.TokenSHA256)
		switch {
		case !validName.MatchString(p.Name):
			return nil, fmt.Errorf("principal %q: a name has 1 to 64 lower-case letters, digits and ./_-", p.Name)
		case names[p.Name]:
			return nil, fmt.Errorf("principal %q is there twice", p.Name)
		case err != nil || len(raw) != sha256.Size:
			return nil, fmt.Errorf("principal %q: token_sha256 is not 64 hexadecimal digits", p.Name)
		case !validDivision.MatchString(p.Division):
			return nil, fmt.Errorf("principal %q: division is not a code of six digits", p.Name)
		}
		for _, pattern := range p.Permissions {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("principal %q: permission %q: %w", p.Name, pattern, err)
			}
		}
		key := [sha256.Size]byte(raw)
		if c.byToken[key] != nil {
			return nil, fmt.Errorf("principals %q and %q have one token", c.byToken[key].Name, p.Name)
		}
		names[p.Name] = true
		c.byToken[key] = &p
	}
	return c, nil
}

// ReadCredentials reads credentials in YAML: a list under the key `principals`. Unknown keys are refused, since a
// misspelt one could widen what a caller may do.
func ReadCredentials(r io.Reader) (*Credentials, error) {
	var file struct {
		Principals []Principal `yaml:"principals"`
	}
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("credentials: more than one document in the file")
	}
	if len(file.Principals) == 0 {
		return nil, errors.New("credentials: no principals")
	}
	return NewCredentials(file.Principals...)
}

// With returns credentials that know some more principals.
func (c *Credentials) With(more ...Principal) (*Credentials, error) {
	return NewCredentials(slices.Concat(c.principals, more)...)
}

// Digest returns what credentials keep of a token.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Authenticator finds out who calls.
type Authenticator interface {
	// Authenticate returns the caller, or a fault with the code UNAUTHENTICATED that does not tell why.
	Authenticate(ctx context.Context) (*Principal, error)
}

// Authenticate returns the principal whose token a call carries.
func (c *Credentials) Authenticate(ctx context.Context) (*Principal, error) {
	token, ok := BearerOf(ctx)
	if !ok {
		return nil, Unauthenticated()
	}
	if p := c.Find(token); p != nil {
		return p, nil
	}
	return nil, Unauthenticated()
}

// Find returns the principal whose token a text is, nil if it is nobody's. Tokens are looked up by digest, so the time taken says
// nothing about how near a guess was.
func (c *Credentials) Find(token string) *Principal { return c.byToken[sha256.Sum256([]byte(token))] }

// BearerOf returns the token that a call carries in its metadata, as `authorization: Bearer …`.
func BearerOf(ctx context.Context) (token string, ok bool) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}

// Unauthenticated says that a call carries no credential that is accepted, and nothing of why.
func Unauthenticated() error {
	return fault.New(codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED,
		"请求没有有效的凭证；请在 Authorization 头中携带 Bearer 令牌",
		"the call carries no valid credential: send a bearer token in the authorization header")
}

type contextKey struct{}

// NewContext returns a context that carries the principal.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the principal of a call. On a server every handler has one.
func FromContext(ctx context.Context) *Principal {
	p, _ := ctx.Value(contextKey{}).(*Principal)
	if p == nil {
		return &Principal{}
	}
	return p
}

// Bearer attaches a token to every call of a client connection.
type Bearer struct {
	Token string
	// Insecure permits sending it over a connection without TLS, which only loopback may do.
	Insecure bool
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b Bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.Token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (b Bearer) RequireTransportSecurity() bool { return !b.Insecure }
