package access

import (
	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/fault"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// The faults stand in the order of the contract's list of reasons. A fault says in Chinese and English which rule was
// broken and what to do, and names what it is about for programs.

// credentialTaken does not say whose the credential is: whoever may create a key need not be told which keys are known.
func credentialTaken(field string) error {
	return fault.New(codes.AlreadyExists, accessv1.Reason_REASON_CREDENTIAL_TAKEN,
		"字段 "+field+" 的凭证已被使用；每个凭证只对应一个主体，请另用一个",
		"the credential in "+field+" is in use already: each leads to one principal, so take another",
		fault.Field(field, "is in use already"))
}

func personHasNoCertificate() error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_CREDENTIAL_KIND_MISMATCH,
		"个人通过身份认证平台登录，不使用证书；请填写 oidc", "a person signs in with the identity provider and has no certificate: set oidc instead",
		fault.Field("principal.certificate_uri", "is for systems"))
}

func systemHasNoIdentity() error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_CREDENTIAL_KIND_MISMATCH,
		"系统不通过身份认证平台登录；请使用证书或密钥", "a system does not sign in with the identity provider: give it a certificate or a key",
		fault.Field("principal.oidc", "is for persons"))
}

func personHasNoKey(principal string) error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_CREDENTIAL_KIND_MISMATCH,
		principal+" 是个人，不能持有密钥；个人通过身份认证平台登录",
		principal+" is a person and has no keys: persons sign in with the identity provider",
		fault.Field("parent", "is a person"), fault.With("resource", principal))
}

func certificateReserved(uri string) error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_CERTIFICATE_RESERVED,
		"证书标识 "+uri+" 保留给本系统的服务；路径中请勿使用 service", "the certificate URI "+uri+" belongs to the services of the suite: keep `service` out of its path",
		fault.Field("principal.certificate_uri", "belongs to the services of the suite"))
}

func selfBinding() error {
	return fault.New(codes.FailedPrecondition, accessv1.Reason_REASON_SELF_GRANT,
		"不得给自己授权；请由他人办理", "nobody gives a role to themselves: somebody else has to",
		fault.Field("binding.principal", "is the caller"))
}

func selfEnabling() error {
	return fault.New(codes.FailedPrecondition, accessv1.Reason_REASON_SELF_GRANT,
		"不得自行解除停用；请由他人办理", "nobody takes the blocks off themselves: somebody else has to", fault.Field("name", "is the caller"))
}

func periodInvalid(field, zh, en string) error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_PERIOD_INVALID,
		"字段 "+field+" 的期限有误："+zh, "the period that "+field+" bounds is wrong: "+en, fault.Field(field, en))
}

func townOutsideDivision(town, division string) error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_TOWN_OUTSIDE_DIVISION,
		town+" 不在区划 "+division+" 之内；请改用该镇所属的区划", town+" does not lie in division "+division+": name the division that it lies in",
		fault.Field("binding.town", "does not lie in the division"), fault.With("division", division))
}

func permissionUnknown(field, permission string) error {
	return fault.New(codes.InvalidArgument, accessv1.Reason_REASON_PERMISSION_UNKNOWN,
		"没有任何方法声明与 "+permission+" 相符的权限；请核对拼写", "no method declares a permission that "+permission+" matches: look how it is spelt",
		fault.Field(field, "matches no permission"), fault.With("permission", permission))
}

func principalDisabled(principal string) error {
	return fault.New(codes.FailedPrecondition, accessv1.Reason_REASON_PRINCIPAL_DISABLED,
		principal+" 已停用；请先启用", principal+" is disabled: enable it first", fault.With("resource", principal))
}
