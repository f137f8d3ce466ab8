package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

var update = flag.Bool("update", false, "write what the tests get into testdata")

// golden compares a document with the one in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(strings.TrimSpace(got)), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	indented.WriteByte('\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, indented.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if indented.String() != string(want) {
		t.Errorf("got\n%s\nwant, as in %s (go test -update writes it)\n%s", indented.String(), path, want)
	}
}

const casting = "/v1/towns/140525-casting"

// What a service answers becomes a problem document, whole.
func TestProblemOfStatus(t *testing.T) {
	e := newEdge(t)
	stale := fault.StaleETag("towns/140525-casting", "00000000000000b2")
	for _, test := range []struct {
		golden, language string
		err              error
		headers          []header
		status           int
	}{
		{golden: "not_found_en", err: fault.NotFound("towns/140525-casting"), status: 404},
		{golden: "not_found_zh", err: fault.NotFound("towns/140525-casting"), language: "zh-CN,zh;q=0.9,en;q=0.8", status: 404},
		{golden: "invalid_field_zh", err: fault.InvalidField("town.division", "没有此区划", "there is no such division"), language: "zh", status: 400},
		{golden: "stale_etag_in_body", err: stale, status: 409},
		{golden: "stale_etag_in_if_match", err: stale, headers: []header{{"If-Match", `"00000000000000a1"`}}, status: 412},
		{golden: "store_full", err: fault.New(codes.ResourceExhausted, typev1.Reason_REASON_STORE_FULL, "存储空间已满", "the store has no room left"), status: 507},
		{golden: "store_busy", err: fault.New(codes.ResourceExhausted, typev1.Reason_REASON_STORE_BUSY, "稍后重试", "try again", fault.RetryAfter(1500*time.Millisecond)), status: 429},
		{golden: "change_too_large", err: fault.New(codes.ResourceExhausted, typev1.Reason_REASON_CHANGE_TOO_LARGE, "过大", "too large"), status: 413},
		{golden: "unauthenticated", err: fault.New(codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED, "没有凭证", "no credential"), status: 401},
		{golden: "transition", err: fault.New(codes.FailedPrecondition, typev1.Reason_REASON_TRANSITION_NOT_PERMITTED, "不允许", "not now",
			fault.With("state", "DRAFT"), fault.With("verb", "announce"), fault.With("permitted", "submit,withdraw")), status: 400},
		{golden: "without_reason", err: status.Error(codes.ResourceExhausted, "message larger than max"), status: 429},
		{golden: "inside_is_hidden", err: status.Error(codes.Internal, "open /var/lib/yizhen/town.db: secret"), status: 500},
	} {
		t.Run(test.golden, func(t *testing.T) {
			e.fakes["town"].on("UpdateTown", refusing(test.err))
			res, body := e.do(http.MethodPatch, casting, `{"titleEn": "Casting"}`, append(test.headers, header{"Accept-Language", test.language})...)
			if res.StatusCode != test.status || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s, want %d", res.StatusCode, res.Header.Get("Content-Type"), test.status)
			}
			if got := res.Header.Get("Content-Language"); (got == "zh-CN") != strings.HasPrefix(test.language, "zh") {
				t.Errorf("Content-Language is %q", got)
			}
			if test.status == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("no WWW-Authenticate: %v", res.Header)
			}
			if test.golden == "store_busy" && res.Header.Get("Retry-After") != "2" {
				t.Errorf("1.5 s are said as Retry-After: %q", res.Header.Get("Retry-After"))
			}
			golden(t, test.golden, body)
		})
	}
}

// What is no sound request is refused by the edge itself, clearly, and goes no further.
func TestRefusals(t *testing.T) {
	e := newEdge(t, func(o *Options) { o.MaxBodyBytes = 1000 })
	const towns = "/v1/towns?townId=140525-casting"
	for _, test := range []struct {
		name, method, path, body string
		headers                  []header
		status                   int
		reason, says             string
	}{
		{"a body over the limit", "POST", towns, `{"titleEn": "` + strings.Repeat("x", 1000) + `"}`, nil, 413, "BODY_TOO_LARGE", "1000 bytes"},
		{"JSON that breaks off", "POST", towns, `{"titleEn": "Cast`, nil, 400, "MALFORMED_BODY", "line 1"},
		{"JSON with an error in its third line", "POST", towns, "{\n\"titleEn\":\n]}", nil, 400, "MALFORMED_BODY", "line 3"},
		{"something after the JSON", "POST", towns, `{"titleEn": "x"} {"titleEn": "y"}`, nil, 400, "MALFORMED_BODY", "after top-level value"},
		{"a body that is not UTF-8", "POST", towns, "{\"titleZh\": \"\xd4\xf3\xd6\xdd\"}", nil, 400, "MALFORMED_BODY", "UTF-8"},
		{"half a surrogate pair", "POST", towns, `{"titleZh": "\ud800"}`, nil, 400, "INVALID_FIELD", "surrogate"},
		{"a field that is not in the contract", "POST", towns, `{"titelEn": "x"}`, nil, 400, "INVALID_FIELD", `"field":"titelEn"`},
		{"a field given twice", "POST", towns, `{"titleEn": "x", "title_en": "y"}`, nil, 400, "INVALID_FIELD", `duplicate field`},
		{"a field of the wrong type", "POST", towns, `{"titleEn": 5}`, nil, 400, "INVALID_FIELD", `"field":"titleEn"`},
		{"an enum value that is not there", "POST", towns, `{"field": "FIELD_MINING"}`, nil, 400, "INVALID_FIELD", `"field":"field"`},
		{"an amount with a fraction", "POST", "/v1/budgets", `{"appropriationFen": 1.5}`, nil, 400, "INVALID_FIELD", ""},
		{"an array for an object", "POST", towns, `[]`, nil, 400, "INVALID_FIELD", "["},
		{"an unknown field in an update", "PATCH", casting, `{"titelEn": "x"}`, nil, 400, "INVALID_FIELD", `"field":"titelEn"`},
		{"a form", "POST", towns, `titleEn=x`, []header{{"Content-Type", "application/x-www-form-urlencoded"}}, 415, "UNSUPPORTED_MEDIA_TYPE", "application/json"},
		{"a body of no type", "POST", towns, `{}`, []header{{"Content-Type", ""}}, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"JSON in another charset", "POST", towns, `{}`, []header{{"Content-Type", "application/json; charset=gbk"}}, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"a compressed body", "POST", towns, `{}`, []header{{"Content-Encoding", "gzip"}}, 415, "UNSUPPORTED_MEDIA_TYPE", "not compressed"},
		{"a path that is not there", "GET", "/v1/villages", "", nil, 404, "NO_SUCH_PATH", "/v1/villages"},
		{"a verb that is not there", "POST", casting + "/designations/m:celebrate", `{}`, nil, 404, "NO_SUCH_PATH", ""},
		{"a page that is not there", "GET", "/admin", "", nil, 404, "NO_SUCH_PATH", ""},
		{"a method that the path has not", "PUT", casting, `{}`, nil, 405, "METHOD_NOT_ALLOWED", "GET, PATCH"},
		{"a method that is made up", "BREW", casting, "", nil, 405, "METHOD_NOT_ALLOWED", "GET, PATCH"},
		{"POST to a page", "POST", "/openapi.json", `{}`, nil, 405, "METHOD_NOT_ALLOWED", "GET, HEAD"},
		{"a method smuggled in a header", "POST", casting, `{}`, []header{{"X-HTTP-Method-Override", "GET"}, {"Content-Type", "application/x-www-form-urlencoded"}}, 405, "METHOD_NOT_ALLOWED", ""},
		{"a doubled slash", "GET", "/v1//towns", "", nil, 404, "NO_SUCH_PATH", ""},
		{"dots in the path", "GET", "/v1/towns/../budgets/2023", "", nil, 404, "NO_SUCH_PATH", ""},
		{"a path that is not UTF-8", "GET", "/v1/towns/%ff%fe", "", nil, 400, "MALFORMED_PATH", "UTF-8"},
		{"a query that is not UTF-8", "GET", "/v1/towns?division=%ff", "", nil, 400, "MALFORMED_QUERY", "UTF-8"},
		{"a query that cannot be decoded", "GET", "/v1/towns?division=%zz", "", nil, 400, "MALFORMED_QUERY", "%zz"},
		{"a query parameter that is not there", "GET", "/v1/towns?pagesize=5", "", nil, 400, "UNKNOWN_PARAMETER", "pagesize"},
		{"a query parameter that the path gives", "GET", casting + "?name=towns/140521-silk", "", nil, 400, "UNKNOWN_PARAMETER", "name"},
		{"a query parameter for a field of the body", "PATCH", casting + "?town.titleEn=x", `{}`, nil, 400, "UNKNOWN_PARAMETER", "town.titleEn"},
		{"a query parameter beside a body that is all", "POST", casting + "/designations/m:submit?reason=x", `{}`, nil, 400, "UNKNOWN_PARAMETER", "reason"},
		{"a query parameter of the wrong type", "GET", "/v1/towns?pageSize=many", "", nil, 400, "INVALID_FIELD", "page_size"},
		{"a query parameter given twice", "GET", "/v1/towns?pageSize=1&pageSize=2", "", nil, 400, "INVALID_FIELD", ""},
		{"If-Match without quotes", "PATCH", casting, `{}`, []header{{"If-Match", "abc"}}, 400, "MALFORMED_HEADER", "double quotes"},
		{"a weak If-Match", "PATCH", casting, `{}`, []header{{"If-Match", `W/"abc"`}}, 400, "MALFORMED_HEADER", "weak"},
		{"an If-Match that demands nothing", "PATCH", casting, `{}`, []header{{"If-Match", `""`}}, 400, "MALFORMED_HEADER", ""},
		{"two etags in If-Match", "PATCH", casting, `{}`, []header{{"If-Match", `"abc", "def"`}}, 400, "MALFORMED_HEADER", "one etag"},
		{"If-Match that contradicts the body", "PATCH", casting, `{"etag": "abc"}`, []header{{"If-Match", `"def"`}}, 400, "MALFORMED_HEADER", "contradicts"},
		{"If-Match on what checks no etag", "POST", towns, `{}`, []header{{"If-Match", `"abc"`}}, 400, "MALFORMED_HEADER", "checks no etag"},
		{"If-None-Match on a change", "PATCH", casting, `{}`, []header{{"If-None-Match", `"abc"`}}, 400, "MALFORMED_HEADER", "GET"},
		{"a malformed If-None-Match", "GET", casting, "", []header{{"If-None-Match", `"abc" "def"`}}, 400, "MALFORMED_HEADER", ""},
		{"a malformed Idempotency-Key", "PATCH", casting, `{}`, []header{{"Idempotency-Key", "a b"}}, 400, "MALFORMED_HEADER", "Idempotency-Key"},
		{"an Idempotency-Key that contradicts the query", "PATCH", casting + "?requestId=a", `{}`, []header{{"Idempotency-Key", "b"}}, 400, "MALFORMED_HEADER", "contradicts"},
		{"HEAD of a stream", "HEAD", "/v1/journals/town:watchChanges", "", nil, 405, "", ""},
		{"the journal of a service that is not there", "GET", "/v1/journals/weather:head", "", nil, 404, "RESOURCE_NOT_FOUND", "journals/weather"},
		{"the stream of a service that is not there", "GET", "/v1/journals/weather:watchChanges", "", nil, 404, "RESOURCE_NOT_FOUND", "journals/weather"},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body := e.do(test.method, test.path, test.body, test.headers...)
			if res.StatusCode != test.status || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %d %s %s, want %d", res.StatusCode, res.Header.Get("Content-Type"), body, test.status)
			}
			if test.status == 405 && (res.Header.Get("Allow") == "" || strings.Contains(res.Header.Get("Allow"), test.method)) {
				t.Errorf("Allow is %q", res.Header.Get("Allow"))
			}
			for _, f := range e.fakes {
				f.untouched(t)
			}
			if test.method == "HEAD" {
				return
			}
			var p problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if p.Status != test.status || p.Reason != test.reason || p.RequestID != "test-1" || p.Messages["zh-CN"] == "" || p.Messages["en"] == "" {
				t.Errorf("got %s, want the reason %s", body, test.reason)
			}
			if !strings.Contains(body, test.says) && !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), test.says) {
				t.Errorf("got %s, want it to say %s", body, test.says)
			}
		})
	}
}

// Every path of a name reaches the service as it was meant, or not at all.
func TestHostilePaths(t *testing.T) {
	e := newEdge(t)
	for path, name := range map[string]string{
		// An encoded slash or colon is part of an identifier, which the service then refuses. It never leads to
		// another method.
		"/v1/towns/140525%2Fdesignations": "towns/140525/designations",
		"/v1/towns/a%3Asubmit":            "towns/a:submit",
		"/v1/towns/%E6%B3%BD%E5%B7%9E":    "towns/泽州",
		"/v1/towns/a%00b":                 "towns/a\x00b",
		"/v1/towns/%3Cscript%3E":          "towns/<script>",
		"/v1/towns/..%2f..%2fetc":         "towns/../../etc",
	} {
		res, body := e.do(http.MethodGet, path, "")
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
			continue
		}
		last := e.fakes["town"].last(t)
		if req, ok := last.req.(*townv1.GetTownRequest); !ok || req.GetName() != name {
			t.Errorf("%s: the service was asked for %v, want %q", path, last, name)
		}
	}
}

func TestPreferredLanguage(t *testing.T) {
	for text, want := range map[string]language{
		"": english, "zh": chinese, "zh-CN": chinese, "zh-TW": chinese, "zh-Hans-CN;q=0.8": chinese, "en-GB": english, "fr": english,
		"fr, zh;q=0.5": chinese, "en;q=0.5, zh": chinese, "*": english, ";;": english, "zh\x00": english,
		strings.Repeat("-zh,", 5000): english,
	} {
		if got := preferred([]string{text}); got != want {
			t.Errorf("%.20q: got %s", text, got.tag())
		}
	}
}

func FuzzPreferredLanguage(f *testing.F) {
	for _, seed := range []string{"zh-CN,zh;q=0.9", "en", "*;q=0", "x-private", ";q=", "zh-Hant-TW-u-co-stroke"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if l := preferred([]string{text}); l != english && l != chinese {
			t.Errorf("%q: %d", text, l)
		}
	})
}

// A refusal is the same for errors.As however deep it is wrapped by the handlers.
func TestRefusalIsAnError(t *testing.T) {
	err := errors.Join(errors.New("outer"), noSuchPath("/x"))
	var own *refusal
	if !errors.As(err, &own) || own.code() != codes.NotFound {
		t.Errorf("got %v", err)
	}
}
