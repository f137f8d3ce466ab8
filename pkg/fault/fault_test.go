package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/fault"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// details returns the details of a type.
func details[T any](err error) (out []T) {
	for _, d := range status.Convert(err).Details() {
		if found, ok := d.(T); ok {
			out = append(out, found)
		}
	}
	return out
}

func TestNew(t *testing.T) {
	err := fault.New(codes.FailedPrecondition, typev1.Reason_REASON_STALE_ETAG, "已被修改", "it has changed",
		fault.With("resource", "towns/a"), fault.With("current_etag", "1"),
		fault.Field("town.etag", "is old"), fault.Field("town.title", "is long"))
	if st := status.Convert(err); st.Code() != codes.FailedPrecondition || st.Message() != "it has changed" {
		t.Errorf("the status is %v", st)
	}
	info := details[*errdetails.ErrorInfo](err)[0]
	if info.GetReason() != "STALE_ETAG" || info.GetDomain() != "type.yizhen" ||
		info.GetMetadata()["resource"] != "towns/a" || info.GetMetadata()["current_etag"] != "1" {
		t.Errorf("the info is %v", info)
	}
	texts := map[string]string{}
	for _, m := range details[*errdetails.LocalizedMessage](err) {
		texts[m.GetLocale()] = m.GetMessage()
	}
	if texts["zh-CN"] != "已被修改" || texts["en"] != "it has changed" {
		t.Errorf("the sentences are %q", texts)
	}
	fields := details[*errdetails.BadRequest](err)[0].GetFieldViolations()
	if len(fields) != 2 || fields[0].GetField() != "town.etag" || fields[1].GetDescription() != "is long" {
		t.Errorf("the fields are %v", fields)
	}
	if len(details[*errdetails.BadRequest](fault.NotFound("towns/a"))) != 0 {
		t.Error("a fault that is of no field has fields")
	}
}

func TestTextThatIsNoUTF8StillMakesAnError(t *testing.T) {
	err := fault.NotFound("towns/\xff")
	if status.Code(err) != codes.NotFound {
		t.Errorf("%v, want NOT_FOUND", err)
	}
}

func TestReasons(t *testing.T) {
	err := fault.NotFound("towns/a")
	wrapped := fmt.Errorf("read town: %w", err)
	if fault.ReasonOf(err) != "RESOURCE_NOT_FOUND" || fault.ReasonOf(errors.New("x")) != "" || fault.ReasonOf(nil) != "" {
		t.Errorf("the reason is %q", fault.ReasonOf(err))
	}
	for _, e := range []error{err, wrapped} {
		if !fault.Is(e, typev1.Reason_REASON_RESOURCE_NOT_FOUND) || fault.Is(e, typev1.Reason_REASON_RESOURCE_EXISTS) {
			t.Errorf("Is of %v", e)
		}
	}
	// The reasons of another list are others, even where the number is the same.
	for n := range townv1.Reason_name {
		if fault.Is(err, townv1.Reason(n)) {
			t.Errorf("it is also %v of the town registry", townv1.Reason(n))
		}
	}
	if fault.Is(errors.New("x"), typev1.Reason_REASON_RESOURCE_NOT_FOUND) || fault.Is(nil, typev1.Reason_REASON_RESOURCE_NOT_FOUND) {
		t.Error("an error without a reason has one")
	}
}

func TestEachKind(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason typev1.Reason
	}{
		{fault.InvalidField("town.title", "太长", "is too long"), codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD},
		{fault.NotFound("towns/a"), codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND},
		{fault.Exists("towns/a"), codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS},
		{fault.ReferenceNotFound("town", "towns/a"), codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND},
		{fault.StaleETag("towns/a", "1"), codes.Aborted, typev1.Reason_REASON_STALE_ETAG},
		{fault.PeerUnavailable("town", errors.New("x")), codes.Unavailable, typev1.Reason_REASON_PEER_UNAVAILABLE},
		{fault.Internal(), codes.Internal, typev1.Reason_REASON_INTERNAL},
		{fault.FromContext(context.DeadlineExceeded), codes.DeadlineExceeded, typev1.Reason_REASON_DEADLINE_EXCEEDED},
	} {
		if status.Code(c.err) != c.code || !fault.Is(c.err, c.reason) || !fault.IsStatus(c.err) {
			t.Errorf("%v, want %v with %v", c.err, c.code, c.reason)
		}
		if len(details[*errdetails.LocalizedMessage](c.err)) != 2 {
			t.Errorf("%v is not said in two languages", c.err)
		}
	}
	if err := fault.FromContext(fmt.Errorf("wait: %w", context.Canceled)); status.Code(err) != codes.Canceled {
		t.Errorf("a caller who left: %v", err)
	}
	other := errors.New("other")
	if !errors.Is(fault.FromContext(other), other) || status.Code(fault.FromContext(other)) != codes.Unknown || fault.IsStatus(other) {
		t.Error("another error is not left alone")
	}
}

func TestUnreachable(t *testing.T) {
	for code := range codes.Code(17) {
		want := false
		switch code {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Internal:
			want = true
		}
		if got := fault.Unreachable(status.Error(code, "")); got != want {
			t.Errorf("%v: no answer %v, want %v", code, got, want)
		}
	}
	if fault.Unreachable(nil) {
		t.Error("an answer is none")
	}
}

func ExampleNew() {
	err := fault.New(codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "没有此镇", "there is no such town",
		fault.With("resource", "towns/140525-casting"))
	fmt.Println(status.Code(err), fault.ReasonOf(err))
	// Output: NotFound RESOURCE_NOT_FOUND
}
