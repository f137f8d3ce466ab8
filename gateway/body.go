package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// admit stands in front of every handler of the API: it reads the request to its end, and refuses what is no sound
// request for a reason that does not need the service's word. An unsound one never gets to a service, half or whole.
func (g *Gateway) admit(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
		if probe, ok := r.Context().Value(probeKey{}).(*bool); ok {
			*probe = true
			return
		}
		c := callOf(r.Context())
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			c.route = pattern.String()
		}
		if err := c.readConditions(r); err != nil {
			g.refuse(w, r, err)
			return
		}
		if err := g.readBody(w, r); err != nil {
			g.refuse(w, r, err)
			return
		}
		next(w, r, pathParams)
	}
}

// readBody replaces the body by one that is in memory, complete, and JSON. The generated handlers decode the first JSON
// value of a body and pass over what follows it.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, g.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return bodyTooLarge(g.maxBody)
	case err != nil:
		return malformedBody("it ends before its end", "内容不完整")
	case len(text) == 0:
		r.Body = http.NoBody
		return nil
	}
	if err := checkMediaType(r.Header); err != nil {
		return err
	}
	if !utf8.Valid(text) {
		return malformedBody("it is not UTF-8", "不是有效的 UTF-8 编码")
	}
	if err := checkJSON(text); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return nil
}

func checkMediaType(header http.Header) error {
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := params["charset"]
	encoding := header.Get("Content-Encoding")
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") ||
		encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupportedMediaType()
	}
	return nil
}

// checkJSON tells where a body stops being JSON.
func checkJSON(text []byte) error {
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	if err == nil {
		return nil
	}
	at := len(text)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = min(int(syntax.Offset), len(text))
	}
	return malformedJSON(1+bytes.Count(text[:at], []byte("\n")), err)
}
