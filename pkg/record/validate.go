package record

import (
	"errors"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// ValidateRequest checks a request against the rules of the contract. An update brings only the fields that it changes,
// so the rules of its resource wait until the fields are in place: see Patch.
func ValidateRequest(req proto.Message) error {
	if _, update := req.(PatchRequest); !update {
		return Validate(req)
	}
	whole := req.ProtoReflect().Descriptor()
	return Validate(req, protovalidate.WithFilter(protovalidate.FilterFunc(
		func(m protoreflect.Message, _ protoreflect.Descriptor) bool { return m.Descriptor() == whole })))
}

// Validate checks a message against the rules of the contract, and names every field that breaks one.
func Validate(m proto.Message, options ...protovalidate.ValidationOption) error {
	err := protovalidate.Validate(m, options...)
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var about []fault.Detail
	var zh, en []string
	for _, v := range invalid.Violations {
		path := protovalidate.FieldPathString(v.Proto.GetField())
		zh = append(zh, path+" "+ruleZH(v))
		en = append(en, path+" "+v.Proto.GetMessage())
		about = append(about, fault.Field(path, v.Proto.GetMessage()))
	}
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD,
		"请求不符合接口约定："+strings.Join(zh, "；"), "the request breaks the contract: "+strings.Join(en, "; "), about...)
}
