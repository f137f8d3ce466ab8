package gateway

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// call is what is known of a request while it is answered.
type call struct {
	id            string // the correlation id
	language      language
	authorization []string
	query         url.Values
	head          bool // asked with HEAD

	ifMatch        string   // the etag that a mutation was decided on; "" if none is demanded
	ifNoneMatch    []string // the etags that the caller has
	idempotencyKey string

	// direct writes past the compression, for a stream whose messages must not wait in a buffer.
	direct http.ResponseWriter

	// For the log.
	route, method, reason string
	code                  codes.Code
}

type callKey struct{}

// callOf returns the call of a request. Outside of one there is an empty call, which asks for nothing.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

var (
	wellFormedID  = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	printableText = regexp.MustCompile(`^[ -~]*$`)
)

// newCall reads what every request may say about itself. What is malformed here is passed over, since a page must be
// shown, and an error reported, to any request.
func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{id: r.Header.Get("X-Request-Id"), language: preferred(r.Header.Values("Accept-Language")), direct: w}
	if !wellFormedID.MatchString(c.id) {
		c.id = uuid.NewString()
	}
	for _, value := range r.Header.Values("Authorization") {
		// gRPC carries printable ASCII; a credential of anything else is unknown in any case.
		if printableText.MatchString(value) {
			c.authorization = append(c.authorization, value)
		}
	}
	return c
}

// readConditions reads what an API call says in its query and in headers that change what it does, and refuses what is
// malformed: a condition that was not understood must not count as met.
func (c *call) readConditions(r *http.Request) (err error) {
	if !utf8.ValidString(r.URL.Path) {
		return malformedPath()
	}
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return malformedQuery(err)
	}
	for key, values := range c.query {
		if !utf8.ValidString(key + strings.Join(values, "")) {
			return malformedQuery(errNotUTF8)
		}
	}
	if c.ifMatch, err = readIfMatch(r.Header.Values("If-Match")); err != nil {
		return err
	}
	if values := r.Header.Values("If-None-Match"); len(values) > 0 {
		if r.Method != http.MethodGet {
			return malformedHeader("If-None-Match", "only a GET may be conditional on it", "仅 GET 请求可以使用")
		}
		if c.ifNoneMatch, err = readIfNoneMatch(values); err != nil {
			return err
		}
	}
	c.idempotencyKey, err = readIdempotencyKey(r.Header.Values("Idempotency-Key"))
	return err
}

// readIfMatch returns the etag of an If-Match header (RFC 9110, 13.1.1). `*`, which demands that the resource is there,
// is what every mutation of the API demands anyway.
func readIfMatch(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	value := strings.TrimSpace(strings.Join(values, ", "))
	if value == "*" {
		return "", nil
	}
	tags, ok := parseTags(value)
	switch {
	case !ok:
		return "", malformedHeader("If-Match", `it has to be one etag in double quotes: "9f86d081884c7d65"`,
			`应为一个带双引号的 etag，例如 "9f86d081884c7d65"`)
	case len(tags) > 1:
		return "", malformedHeader("If-Match", "a change is decided on one state: give one etag", "只能给出一个 etag")
	case tags[0].weak:
		return "", malformedHeader("If-Match", "a weak etag proves nothing: give the strong one", "不接受弱 etag（W/），请给出强 etag")
	}
	return tags[0].opaque, nil
}

// readIfNoneMatch returns the etags of an If-None-Match header (RFC 9110, 13.1.2), which are compared weakly.
func readIfNoneMatch(values []string) ([]string, error) {
	value := strings.TrimSpace(strings.Join(values, ", "))
	if value == "*" {
		return []string{"*"}, nil
	}
	tags, ok := parseTags(value)
	if !ok {
		return nil, malformedHeader("If-None-Match", `it has to be etags in double quotes, with commas between them`,
			`应为带双引号的 etag，多个之间用逗号分隔`)
	}
	var opaque []string
	for _, t := range tags {
		opaque = append(opaque, t.opaque)
	}
	return opaque, nil
}

// readIdempotencyKey returns the key, which is the request's id. The IETF's draft writes it in double quotes, most clients
// do not.
func readIdempotencyKey(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if bare, ok := strings.CutPrefix(key, `"`); ok {
		if bare, ok = strings.CutSuffix(bare, `"`); ok {
			key = bare
		}
	}
	if len(values) > 1 || !wellFormedID.MatchString(key) {
		return "", malformedHeader("Idempotency-Key", "it has to be one key of 1 to 64 letters, digits and ._:-",
			"应为一个 1 至 64 个字符的键，只含字母、数字与 ._:-")
	}
	return key, nil
}

// tag is an entity tag (RFC 9110, 8.8.3).
type tag struct {
	opaque string
	weak   bool
}

// parseTags parses one or more entity tags with commas between them.
func parseTags(text string) (tags []tag, ok bool) {
	for {
		var t tag
		text = strings.TrimLeft(text, " \t")
		text, t.weak = strings.CutPrefix(text, "W/")
		if text, ok = strings.CutPrefix(text, `"`); !ok {
			return nil, false
		}
		if t.opaque, text, ok = strings.Cut(text, `"`); !ok || !validTag(t.opaque) {
			return nil, false
		}
		tags = append(tags, t)
		if text = strings.TrimLeft(text, " \t"); text == "" {
			return tags, true
		}
		if text, ok = strings.CutPrefix(text, ","); !ok {
			return nil, false
		}
	}
}

// validTag tells whether text can stand between the quotes of an entity tag. An empty one can by the RFC, but is no
// etag of ours, and as a condition it would demand nothing.
func validTag(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == '"' || c > '~' {
			return false
		}
	}
	return text != ""
}

// tagAnswer sets the ETag of an answer that has one, and cuts short an answer that the caller has already.
//
// The tag is the resource's version, the same whether the answer is compressed or not: it is made to be sent back in
// If-Match, and the answers are not to be stored by caches, which could mix the two up.
func tagAnswer(ctx context.Context, w http.ResponseWriter, answer proto.Message) error {
	resource, ok := answer.(interface{ GetEtag() string })
	if !ok || !validTag(resource.GetEtag()) {
		return nil
	}
	w.Header().Set("ETag", `"`+resource.GetEtag()+`"`)
	have := callOf(ctx).ifNoneMatch
	if slices.Contains(have, resource.GetEtag()) || slices.Contains(have, "*") {
		return errNotModified
	}
	return nil
}

func sortedKeys(query url.Values) []string { return slices.Sorted(maps.Keys(query)) }
