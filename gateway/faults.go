package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/fault"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// refusalDomain is the domain of the reasons below. They are about HTTP, which gRPC callers do not see, and so are not
// in the protos; the OpenAPI document lists them.
const refusalDomain = "gateway.yizhen"

// refusal is a request that the gateway itself turns down.
type refusal struct {
	status   int
	reason   string
	zh, en   string
	field    string
	metadata map[string]string
	header   http.Header
}

func (r *refusal) Error() string { return r.en }

// code is what the refusal would be called in gRPC; the log knows it under that name.
func (r *refusal) code() codes.Code {
	switch r.status {
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusMethodNotAllowed:
		return codes.Unimplemented
	case http.StatusRequestEntityTooLarge:
		return codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.InvalidArgument
}

var (
	// errNotModified cuts an answer short that the caller has already.
	errNotModified = errors.New("not modified")
	errNotUTF8     = errors.New("it is not UTF-8")
)

func noSuchPath(path string) error {
	return &refusal{status: http.StatusNotFound, reason: "NO_SUCH_PATH",
		zh: "没有此路径：" + path + "；接口列表见 /docs/", en: "there is no " + path + ": /docs/ lists what there is"}
}

func methodNotAllowed(method, allowed string) error {
	return &refusal{status: http.StatusMethodNotAllowed, reason: "METHOD_NOT_ALLOWED",
		zh: "此路径不支持 " + method + "，可用的方法：" + allowed, en: method + " is not possible here, but " + allowed,
		header: http.Header{"Allow": {allowed}}}
}

func malformedPath() error {
	return &refusal{status: http.StatusBadRequest, reason: "MALFORMED_PATH",
		zh: "路径编码有误，应为百分号编码的 UTF-8", en: "the path is malformed: it has to be percent-encoded UTF-8"}
}

func malformedQuery(err error) error {
	return &refusal{status: http.StatusBadRequest, reason: "MALFORMED_QUERY",
		zh: "查询参数有误：" + err.Error(), en: "the query is malformed: " + err.Error()}
}

func unknownParameter(name string) error {
	return &refusal{status: http.StatusBadRequest, reason: "UNKNOWN_PARAMETER", field: name,
		zh: "此接口没有查询参数 " + name, en: "the method has no query parameter " + name}
}

func malformedHeader(name, en, zh string) error {
	return &refusal{status: http.StatusBadRequest, reason: "MALFORMED_HEADER",
		zh: "请求头 " + name + " 有误：" + zh, en: name + ": " + en, metadata: map[string]string{"header": name}}
}

func contradiction(header, field string) error {
	return malformedHeader(header, "it contradicts the request's "+field, "与请求中的 "+field+" 不一致")
}

func notConditional() error {
	return malformedHeader("If-Match", "this method checks no etag", "此接口不检查 etag")
}

func malformedBody(en, zh string) error {
	return &refusal{status: http.StatusBadRequest, reason: "MALFORMED_BODY",
		zh: "请求体有误：" + zh, en: "the body is malformed: " + en}
}

func malformedJSON(line int, err error) error {
	return malformedBody(fmt.Sprintf("it is not JSON (line %d): %v", line, err), fmt.Sprintf("不是有效的 JSON（第 %d 行）：%v", line, err))
}

func bodyTooLarge(most int64) error {
	return &refusal{status: http.StatusRequestEntityTooLarge, reason: "BODY_TOO_LARGE",
		zh: fmt.Sprintf("请求体超过 %d 字节", most), en: fmt.Sprintf("the body has more than %d bytes", most),
		metadata: map[string]string{"max_bytes": fmt.Sprint(most)}}
}

func unsupportedMediaType() error {
	return &refusal{status: http.StatusUnsupportedMediaType, reason: "UNSUPPORTED_MEDIA_TYPE",
		zh: "请求体应为未压缩的 JSON，并带有 Content-Type: application/json",
		en: "the body has to be JSON, not compressed, with Content-Type: application/json"}
}

// unavailable says that a service gave no answer. It does not say, as fault.PeerUnavailable does, that nothing was done:
// the connection may have broken between the deed and the answer.
func unavailable(service string, code codes.Code) error {
	return &refusal{status: http.StatusServiceUnavailable, reason: "SERVICE_UNAVAILABLE",
		zh: service + " 服务没有响应（" + code.String() + "）；请稍后重试，改动类请求请沿用同一 Idempotency-Key，不会重复执行",
		en: "the " + service + " service does not answer (" + code.String() +
			"): try again, and send a change with the same Idempotency-Key, under which it is carried out once",
		metadata: map[string]string{"service": service}}
}

func tooManyWatchers(most int) error {
	return &refusal{status: http.StatusServiceUnavailable, reason: "TOO_MANY_WATCHERS",
		zh: fmt.Sprintf("已有 %d 个订阅者，请稍后重试", most), en: fmt.Sprintf("there are %d watchers already: try again later", most)}
}

func shuttingDown() error {
	return fault.New(codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN,
		"服务正在停止；请从最后收到的修订号继续", "the gateway is stopping: resume after the last revision received")
}
