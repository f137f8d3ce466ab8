package record

import (
	"errors"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Validate checks a message against the rules of the contract, and names every field that breaks one.
func Validate(m proto.Message, options ...protovalidate.ValidationOption) error {
	err := protovalidate.Validate(m, options...)
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var about []fault.Detail
	var paths []string
	for _, v := range invalid.Violations {
		path := protovalidate.FieldPathString(v.Proto.GetField())
		paths = append(paths, path+" "+v.Proto.GetMessage())
		about = append(about, fault.Field(path, v.Proto.GetMessage()))
	}
	all := strings.Join(paths, "; ")
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD,
		"请求不符合接口约定："+all, "the request breaks the contract: "+all, about...)
}
