package page_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/page"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestSize(t *testing.T) {
	for asked, want := range map[int32]int{0: 50, 1: 1, 50: 50, 1000: 1000, 1001: 1000, 1<<31 - 1: 1000, -1: 50} {
		if got := page.Size(&townv1.ListTownsRequest{PageSize: asked}); got != want {
			t.Errorf("of %d asked for: %d, want %d", asked, got, want)
		}
	}
}

func TestToken(t *testing.T) {
	const next = "towns/140525-铸造"
	first := &townv1.ListTownsRequest{Division: "140525", PageSize: 10}
	token := page.Token(first, next)
	if first.GetPageToken() != "" || first.GetPageSize() != 10 {
		t.Error("the request was changed")
	}
	for _, c := range []struct {
		name  string
		req   page.Request
		start string
		fails bool
	}{
		{"the first page begins at the beginning", &townv1.ListTownsRequest{Division: "140525"}, "", false},
		{"the same request goes on", &townv1.ListTownsRequest{Division: "140525", PageToken: token, PageSize: 10}, next, false},
		{"also in pages of another size", &townv1.ListTownsRequest{Division: "140525", PageToken: token, PageSize: 20}, next, false},
		{"another filter does not", &townv1.ListTownsRequest{Division: "140581", PageToken: token}, "", true},
		{"no filter does not", &townv1.ListTownsRequest{PageToken: token}, "", true},
		{"another method does not", &townv1.ListEnterprisesRequest{Division: "140525", PageToken: token}, "", true},
		{"half a token does not", &townv1.ListTownsRequest{Division: "140525", PageToken: token[:10]}, "", true},
		{"a token without a place does not", &townv1.ListTownsRequest{Division: "140525", PageToken: page.Token(first, "")}, "", true},
		{"what is no base64 does not", &townv1.ListTownsRequest{Division: "140525", PageToken: token + "!"}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, err := page.Start(c.req)
			if c.fails {
				if status.Code(err) != codes.InvalidArgument || !fault.Is(err, typev1.Reason_REASON_INVALID_PAGE_TOKEN) {
					t.Errorf("Start: %q, %v; want INVALID_PAGE_TOKEN", start, err)
				}
				return
			}
			if err != nil || start != c.start {
				t.Errorf("Start: %q, %v; want %q", start, err, c.start)
			}
		})
	}
}

// FuzzStart: a token is refused, or says where to go on; nothing panics, and what Token makes of the place is understood.
func FuzzStart(f *testing.F) {
	req := &townv1.ListTownsRequest{Division: "140525"}
	f.Add(page.Token(req, "towns/140525-casting"), "140525")
	f.Add("", "")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 9)), "140525")
	f.Fuzz(func(t *testing.T, token, division string) {
		req := &townv1.ListTownsRequest{Division: division, PageToken: token}
		start, err := page.Start(req)
		if err != nil {
			if !fault.Is(err, typev1.Reason_REASON_INVALID_PAGE_TOKEN) || start != "" {
				t.Errorf("%q, %v", start, err)
			}
			return
		}
		if token == "" {
			return
		}
		req.PageToken = page.Token(req, start)
		if again, err := page.Start(req); err != nil || again != start {
			t.Errorf("the place %q comes back as %q, %v", start, again, err)
		}
	})
}

func ExampleToken() {
	req := &townv1.ListTownsRequest{Division: "140525", PageSize: 2}
	// The page is full, and the next row would be that of silk.
	req.PageToken = page.Token(req, "towns/140525-silk")
	start, err := page.Start(req)
	fmt.Println(start, err)
	// Output: towns/140525-silk <nil>
}
