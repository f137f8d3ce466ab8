package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	xlanguage "golang.org/x/text/language"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/rpc"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// problem is a problem document (RFC 9457). The members from requestId on are ours.
type problem struct {
	Type      string            `json:"type"`
	Title     string            `json:"title"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail,omitempty"`
	Instance  string            `json:"instance"`
	RequestID string            `json:"requestId"`
	Reason    string            `json:"reason,omitempty"`
	Domain    string            `json:"domain,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Fields    []problemField    `json:"fields,omitempty"`
	Messages  map[string]string `json:"messages,omitempty"`

	header http.Header
}

type problemField struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

// newProblem makes the document of an error: of a status that a service answered, or of a refusal of the gateway's own.
func newProblem(c *call, r *http.Request, err error) *problem {
	p := &problem{Type: "about:blank", Instance: r.URL.EscapedPath(), RequestID: c.id, header: http.Header{}}
	var own *refusal
	if errors.As(err, &own) {
		p.takeRefusal(own)
		c.code = own.code()
	} else {
		st := status.Convert(err)
		p.takeStatus(st, c)
		c.code = st.Code()
	}
	if text := p.Messages[c.language.tag()]; text != "" {
		p.Detail = text
	}
	p.Title = c.language.title(p.Status, c.code)
	if p.Reason != "" {
		p.Type = "urn:yizhen:problem:" + p.Domain + ":" + p.Reason
		c.reason = p.Reason
	}
	switch p.Status {
	case http.StatusUnauthorized:
		p.header.Set("WWW-Authenticate", `Bearer realm="yizhen"`)
	case http.StatusServiceUnavailable:
		p.header.Set("Retry-After", "5")
	}
	return p
}

func (p *problem) takeRefusal(own *refusal) {
	p.Status, p.Reason, p.Domain = own.status, own.reason, refusalDomain
	p.Messages = map[string]string{chinese.tag(): own.zh, english.tag(): own.en}
	p.Metadata = own.metadata
	if own.field != "" {
		p.Fields = []problemField{{own.field, own.en}}
	}
	for key, values := range own.header {
		p.header[key] = values
	}
}

func (p *problem) takeStatus(st *status.Status, c *call) {
	p.Status, p.Detail = runtime.HTTPStatusFromCode(st.Code()), st.Message()
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			p.Reason, p.Domain, p.Metadata = detail.GetReason(), detail.GetDomain(), detail.GetMetadata()
		case *errdetails.LocalizedMessage:
			if p.Messages == nil {
				p.Messages = map[string]string{}
			}
			p.Messages[detail.GetLocale()] = detail.GetMessage()
		case *errdetails.RetryInfo:
			seconds := int(math.Ceil(detail.GetRetryDelay().AsDuration().Seconds()))
			p.header.Set("Retry-After", strconv.Itoa(seconds))
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				p.Fields = append(p.Fields, problemField{v.GetField(), v.GetDescription()})
			}
		}
	}
	switch err := st.Err(); {
	case c.ifMatch != "" && fault.Is(err, typev1.Reason_REASON_STALE_ETAG):
		// The condition was HTTP's, so HTTP's answer for one that does not hold is due (RFC 9110, 13.1.1). An
		// etag in the body is a value that conflicts.
		p.Status = http.StatusPreconditionFailed
	case fault.Is(err, typev1.Reason_REASON_STORE_FULL), fault.Is(err, maintenancev1.Reason_REASON_NO_ROOM_FOR_BACKUP):
		// 429 would say that the caller asks too often.
		p.Status = http.StatusInsufficientStorage
	case fault.Is(err, typev1.Reason_REASON_CHANGE_TOO_LARGE):
		p.Status = http.StatusRequestEntityTooLarge
	}
}

func (p *problem) marshal() []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	// A struct of text and numbers is always encoded.
	_ = encoder.Encode(p)
	return bytes.TrimSpace(text.Bytes())
}

// refuse answers with the problem document of an error.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	c := callOf(r.Context())
	p := newProblem(c, r, err)
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Language", c.language.tag())
	h.Add("Vary", "Accept-Language")
	for key, values := range p.header {
		h[key] = values
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(p.marshal(), '\n')) // a caller who left needs no answer
}

// answerError implements runtime.ErrorHandlerFunc.
func (g *Gateway) answerError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	var malformed *runtime.HTTPStatusError
	var own *refusal
	switch {
	case errors.Is(err, errNotModified):
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	case errors.As(err, &malformed):
		err = malformedPath()
	case errors.As(err, &own):
	case !fault.IsStatus(err):
		err = g.hide(r, err)
	case status.Code(err) == codes.InvalidArgument && fault.ReasonOf(err) == "":
		// Made by the generated handler, which could not read the request.
		err = unreadable(errors.New(status.Convert(err).Message()))
	}
	g.refuse(w, r, err)
}

// hide logs an error of the gateway's own making and returns what the caller is told of it.
func (g *Gateway) hide(r *http.Request, err error) error {
	g.logger.LogAttrs(r.Context(), slog.LevelError, "the gateway failed",
		slog.String(rpc.FieldCorrelation, callOf(r.Context()).id), slog.String(rpc.FieldError, err.Error()))
	return fault.Internal()
}

type probeKey struct{}

// answerNoRoute implements runtime.RoutingErrorHandlerFunc. Which methods a path has is found by asking the routes
// themselves, with a request that goes no further than admit.
func (g *Gateway) answerNoRoute(_ context.Context, mux *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int) {
	if r.Context().Value(probeKey{}) != nil {
		return
	}
	// No identifier has a colon in it: what stands after one is a verb, and here an unknown one.
	if httpStatus != http.StatusMethodNotAllowed || strings.Contains(r.URL.Path, ":") && r.Method == http.MethodPost {
		g.refuse(w, r, noSuchPath(r.URL.Path))
		return
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		found := false
		probe := r.Clone(context.WithValue(r.Context(), probeKey{}, &found))
		probe.Method = method
		mux.ServeHTTP(w, probe)
		if found {
			allowed = append(allowed, method)
		}
	}
	g.refuse(w, r, methodNotAllowed(r.Method, strings.Join(allowed, ", ")))
}

// unreadable says that a request, though it is JSON, is not the message that the method takes. The texts are those of
// protojson and of grpc-gateway; they are read for the name of the field only, and without one the sentence stands alone.
func unreadable(err error) error {
	text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
	if text == io.ErrUnexpectedEOF.Error() {
		// The body was found to be whole JSON before. What protojson looks for in vain is the other escape.
		text = `a \u escape is half of a surrogate pair`
	}
	var about []fault.Detail
	if match := namedField.FindStringSubmatch(text); match != nil {
		field := match[1] + match[2]
		about = append(about, fault.Field(field, text))
	}
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD,
		"请求内容与接口不符："+text, "the request is not what the method takes: "+text, about...)
}

var namedField = regexp.MustCompile(`(?:unknown field|duplicate field|duplicate map key|parsing field|could not find field|too many values for field) "([^"]+)"|for [a-zA-Z0-9_.]+ field ([a-zA-Z0-9_.]+):`)

// language is one of the two that the suite speaks.
type language int

const (
	english language = iota
	chinese
)

var languages = xlanguage.NewMatcher([]xlanguage.Tag{english: xlanguage.English, chinese: xlanguage.SimplifiedChinese})

func (l language) tag() string {
	if l == chinese {
		return "zh-CN"
	}
	return "en"
}

// preferred returns the language that the header asks for; English if it asks for none of ours, or is no header at all.
func preferred(accept []string) language {
	wanted, _, err := xlanguage.ParseAcceptLanguage(strings.Join(accept, ","))
	if err != nil || len(wanted) == 0 {
		return english
	}
	_, index, confidence := languages.Match(wanted...)
	if confidence == xlanguage.No {
		return english
	}
	return language(index)
}

// title returns what a status is called. A request that is well made, but not now, has the status of one that is badly
// made; it is not called so.
func (l language) title(status int, code codes.Code) string {
	zh, en := titles[status], http.StatusText(status)
	switch {
	case code == codes.FailedPrecondition:
		zh, en = "条件不满足", "Failed Precondition"
	case status == statusClientClosed:
		en = "Client Closed Request"
	}
	if l == chinese && zh != "" {
		return zh
	}
	return en
}

// statusClientClosed is what CANCELLED becomes: nobody reads it, but the log shows it.
const statusClientClosed = 499

var titles = map[int]string{
	http.StatusBadRequest:            "请求有误",
	http.StatusUnauthorized:          "未认证",
	http.StatusForbidden:             "没有权限",
	http.StatusNotFound:              "不存在",
	http.StatusMethodNotAllowed:      "不支持此方法",
	http.StatusConflict:              "冲突",
	http.StatusPreconditionFailed:    "前提不成立",
	http.StatusRequestEntityTooLarge: "请求体过大",
	http.StatusUnsupportedMediaType:  "不支持的内容类型",
	http.StatusTooManyRequests:       "超出限额",
	statusClientClosed:               "请求方已断开",
	http.StatusInternalServerError:   "服务器内部错误",
	http.StatusNotImplemented:        "未实现",
	http.StatusServiceUnavailable:    "服务暂不可用",
	http.StatusGatewayTimeout:        "超时",
	http.StatusInsufficientStorage:   "存储空间不足",
}
