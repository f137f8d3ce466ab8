// Package fault makes the errors that callers see: a gRPC status with a stable reason, what it is about,
// and the sentence in Chinese and English that says what to do.
//
// A reason is a value of an enum named Reason in a service's proto. It stands in google.rpc.ErrorInfo without its
// prefix, and the domain tells whose list it is from: `town.yizhen` for yizhen.town.v1.
package fault

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Detail adds to a fault what it is about.
type Detail func(*details)

type details struct {
	metadata   map[string]string
	retryAfter time.Duration
	violations []*errdetails.BadRequest_FieldViolation
}

// With adds a fact under a key that programs can rely on.
func With(key, value string) Detail {
	return func(d *details) { d.metadata[key] = value }
}

// Field names a field of the request that is wrong, and what is wrong with it.
func Field(path, description string) Detail {
	return func(d *details) {
		d.violations = append(d.violations, &errdetails.BadRequest_FieldViolation{Field: path, Description: description})
	}
}

// RetryAfter says when the same request may be sent again.
func RetryAfter(delay time.Duration) Detail {
	return func(d *details) { d.retryAfter = delay }
}

// New makes a fault. The English sentence is the status message; both are attached for the reader to choose from.
func New(code codes.Code, reason protoreflect.Enum, zh, en string, about ...Detail) error {
	d := &details{metadata: map[string]string{}}
	for _, add := range about {
		add(d)
	}
	name, domain := identify(reason)
	attached := []protoadapt.MessageV1{
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: name, Domain: domain, Metadata: d.metadata}),
		protoadapt.MessageV1Of(&errdetails.LocalizedMessage{Locale: "zh-CN", Message: zh}),
		protoadapt.MessageV1Of(&errdetails.LocalizedMessage{Locale: "en", Message: en}),
	}
	if len(d.violations) > 0 {
		attached = append(attached, protoadapt.MessageV1Of(&errdetails.BadRequest{FieldViolations: d.violations}))
	}
	if d.retryAfter > 0 {
		attached = append(attached, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(d.retryAfter)}))
	}
	st, err := status.New(code, en).WithDetails(attached...)
	if err != nil {
		// Only a message that cannot be encoded, such as text that is not UTF-8, gets here.
		return status.Error(code, strings.ToValidUTF8(en, "�"))
	}
	return st.Err()
}

// identify returns a reason's name without prefix, and the domain of its package.
func identify(reason protoreflect.Enum) (name, domain string) {
	d := reason.Descriptor()
	if v := d.Values().ByNumber(reason.Number()); v != nil {
		name = strings.TrimPrefix(string(v.Name()), "REASON_")
	}
	parts := strings.Split(string(d.ParentFile().Package()), ".")
	if len(parts) > 1 {
		domain = parts[1] + "." + parts[0]
	}
	return name, domain
}

// ReasonOf returns the reason in an error's ErrorInfo, empty if there is none.
func ReasonOf(err error) string { return infoOf(err).GetReason() }

// Is tells whether an error carries the reason.
func Is(err error, reason protoreflect.Enum) bool {
	name, domain := identify(reason)
	info := infoOf(err)
	return info.GetReason() == name && info.GetDomain() == domain
}

func infoOf(err error) *errdetails.ErrorInfo {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// InvalidField refuses a field of the request.
func InvalidField(path, zh, en string) error {
	return New(codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD,
		"字段 "+path+" 有误："+zh, "invalid "+path+": "+en, Field(path, en))
}

// NotADate refuses a date that is no day of the calendar.
func NotADate(path string) error {
	return InvalidField(path, "不是完整有效的日期", "is no day of the calendar, with year, month and day")
}

// DivisionMismatch refuses a resource that a field names, since it is not in the charge of the division that an identifier
// begins with.
func DivisionMismatch(path, named, id string) error {
	return New(codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH,
		"字段 "+path+" 所指的 "+named+" 不属于标识 "+id+" 开头的区划；请使用本区划的标识",
		path+" names "+named+", which is not of the division that "+id+" begins with: use an identifier of its division",
		With("resource", named), Field(path, "is not of the same division"))
}

// IdentifierMismatch refuses an identifier that does not begin with the division of its town.
func IdentifierMismatch(path, id, division string) error {
	return New(codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH,
		"标识 "+id+" 须以专业镇的区划代码 "+division+" 开头",
		"the identifier "+id+" has to begin with the division of its town, "+division+"-",
		With("division", division), Field(path, "does not begin with the division of its town"))
}

// NotFound says that a resource is not there.
func NotFound(name string) error {
	return New(codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND,
		"没有此资源："+name, "there is no "+name, With("resource", name))
}

// Exists says that a resource is there already.
func Exists(name string) error {
	return New(codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS,
		"资源已存在："+name, name+" exists already", With("resource", name))
}

// ReferenceNotFound says that a field names a resource that is not there.
func ReferenceNotFound(path, name string) error {
	return New(codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND,
		"字段 "+path+" 所指的资源不存在："+name, path+" names "+name+", which does not exist",
		With("resource", name), Field(path, "names a resource that does not exist"))
}

// StaleETag says that a resource was changed since the caller read it.
func StaleETag(name, current string) error {
	return New(codes.Aborted, typev1.Reason_REASON_STALE_ETAG,
		name+" 已被他人修改，请重新读取后再操作", name+" has changed since it was read: read it again and decide anew",
		With("resource", name), With("current_etag", current))
}

// PeerUnavailable says that another service, whose word was needed, did not give it. Nothing was done.
func PeerUnavailable(service string, err error) error {
	return New(codes.Unavailable, typev1.Reason_REASON_PEER_UNAVAILABLE,
		"需要 "+service+" 服务的答复，但它没有响应；未作任何更改，请稍后重试",
		"the "+service+" service is needed and does not answer ("+status.Code(err).String()+"); nothing was done, try again",
		With("service", service))
}

// Unreachable tells whether an error of a call to another service means that the service gave no answer,
// rather than that it refused.
func Unreachable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Internal:
		return true
	}
	return false
}

// Internal hides a fault of the server from the caller; the error itself belongs in the log.
func Internal() error {
	return New(codes.Internal, typev1.Reason_REASON_INTERNAL,
		"服务器内部错误，已记入日志", "a fault of the server; it is in the log")
}

// FromContext turns the end of a context into a status, and leaves other errors alone.
func FromContext(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return New(codes.DeadlineExceeded, typev1.Reason_REASON_DEADLINE_EXCEEDED,
			"未能在期限内完成；带请求号的操作可以放心重发", "not finished within the deadline; a call with a request id may safely be sent again")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller left")
	}
	return err
}

// IsStatus tells whether an error is already one that callers may see.
func IsStatus(err error) bool {
	_, ok := status.FromError(err)
	return ok
}
