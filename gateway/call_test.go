package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/rpc"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

func TestETag(t *testing.T) {
	e := newEdge(t)
	town := e.fakes["town"]
	town.on("GetTown", always(&townv1.Town{Name: "towns/140525-casting", Etag: "a1"}))
	town.on("UpdateTown", always(&townv1.Town{Name: "towns/140525-casting", Etag: "b2"}))
	town.on("SubmitDesignation", always(&townv1.Designation{Etag: "c3"}))

	t.Run("an answer with an etag has it in the header", func(t *testing.T) {
		res, body := e.do(http.MethodGet, casting, "")
		if res.StatusCode != http.StatusOK || res.Header.Get("ETag") != `"a1"` || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %v %s", res.StatusCode, res.Header, body)
		}
	})
	t.Run("an answer without one has none", func(t *testing.T) {
		if res, _ := e.do(http.MethodGet, "/v1/towns", ""); res.Header.Get("ETag") != "" {
			t.Errorf("got %q", res.Header.Get("ETag"))
		}
	})
	for have, status := range map[string]int{`"a1"`: 304, `W/"a1"`: 304, `"x", "a1"`: 304, `*`: 304, `"x"`: 200} {
		t.Run("If-None-Match "+have, func(t *testing.T) {
			res, body := e.do(http.MethodGet, casting, "", header{"If-None-Match", have})
			if res.StatusCode != status || res.Header.Get("ETag") != `"a1"` || (status == 304) != (body == "") {
				t.Errorf("got %d %v %q, want %d", res.StatusCode, res.Header, body, status)
			}
		})
	}
	t.Run("If-Match of an update is the resource's etag", func(t *testing.T) {
		res, body := e.do(http.MethodPatch, casting, `{"titleEn": "Casting"}`, header{"If-Match", `"a1"`})
		req := town.last(t).req.(*townv1.UpdateTownRequest)
		if res.StatusCode != http.StatusOK || req.GetTown().GetEtag() != "a1" || res.Header.Get("ETag") != `"b2"` {
			t.Errorf("got %d %s, the service %v", res.StatusCode, body, req)
		}
	})
	t.Run("If-Match of a verb is the request's etag", func(t *testing.T) {
		res, body := e.do(http.MethodPost, casting+"/designations/m:submit", `{"reason": "ready"}`, header{"If-Match", `"a1"`})
		req := town.last(t).req.(*townv1.SubmitDesignationRequest)
		if res.StatusCode != http.StatusOK || req.GetEtag() != "a1" || req.GetReason() != "ready" || req.GetName() != "towns/140525-casting/designations/m" {
			t.Errorf("got %d %s, the service %v", res.StatusCode, body, req)
		}
	})
	t.Run("If-Match of a removal is the request's etag", func(t *testing.T) {
		res, body := e.do(http.MethodDelete, casting+"/enterprises/91140525MA0GXXXX0X", "", header{"If-Match", `"a1"`})
		req := town.last(t).req.(*townv1.DeleteEnterpriseRequest)
		if res.StatusCode != http.StatusOK || req.GetEtag() != "a1" || strings.TrimSpace(body) != "{}" {
			t.Errorf("got %d %s, the service %v", res.StatusCode, body, req)
		}
	})
	t.Run("If-Match that says what the body says", func(t *testing.T) {
		if res, body := e.do(http.MethodPatch, casting, `{"etag": "a1"}`, header{"If-Match", `"a1"`}); res.StatusCode != http.StatusOK {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
	})
	t.Run("If-Match of a star demands what every change demands", func(t *testing.T) {
		res, _ := e.do(http.MethodPatch, casting, `{}`, header{"If-Match", "*"})
		if req := town.last(t).req.(*townv1.UpdateTownRequest); res.StatusCode != http.StatusOK || req.GetTown().GetEtag() != "" {
			t.Errorf("got %d, the service %v", res.StatusCode, req)
		}
	})
}

func TestUpdateMask(t *testing.T) {
	e := newEdge(t)
	for _, test := range []struct {
		name, query, body string
		headers           []header
		want              []string
	}{
		{"is what the body has", "", `{"titleEn": "x", "aliases": []}`, nil, []string{"aliases", "title_en"}},
		{"is the same in any order", "", `{"aliases": [], "titleEn": "x"}`, nil, []string{"aliases", "title_en"}},
		{"has no name and no etag of a resource sent back", "", `{"name": "towns/140525-casting", "etag": "a", "titleEn": "x"}`, nil, []string{"title_en"}},
		{"has no etag of a header", "", `{"titleEn": "x"}`, []header{{"If-Match", `"a"`}}, []string{"title_en"}},
		{"is left to the service when asked for", "?updateMask=titleEn,etag", `{"titleEn": "x", "titleZh": "y"}`, nil, []string{"title_en", "etag"}},
		{"may be asked for in proto names", "?update_mask=title_en", `{"titleEn": "x", "titleZh": "y"}`, nil, []string{"title_en"}},
		{"of nothing is empty", "", `{}`, nil, nil},
		{"of no body is empty", "", ``, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body := e.do(http.MethodPatch, casting+test.query, test.body, test.headers...)
			if res.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
			req := e.fakes["town"].last(t).req.(*townv1.UpdateTownRequest)
			if !slices.Equal(req.GetUpdateMask().GetPaths(), test.want) || req.GetTown().GetName() != "towns/140525-casting" {
				t.Errorf("got %v, want %v", req, test.want)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	e := newEdge(t)
	for _, test := range []struct {
		name, path, body, key, want string
	}{
		{"fills the request id", "/v1/towns?townId=140525-casting", `{}`, "key-1", "key-1"},
		{"may stand in quotes", "/v1/towns?townId=140525-casting", `{}`, `"key-1"`, "key-1"},
		{"may say what the query says", "/v1/towns?townId=140525-casting&requestId=key-1", `{}`, "key-1", "key-1"},
		{"fills that of a verb", casting + "/designations/m:submit", `{}`, "key-1", "key-1"},
		{"fills that of a verb without a body", casting + "/designations/m:submit", ``, "key-1", "key-1"},
		{"is not needed", casting + "/designations/m:submit", `{"requestId": "body-1"}`, "", "body-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body := e.do(http.MethodPost, test.path, test.body, header{"Idempotency-Key", test.key})
			if res.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
			if got := e.fakes["town"].last(t).req.(interface{ GetRequestId() string }).GetRequestId(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	e := newEdge(t)
	for _, test := range []struct {
		name, sent string
		taken      bool
	}{
		{"a well-formed one is taken", "office-7:2023.11_a", true},
		{"one of 64 characters is taken", strings.Repeat("a", 64), true},
		{"none is made up for", "", false},
		{"one that is too long is replaced", strings.Repeat("a", 65), false},
		{"one with spaces is replaced", "a b", false},
		{"one that would break a log line is replaced", "a\tb", false},
		{"one that is not ASCII is replaced", "泽州", false},
		{"one that would add a header is replaced", "a%0d%0aSet-Cookie: x=y", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, _ := e.do(http.MethodGet, casting, "", header{"X-Request-Id", test.sent})
			got := res.Header.Values("X-Request-Id")
			if len(got) != 1 || (got[0] == test.sent) != test.taken || !wellFormedID.MatchString(got[0]) || res.Header.Get("Set-Cookie") != "" {
				t.Errorf("got %v", res.Header)
			}
			if told := e.fakes["town"].last(t).md.Get(rpc.CorrelationKey); !slices.Equal(told, got) {
				t.Errorf("the service was told %q, the caller %q", told, got)
			}
		})
	}
}

// Of the headers, the service sees the credential; nothing gets to it by its name.
func TestForwardedHeaders(t *testing.T) {
	e := newEdge(t)
	e.do(http.MethodGet, casting, "",
		header{"Authorization", "Bearer secret"}, header{"Grpc-Metadata-Authorization", "Bearer forged"}, header{"Grpc-Metadata-X-Correlation-Id", "forged"},
		header{"Cookie", "a=b"}, header{"X-Forwarded-For", "10.0.0.1"}, header{"Grpc-Timeout", "1n"}, header{"X-Division", "140500"})
	var names []string
	md := e.fakes["town"].last(t).md
	for name := range md {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{":authority", "authorization", "content-type", "grpc-accept-encoding", "user-agent", "x-correlation-id"}; !slices.Equal(slices.DeleteFunc(names, func(n string) bool { return n == "grpc-timeout" }), slices.DeleteFunc(want, func(n string) bool { return n == "grpc-accept-encoding" && !slices.Contains(names, n) })) {
		t.Errorf("the service saw %v", names)
	}
	if got := md.Get("authorization"); !slices.Equal(got, []string{"Bearer secret"}) {
		t.Errorf("authorization is %q", got)
	}
}

// Zero is written, since 0 fen is a figure; 64-bit numbers are text, since JavaScript would round them.
func TestJSON(t *testing.T) {
	e := newEdge(t)
	e.fakes["town"].on("GetReport", func(context.Context, proto.Message) (proto.Message, error) {
		return &townv1.Report{Name: "towns/140525-casting/reports/2022", Figures: &townv1.Figures{OutputValueFen: 1296300000000}}, nil
	})
	_, body := e.do(http.MethodGet, casting+"/reports/2022", "")
	compact := strings.Join(strings.Fields(body), "")
	for _, want := range []string{`"outputValueFen":"1296300000000"`, `"employeesPersons":`, `"etag":""`} {
		if !strings.Contains(compact, want) {
			t.Errorf("no %s in %s", want, compact)
		}
	}
	if strings.Contains(compact, "null") {
		t.Errorf("there is a null in %s", compact)
	}
}

func TestParseTags(t *testing.T) {
	for text, want := range map[string][]tag{
		`"a"`:          {{"a", false}},
		`W/"a"`:        {{"a", true}},
		`"a" , W/"b"`:  {{"a", false}, {"b", true}},
		`"a,b"`:        {{"a,b", false}},
		`a`:            nil,
		`"a`:           nil,
		`"a"b`:         nil,
		`"a",`:         nil,
		`,"a"`:         nil,
		`w/"a"`:        nil,
		`""`:           nil,
		"\"a\x00\"":    nil,
		`"泽"`:          nil,
		``:             nil,
		`*`:            nil,
		`"a" "b"`:      nil,
		"\t\"a\"\t, ,": nil,
	} {
		got, ok := parseTags(text)
		if !slices.Equal(got, want) || ok != (want != nil) {
			t.Errorf("%q: got %v, %v", text, got, ok)
		}
	}
}

// What is taken for etags is what stands there, and can be written again.
func FuzzParseTags(f *testing.F) {
	for _, seed := range []string{`"a"`, `W/"a", "b"`, `*`, `"`, `"a" "b"`, `W/`, "\"\x00\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, ok := parseTags(text)
		if !ok {
			if tags != nil {
				t.Errorf("%q: refused, with %v", text, tags)
			}
			return
		}
		var again []string
		for _, tag := range tags {
			if !validTag(tag.opaque) || !strings.Contains(text, `"`+tag.opaque+`"`) {
				t.Errorf("%q: %q does not stand there", text, tag.opaque)
			}
			prefix := ""
			if tag.weak {
				prefix = "W/"
			}
			again = append(again, prefix+`"`+tag.opaque+`"`)
		}
		if got, ok := parseTags(strings.Join(again, ",")); !ok || !slices.Equal(got, tags) {
			t.Errorf("%q: %v is read again as %v", text, tags, got)
		}
	})
}
