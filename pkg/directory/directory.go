// Package directory is what a service knows of who may call it and what for. It follows the journal of the access service and
// answers from memory, so that a call is decided without asking anybody, and a change there counts here within a moment.
package directory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/fault"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// DefaultMaxAge is for how long a service goes by what it knows when it does not hear from the access service.
const DefaultMaxAge = 5 * time.Minute

// Directory is what is known. Until it is filled, and when it is too old, it knows nobody. It is safe for concurrent use.
type Directory struct {
	maxAge time.Duration
	now    func() time.Time // by the clock that terms and expiries go by

	mu    sync.RWMutex
	known *state    // nil until it was filled
	heard time.Time // when the access service was heard last, in real time
}

var _ authz.Grants = (*Directory)(nil)

// New returns a directory that knows nobody yet. Expiries go by now.
func New(now func() time.Time, maxAge time.Duration) *Directory {
	return &Directory{now: now, maxAge: maxAge}
}

// state is one copy of what the access service keeps, by the ways in which it is asked for.
type state struct {
	principals map[string]*accessv1.Principal // by resource name
	roles      map[string]*accessv1.Role
	keys       map[[sha256.Size]byte]*accessv1.ApiKey
	bindings   map[string][]*accessv1.Binding // by principal, in the order of their names
}

func newState() *state {
	return &state{
		principals: map[string]*accessv1.Principal{},
		roles:      map[string]*accessv1.Role{},
		keys:       map[[sha256.Size]byte]*accessv1.ApiKey{},
		bindings:   map[string][]*accessv1.Binding{},
	}
}

// put takes in a resource as it is now. A resource of a kind that nobody asks for is passed over.
func (s *state) put(m proto.Message) error {
	switch r := m.(type) {
	case *accessv1.Principal:
		s.principals[r.GetName()] = r
	case *accessv1.Role:
		s.roles[r.GetName()] = r
	case *accessv1.ApiKey:
		raw, err := hex.DecodeString(r.GetKeySha256())
		if err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("%s has no digest", r.GetName())
		}
		s.keys[[sha256.Size]byte(raw)] = r
	case *accessv1.Binding:
		held := s.bindings[r.GetPrincipal()]
		at, found := slices.BinarySearchFunc(held, r, func(a, b *accessv1.Binding) int { return cmp.Compare(a.GetName(), b.GetName()) })
		held = slices.Clone(held)
		if found {
			held[at] = r
		} else {
			held = slices.Insert(held, at, r)
		}
		s.bindings[r.GetPrincipal()] = held
	}
	return nil
}

// replace puts what was read anew in place of what was known.
func (d *Directory) replace(s *state) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known, d.heard = s, realTime()
}

// take takes in a changed resource; without one it was only heard that nothing has changed.
func (d *Directory) take(m proto.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = realTime()
	if m == nil {
		return nil
	}
	return d.known.put(m)
}

// look calls see with what is known, if that is known well enough to go by.
func (d *Directory) look(see func(*state)) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.known == nil || realTime().Sub(d.heard) > d.maxAge {
		return unknown()
	}
	see(d.known)
	return nil
}

func realTime() time.Time {
	return time.Now() //nolint:forbidigo // silence is counted in real time
}

// Of implements authz.Grants.
func (d *Directory) Of(principal string) (grants []authz.Grant, err error) {
	name := principalName(principal)
	err = d.look(func(s *state) {
		if s.principals[name].GetState() != accessv1.Principal_STATE_ACTIVE {
			return
		}
		for _, b := range s.bindings[name] {
			if g, ok := grantOf(b, s.roles[b.GetRole()]); ok {
				grants = append(grants, g)
			}
		}
	})
	return grants, err
}

// grantOf returns what a binding of a role grants, unless it was revoked.
func grantOf(b *accessv1.Binding, role *accessv1.Role) (authz.Grant, bool) {
	if b.GetState() != accessv1.Binding_STATE_ACTIVE {
		return authz.Grant{}, false
	}
	g := authz.Grant{
		Name:        b.GetName(),
		Permissions: role.GetPermissions(),
		Division:    b.GetDivision(),
		Town:        b.GetTown(),
		Department:  b.GetDepartment(),
		Expire:      b.GetExpireTime().AsTime(),
	}
	if b.GetStartTime() != nil {
		g.Start = b.GetStartTime().AsTime()
	}
	return g, true
}

// KeyPrefix begins every API key.
const KeyPrefix = "yzk_"

// keyLength is that of a key: its prefix, and 32 bytes in base64url.
const keyLength = len(KeyPrefix) + 43

// ByKey returns the principal whose API key a text is, nil if it is nobody's. Keys are looked up by digest, so the time taken
// says nothing about how near a guess was.
func (d *Directory) ByKey(text string) (who *authn.Principal, err error) {
	if len(text) != keyLength || !strings.HasPrefix(text, KeyPrefix) {
		return nil, nil
	}
	now := d.now()
	err = d.look(func(s *state) {
		key := s.keys[sha256.Sum256([]byte(text))]
		if key.GetState() != accessv1.ApiKey_STATE_ACTIVE || !now.Before(key.GetExpireTime().AsTime()) {
			return
		}
		owner, _, _ := strings.Cut(key.GetName(), "/apiKeys/")
		if s.principals[owner].GetState() != accessv1.Principal_STATE_ACTIVE {
			return
		}
		who = &authn.Principal{Name: strings.TrimPrefix(owner, principals), Bounds: key.GetPermissions()}
	})
	return who, err
}

const principals = "principals/"

func principalName(id string) string { return principals + id }

func unknown() error {
	return fault.New(codes.Unavailable, typev1.Reason_REASON_GRANTS_UNKNOWN,
		"暂时无法得知授权情况（权限服务未应答），未做任何操作；请稍后重试",
		"what callers are granted is not known for now, since the access service does not answer; nothing was done: try again later",
		fault.With("service", "access"))
}
