package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// principalsByIdentity finds the principal that an identity provider knows by an identity. The value is a digest, since a
// subject may be any text.
var principalsByIdentity = store.Index[*accessv1.Principal]{
	Name: "identity",
	Keys: func(p *accessv1.Principal) []string {
		if p.GetOidc() == nil {
			return nil
		}
		// No URI has a line break in it, so the two parts are kept apart.
		sum := sha256.Sum256([]byte(p.GetOidc().GetIssuer() + "\n" + p.GetOidc().GetSubject()))
		return []string{hex.EncodeToString(sum[:])}
	},
}

// principalsByCertificate finds the principal that a certificate names.
var principalsByCertificate = store.Index[*accessv1.Principal]{
	Name: "certificate",
	Keys: func(p *accessv1.Principal) []string {
		if p.GetCertificateUri() == "" {
			return nil
		}
		return []string{p.GetCertificateUri()}
	},
}

// CreatePrincipal implements the AccessControl service.
func (s *Server) CreatePrincipal(ctx context.Context, req *accessv1.CreatePrincipalRequest) (*accessv1.Principal, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*accessv1.Principal, error) {
		p := record.New(req.GetPrincipal(), "principals/"+req.GetPrincipalId())
		p.State = PrincipalLifecycle.Initial
		if err := s.checkPrincipal(tx, nil, p); err != nil {
			return nil, err
		}
		return record.Create(tx, s.principals, p)
	})
}

// GetPrincipal implements the AccessControl service.
func (s *Server) GetPrincipal(ctx context.Context, req *accessv1.GetPrincipalRequest) (*accessv1.Principal, error) {
	return record.Get(ctx, s.db, s.principals, req.GetName())
}

// ListPrincipals implements the AccessControl service.
func (s *Server) ListPrincipals(ctx context.Context, req *accessv1.ListPrincipalsRequest) (*accessv1.ListPrincipalsResponse, error) {
	principals, next, err := record.List(ctx, s.db, s.principals, "principals/", req)
	if err != nil {
		return nil, err
	}
	return &accessv1.ListPrincipalsResponse{Principals: principals, NextPageToken: next}, nil
}

// UpdatePrincipal implements the AccessControl service.
func (s *Server) UpdatePrincipal(ctx context.Context, req *accessv1.UpdatePrincipalRequest) (*accessv1.Principal, error) {
	return record.Patch(ctx, s.db, s.principals, req, req.GetPrincipal(), s.checkPrincipal)
}

// DisablePrincipal implements the AccessControl service. Anybody may shut themselves out.
func (s *Server) DisablePrincipal(ctx context.Context, req *accessv1.DisablePrincipalRequest) (*accessv1.Principal, error) {
	return record.Follow(ctx, s.db, s.principals, req, PrincipalLifecycle, disable, nil)
}

// EnablePrincipal implements the AccessControl service.
func (s *Server) EnablePrincipal(ctx context.Context, req *accessv1.EnablePrincipalRequest) (*accessv1.Principal, error) {
	return record.Follow(ctx, s.db, s.principals, req, PrincipalLifecycle, enable, func(*journal.Tx, *accessv1.Principal) error {
		if isCaller(ctx, req.GetName()) {
			return selfEnabling()
		}
		return nil
	})
}

// checkPrincipal is the rule of what a principal may become: its credentials are of its kind, and nobody else's.
func (s *Server) checkPrincipal(tx *journal.Tx, _, after *accessv1.Principal) error {
	switch {
	case after.GetKind() == accessv1.Principal_KIND_PERSON && after.GetCertificateUri() != "":
		return personHasNoCertificate()
	case after.GetKind() == accessv1.Principal_KIND_SYSTEM && after.GetOidc() != nil:
		return systemHasNoIdentity()
	case reserved(after.GetCertificateUri()):
		return certificateReserved(after.GetCertificateUri())
	}
	if err := free(tx, s.principals, principalsByIdentity, after, "principal.oidc"); err != nil {
		return err
	}
	return free(tx, s.principals, principalsByCertificate, after, "principal.certificate_uri")
}

// free refuses a row whose credential, which the index is of, belongs to another row.
func free[T store.Row](r store.Reader, table *store.Table[T], index store.Index[T], row T, field string) error {
	for _, value := range index.Keys(row) {
		for other, err := range table.ScanIndex(r, index.Name, value, "") {
			if err != nil {
				return err
			}
			if other.GetName() != row.GetName() {
				return credentialTaken(field)
			}
		}
	}
	return nil
}

// reserved tells whether a certificate URI is of the kind that the services of the suite have: `service` is a part of its
// path.
func reserved(uri string) bool {
	_, path, _ := strings.Cut(strings.TrimPrefix(uri, "spiffe://"), "/")
	return strings.Contains("/"+path+"/", "/service/")
}

// isCaller tells whether a principal is who calls.
func isCaller(ctx context.Context, principal string) bool {
	return "principals/"+authn.FromContext(ctx).Name == principal
}

// active refuses a principal that is disabled.
func active(p *accessv1.Principal) error {
	if p.GetState() != accessv1.Principal_STATE_ACTIVE {
		return principalDisabled(p.GetName())
	}
	return nil
}
