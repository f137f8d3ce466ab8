package access_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

type principal = accessv1.Principal

func TestCredentialsOfAPrincipal(t *testing.T) {
	o := ready(t)
	for _, c := range []struct {
		shows  string
		p      *principal
		code   codes.Code
		reason protoreflect.Enum
		field  string
	}{
		{"the identity of another", person("chen"), codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN, "principal.oidc"},
		{"the certificate of another", system("tax"), codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN, "principal.certificate_uri"},
		{"a person with a certificate", with(person("new"), func(p *principal) { p.CertificateUri = "spiffe://jincheng/person/x" }),
			codes.InvalidArgument, accessv1.Reason_REASON_CREDENTIAL_KIND_MISMATCH, "principal.certificate_uri"},
		{"a system that signs in", with(system("new"), func(p *principal) { p.Oidc = person("new").GetOidc() }),
			codes.InvalidArgument, accessv1.Reason_REASON_CREDENTIAL_KIND_MISMATCH, "principal.oidc"},
		{"the certificate of a service", with(system("x"), func(p *principal) { p.CertificateUri = "spiffe://jincheng/service/fund" }),
			codes.InvalidArgument, accessv1.Reason_REASON_CERTIFICATE_RESERVED, "principal.certificate_uri"},
		{"the certificate of a service, deeper", with(system("x"), func(p *principal) { p.CertificateUri = "spiffe://a/b//service/fund" }),
			codes.InvalidArgument, accessv1.Reason_REASON_CERTIFICATE_RESERVED, "principal.certificate_uri"},
		{"no department", with(person("new"), func(p *principal) { p.Department = "" }),
			codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "principal.department"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := o.as(admin).CreatePrincipal(t.Context(), &accessv1.CreatePrincipalRequest{PrincipalId: "new", Principal: c.p})
			refused(t, err, c.code, c.reason, c.field)
		})
	}
	// A trust domain may have that name, and so may part of a word.
	o.principal("domain", with(system("x"), func(p *principal) { p.CertificateUri = "spiffe://service/system/x" }))
	o.principal("word", with(system("x"), func(p *principal) { p.CertificateUri = "spiffe://jincheng/service-desk/x" }))
}

func TestUpdateOfAPrincipal(t *testing.T) {
	o := ready(t)
	o.principal("wang", person("wang"))
	update := func(p *principal, paths ...string) (*principal, error) {
		return o.as(admin).UpdatePrincipal(t.Context(), &accessv1.UpdatePrincipalRequest{
			Principal: p, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		})
	}
	_, err := update(&principal{Name: "principals/wang", Oidc: person("chen").GetOidc()}, "oidc")
	refused(t, err, codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN, "principal.oidc")
	_, err = update(&principal{Name: "principals/wang", Kind: accessv1.Principal_KIND_SYSTEM}, "kind")
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, "")

	got, err := update(&principal{Name: "principals/wang", Oidc: person("wang.2").GetOidc()}, "oidc")
	ok(t, err)
	if got.GetOidc().GetSubject() != "wang.2" || got.GetTitle() != "陈某" {
		t.Errorf("the update makes %v", got)
	}
	o.principal("heir", person("wang")) // the identity that was given up is free
	_, err = update(&principal{Name: "principals/wang", Title: "王某", Etag: "0000000000000000"}, "title")
	refused(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "")
}

func TestRepeatedCreation(t *testing.T) {
	o := serve(t)
	req := &accessv1.CreatePrincipalRequest{PrincipalId: "chen", Principal: person("chen"), RequestId: "r-1"}
	first, err := o.as(admin).CreatePrincipal(t.Context(), req)
	ok(t, err)
	again, err := o.as(admin).CreatePrincipal(t.Context(), req)
	ok(t, err)
	if !proto.Equal(first, again) {
		t.Errorf("the repeated request gets %v, want %v", again, first)
	}
	req.Principal.Title = "another"
	_, err = o.as(admin).CreatePrincipal(t.Context(), req)
	refused(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED, "")
	req.RequestId = ""
	_, err = o.as(admin).CreatePrincipal(t.Context(), req)
	refused(t, err, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, "")
}

func TestShutOutAndLetIn(t *testing.T) {
	o := ready(t)
	out := &accessv1.DisablePrincipalRequest{Name: "principals/chen", Reason: "left", Etag: "0000000000000000"}
	_, err := o.as(admin).DisablePrincipal(t.Context(), out)
	refused(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "")
	out.Etag = ""
	p, err := o.as(admin).DisablePrincipal(t.Context(), out)
	ok(t, err)
	if d := p.GetDecisions(); p.GetState() != accessv1.Principal_STATE_DISABLED || len(d) != 1 || d[0].GetPrincipal() != admin {
		t.Errorf("shut out: %v", p)
	}
	_, err = o.as(admin).DisablePrincipal(t.Context(), out)
	refused(t, err, codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "")
	p, err = o.as(admin).EnablePrincipal(t.Context(), &accessv1.EnablePrincipalRequest{Name: "principals/chen", Reason: "back"})
	ok(t, err)
	if p.GetState() != accessv1.Principal_STATE_ACTIVE {
		t.Errorf("let in: %v", p)
	}
}

func TestNobodyLetsThemselvesIn(t *testing.T) {
	o := serve(t)
	o.principal(another, person("wu"))
	o.must(o.as(another).DisablePrincipal(t.Context(), &accessv1.DisablePrincipalRequest{Name: "principals/" + another, Reason: "leave"}))
	in := &accessv1.EnablePrincipalRequest{Name: "principals/" + another, Reason: "back"}
	_, err := o.as(another).EnablePrincipal(t.Context(), in)
	refused(t, err, codes.FailedPrecondition, accessv1.Reason_REASON_SELF_GRANT, "name")
	o.must(o.as(admin).EnablePrincipal(t.Context(), in))
}

func TestPagesOfPrincipals(t *testing.T) {
	o := serve(t)
	want := []string{"a", "b", "c", "d", "e"}
	for _, id := range want {
		o.principal(id, person(id))
	}
	var got []string
	req := &accessv1.ListPrincipalsRequest{PageSize: 2}
	for pages := 1; ; pages++ {
		res, err := o.as(reader).ListPrincipals(t.Context(), req)
		ok(t, err)
		for _, p := range res.GetPrincipals() {
			got = append(got, p.GetName()[len("principals/"):])
		}
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			if pages != 3 {
				t.Errorf("in %d pages", pages)
			}
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("lists %v", got)
	}
	_, err := o.as(reader).ListPrincipals(t.Context(), &accessv1.ListPrincipalsRequest{PageToken: "AAAA"})
	refused(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN, "page_token")
}
