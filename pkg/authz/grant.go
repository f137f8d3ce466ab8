package authz

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Grant is what a call may rest on: permissions for a place and a time. A caller may have several, and each call rests on one
// of them, so that the permission of one never meets the place of another.
type Grant struct {
	// Name is that of the binding, or of what else it comes from: `bindings/chen-fund-maker`, `credentials`.
	Name string
	// Permissions are patterns, as those of a role.
	Permissions []string
	// Division bounds it to a place and what is below it, as that of a principal does.
	Division string
	// Town bounds it further to one town and what stands under it, if not empty.
	Town string
	// Department bounds it further to what a department owes, if not empty.
	Department string
	// Start and Expire are when it begins and ends to hold; the zero time is no bound.
	Start, Expire time.Time
}

// Grants knows what callers are granted whose credentials carry no grant.
type Grants interface {
	// Of returns the grants of a principal in the order of their names. An error means that it is not known.
	Of(principal string) ([]Grant, error)
}

// Carried returns what a credential itself grants, which those of the credentials file do.
func Carried(who *authn.Principal) []Grant {
	if who.Division == "" {
		return nil
	}
	return []Grant{{Name: "credentials", Permissions: who.Permissions, Division: who.Division}}
}

func (g *Grant) prefix() string { return authn.DivisionPrefix(g.Division) }

func (g *Grant) holds(now time.Time) bool {
	return !now.Before(g.Start) && (g.Expire.IsZero() || now.Before(g.Expire))
}

// Permit returns those of a caller's grants that hold and permit a method at all. If there is none, the fault names the
// permission that is missing.
func (p *Policy) Permit(who *authn.Principal, grants []Grant, method string, now time.Time) ([]Grant, error) {
	permission := p.rules[method].permission
	if len(who.Bounds) == 0 || authn.Match(who.Bounds, permission) {
		permitting := slices.DeleteFunc(slices.Clone(grants), func(g Grant) bool {
			return !g.holds(now) || !authn.Match(g.Permissions, permission)
		})
		if len(permitting) > 0 {
			return permitting, nil
		}
	}
	return nil, fault.New(codes.PermissionDenied, typev1.Reason_REASON_PERMISSION_MISSING,
		"当前凭证没有权限："+permission, "the credential does not grant the permission "+permission,
		fault.With("permission", permission))
}

// Choose returns the grant that a call rests on: the first that reaches what the request touches. The request has to be valid:
// what no valid request leaves open is refused here.
func (p *Policy) Choose(permitting []Grant, method string, req proto.Message) (Grant, error) {
	r := p.rules[method]
	t := r.touches(req)
	reaching := slices.DeleteFunc(slices.Clone(permitting), func(g Grant) bool { return !g.reaches(r, t) })
	if len(reaching) == 0 {
		return Grant{}, outside(permitting, t)
	}
	if !t.open {
		return reaching[0], nil
	}
	// A list that is not narrowed shows all that one grant reaches: the widest, if it is one.
	widest := slices.MinFunc(reaching, func(a, b Grant) int { return len(a.prefix()) - len(b.prefix()) })
	for _, g := range reaching {
		if !strings.HasPrefix(g.prefix(), widest.prefix()) {
			return Grant{}, severalPlaces(reaching)
		}
	}
	return widest, nil
}

// target is what a request touches.
type target struct {
	named     string   // the value of the field that tells, for those who are refused
	divisions []string // that it lies in
	resources []string // that the fields name
	open      bool     // a list that is not narrowed
	unclear   bool     // it names something that lies in no division
}

func (r rule) touches(req proto.Message) (t target) {
	if r.cityWide || len(r.division) == 0 {
		return t
	}
	m := req.ProtoReflect()
	t.named = r.division.value(m)
	division := DivisionOf(t.named)
	// Only the division that narrows a list may be left open: the list is then narrowed to what the caller may see.
	t.unclear = t.named != "" && division == "" || t.named == "" && !r.division.narrows()
	for _, name := range []string{t.named, r.parent.value(m)} {
		if d := DivisionOf(name); d != "" {
			t.divisions = append(t.divisions, d)
			t.resources = append(t.resources, name)
		}
	}
	t.open = len(t.divisions) == 0
	return t
}

// reaches tells whether a grant reaches what a call of a method touches.
func (g *Grant) reaches(r rule, t target) bool {
	if g.Department != "" && !r.departmentScoped {
		return false
	}
	switch {
	case r.cityWide:
		return len(g.prefix()) <= cityDigits && g.Town == ""
	case len(r.division) == 0:
		return true // reference data
	case t.unclear:
		return false
	}
	for _, d := range t.divisions {
		if !strings.HasPrefix(authn.DivisionPrefix(d), g.prefix()) {
			return false
		}
	}
	return g.Town == "" || slices.ContainsFunc(t.resources, g.inTown)
}

func (g *Grant) inTown(resource string) bool {
	return resource == g.Town || strings.HasPrefix(resource, g.Town+"/")
}

func outside(permitting []Grant, t target) error {
	touched, touchedZH := t.named, t.named
	if touched == "" && !t.open {
		touched, touchedZH = strings.Join(t.divisions, ", "), strings.Join(t.divisions, "、")
	}
	if touched == "" {
		touched, touchedZH = "the city as a whole", "全市"
	}
	bound := places(permitting)
	return fault.New(codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION,
		"请求涉及 "+touchedZH+"，超出凭证所属范围 "+strings.Join(bound, "、"),
		"the call touches "+touched+", and the credential is bound to "+strings.Join(bound, ", "),
		fault.With("division", strings.Join(bound, ",")))
}

// Lost says that a caller has lost the grant that a call in progress rests on.
func Lost(grant string) error {
	return fault.New(codes.PermissionDenied, typev1.Reason_REASON_GRANT_LOST,
		"请求所依据的授权 "+grant+" 已失效", "the call rests on "+grant+", which does not hold any more", fault.With("grant", grant))
}

func severalPlaces(reaching []Grant) error {
	bound := places(reaching)
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_DIVISION_AMBIGUOUS,
		"您在多个区划有授权（"+strings.Join(bound, "、")+"），每次查询依据其中一项；请用 division 指明",
		"you are granted this in several divisions ("+strings.Join(bound, ", ")+"), and a call rests on one grant: say which with division",
		fault.Field("division", "is needed where several grants apply"), fault.With("divisions", strings.Join(bound, ",")))
}

// places tells what grants are bound to.
func places(grants []Grant) (bound []string) {
	for _, g := range grants {
		place := g.Division
		if g.Town != "" {
			place = g.Town
		}
		if g.Department != "" {
			place += " " + g.Department
		}
		if !slices.Contains(bound, place) {
			bound = append(bound, place)
		}
	}
	return bound
}

type contextKey struct{}

// NewContext returns a context that carries the grant that a call rests on.
func NewContext(ctx context.Context, g Grant) context.Context {
	return context.WithValue(ctx, contextKey{}, g)
}

// FromContext returns the grant that a call rests on. On a server every handler has one.
func FromContext(ctx context.Context) Grant {
	g, _ := ctx.Value(contextKey{}).(Grant)
	return g
}
