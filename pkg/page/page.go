// Package page keeps the place in a long list between two requests (AIP-158). A token names the row to
// go on from, so pages stay right while rows are added, and belongs to the request it was made for.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// Bounds of a page.
const (
	DefaultSize = 50
	MaxSize     = 1000
)

// Request is a list request.
type Request interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// Size returns how many rows the request asks for: DefaultSize if it does not say, MaxSize at the most.
func Size(r Request) int {
	if r.GetPageSize() <= 0 {
		return DefaultSize
	}
	return min(int(r.GetPageSize()), MaxSize)
}

// checkBytes of the request's digest stand in the token.
const checkBytes = 8

// Token returns the token with which the same request goes on at the row of that name.
func Token(r Request, next string) string {
	return base64.RawURLEncoding.EncodeToString(append(digest(r), next...))
}

// Start returns the name of the row at which a request goes on: empty for a first page. A token made for
// another request is refused.
func Start(r Request) (string, error) {
	if r.GetPageToken() == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(r.GetPageToken())
	if err != nil || len(raw) <= checkBytes || string(raw[:checkBytes]) != string(digest(r)) {
		return "", fault.New(codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN,
			"page_token 不属于此请求；请不带 page_token 重新开始",
			"page_token was not issued for this request: begin again without one",
			fault.Field("page_token", "was not issued for this request"))
	}
	return string(raw[checkBytes:]), nil
}

// digest identifies a request by everything but its place and the size of its page, which may change from
// page to page.
func digest(r Request) []byte {
	same := proto.Clone(r).ProtoReflect()
	fields := same.Descriptor().Fields()
	same.Clear(fields.ByName("page_token"))
	same.Clear(fields.ByName("page_size"))
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(same.Interface())
	if err != nil {
		return make([]byte, checkBytes) // a request that cannot be encoded was never decoded
	}
	sum := sha256.Sum256(append([]byte(strings.ToLower(string(same.Descriptor().FullName()))), raw...))
	return sum[:checkBytes]
}
