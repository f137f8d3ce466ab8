package jincheng

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// restClient speaks REST to the gateway, each call as one of the offices whose tokens it holds.
type restClient struct {
	url    string
	http   *http.Client
	tokens map[string]string
	// calls counts what was sent.
	calls int
}

// answerTimeout is how long an answer may take before the demo gives up.
const answerTimeout = 30 * time.Second

func newRESTClient(url string, tokens map[string]string) *restClient {
	return &restClient{url: url, tokens: tokens, http: &http.Client{Timeout: answerTimeout}}
}

// get reads a resource, a page or a sum.
func (c *restClient) get(ctx context.Context, who, path string, answer proto.Message) error {
	return c.send(ctx, who, http.MethodGet, path, "", nil, answer)
}

// post creates a resource or takes a step. The request id is the name of the request in the story: sent again, it is
// answered as it was the first time, and nothing is done twice.
func (c *restClient) post(ctx context.Context, who, path, requestID string, body, answer proto.Message) error {
	return c.send(ctx, who, http.MethodPost, path, requestID, body, answer)
}

func (c *restClient) send(ctx context.Context, who, method, path, requestID string, body, answer proto.Message) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s %s as %s: %w", method, path, who, err)
		}
	}()
	var sent io.Reader
	if body != nil {
		raw, err := protojson.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, sent)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.tokens[who])
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if requestID != "" {
		req.Header.Set("Idempotency-Key", requestID)
	}
	c.calls++
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return problem(res.StatusCode, raw)
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, answer)
}

// problem makes an error of a refusal.
func problem(status int, raw []byte) error {
	var p struct{ Reason, Detail string }
	if err := json.Unmarshal(raw, &p); err != nil || p.Detail == "" {
		return fmt.Errorf("status %d: %s", status, strings.TrimSpace(string(raw)))
	}
	return fmt.Errorf("status %d, %s: %s", status, p.Reason, p.Detail)
}
