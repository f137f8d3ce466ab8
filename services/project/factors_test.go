package project_test

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

func (w *world) pool(who, id string, total int64) *projectv1.FactorQuota {
	w.t.Helper()
	return must[*projectv1.FactorQuota](w.t)(w.as(who).CreateFactorQuota(w.t.Context(), &projectv1.CreateFactorQuotaRequest{
		FactorQuotaId: id,
		FactorQuota:   &projectv1.FactorQuota{Factor: projectv1.Factor_FACTOR_LAND, Title: id, TotalThousandths: total, ReservedThousandths: 5},
	}))
}

func (w *world) ask(id, project, pool string, quantity int64) *projectv1.FactorRequest {
	w.t.Helper()
	return must[*projectv1.FactorRequest](w.t)(w.as(zezhou).CreateFactorRequest(w.t.Context(), &projectv1.CreateFactorRequestRequest{
		FactorRequestId: id,
		FactorRequest:   &projectv1.FactorRequest{Project: project, FactorQuota: pool, QuantityThousandths: quantity},
	}))
}

func (w *world) expectPool(name string, total, reserved, consumed int64) {
	w.t.Helper()
	q := must[*projectv1.FactorQuota](w.t)(w.as(reader).GetFactorQuota(w.t.Context(), &projectv1.GetFactorQuotaRequest{Name: name}))
	got := [4]int64{q.GetTotalThousandths(), q.GetReservedThousandths(), q.GetConsumedThousandths(), q.GetAvailableThousandths()}
	if want := [4]int64{total, reserved, consumed, total - reserved - consumed}; got != want {
		w.t.Errorf("%s has total, reserved, consumed, available %v, want %v", name, got, want)
	}
}

func TestFactorsAreReservedConsumedAndReleased(t *testing.T) {
	w := newWorld(t)
	p, pool := w.enter("140525-line-2"), w.pool(zezhou, "140525-land-2023", 10_000)
	w.expectPool(pool.GetName(), 10_000, 0, 0)
	a, b, c := w.ask("140525-a", p.GetName(), pool.GetName(), 6_000), w.ask("140525-b", p.GetName(), pool.GetName(), 4_000), w.ask("140525-c", p.GetName(), pool.GetName(), 1)
	w.expectPool(pool.GetName(), 10_000, 0, 0)
	reserve := func(r *projectv1.FactorRequest) error {
		_, err := w.as(zezhou).ReserveFactorRequest(t.Context(), &projectv1.ReserveFactorRequestRequest{Name: r.GetName()})
		return err
	}
	for _, r := range []*projectv1.FactorRequest{a, b} {
		if err := reserve(r); err != nil {
			t.Fatal(err)
		}
	}
	about := refused(t, reserve(c), codes.FailedPrecondition, "INSUFFICIENT_QUOTA", "")
	if about["available_thousandths"] != "0" || about["wanted_thousandths"] != "1" || about["factor_quota"] != pool.GetName() {
		t.Errorf("refused about %v", about)
	}
	w.expectPool(pool.GetName(), 10_000, 10_000, 0)
	consume := &projectv1.ConsumeFactorRequestRequest{Name: a.GetName(), RequestId: "once"}
	for range 2 {
		got := must[*projectv1.FactorRequest](t)(w.as(zezhou).ConsumeFactorRequest(t.Context(), consume))
		if got.GetState() != projectv1.FactorRequest_STATE_CONSUMED {
			t.Errorf("consumed as %v", got)
		}
	}
	w.expectPool(pool.GetName(), 10_000, 4_000, 6_000)
	_, err := w.as(zezhou).ReleaseFactorRequest(t.Context(), &projectv1.ReleaseFactorRequestRequest{Name: a.GetName()})
	refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")

	w.drive(p.GetName(), "cancel")
	refused(t, reserve(c), codes.FailedPrecondition, "PROJECT_CANCELLED", "")
	_, err = w.as(zezhou).ConsumeFactorRequest(t.Context(), &projectv1.ConsumeFactorRequestRequest{Name: b.GetName()})
	refused(t, err, codes.FailedPrecondition, "PROJECT_CANCELLED", "")
	_, err = w.as(zezhou).CreateFactorRequest(t.Context(), &projectv1.CreateFactorRequestRequest{
		FactorRequestId: "140525-d", FactorRequest: &projectv1.FactorRequest{Project: p.GetName(), FactorQuota: pool.GetName(), QuantityThousandths: 1},
	})
	refused(t, err, codes.FailedPrecondition, "PROJECT_CANCELLED", "")
	must[*projectv1.FactorRequest](t)(w.as(zezhou).ReleaseFactorRequest(t.Context(), &projectv1.ReleaseFactorRequestRequest{Name: b.GetName()}))
	must[*projectv1.FactorRequest](t)(w.as(zezhou).RejectFactorRequest(t.Context(), &projectv1.RejectFactorRequestRequest{Name: c.GetName(), Reason: "cancelled"}))
	w.expectPool(pool.GetName(), 10_000, 0, 6_000)
	t.Run("the total is not brought below what is used", func(t *testing.T) {
		resize := func(total int64) error {
			_, err := w.as(zezhou).UpdateFactorQuota(t.Context(), &projectv1.UpdateFactorQuotaRequest{
				FactorQuota: &projectv1.FactorQuota{Name: pool.GetName(), TotalThousandths: total},
				UpdateMask:  &fieldmaskpb.FieldMask{Paths: []string{"total_thousandths"}},
			})
			return err
		}
		about := refused(t, resize(5_999), codes.FailedPrecondition, "QUOTA_IN_USE", "factor_quota.total_thousandths")
		if about["used_thousandths"] != "6000" {
			t.Errorf("refused about %v", about)
		}
		if err := resize(6_000); err != nil {
			t.Fatal(err)
		}
		w.expectPool(pool.GetName(), 6_000, 0, 6_000)
	})
}

// However many ask at once, no more is reserved than there is.
func TestConcurrentReservationsStayWithinThePool(t *testing.T) {
	w := newWorld(t)
	p, pool := w.enter("140525-line-2"), w.pool(zezhou, "140525-land-2023", 10)
	client := w.as(zezhou)
	var names []string
	for i := range 20 {
		names = append(names, w.ask(fmt.Sprintf("140525-r%d", i), p.GetName(), pool.GetName(), 3).GetName())
	}
	results := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			_, results[i] = client.ReserveFactorRequest(t.Context(), &projectv1.ReserveFactorRequestRequest{Name: name})
		})
	}
	all.Wait()
	done := 0
	for _, err := range results {
		switch {
		case err == nil:
			done++
		case status.Code(err) != codes.FailedPrecondition:
			t.Error(err)
		}
	}
	if done != 3 {
		t.Errorf("%d requests of 3 were reserved in a pool of 10", done)
	}
	w.expectPool(pool.GetName(), 10, 9, 0)
}

func TestPoolOfTheCity(t *testing.T) {
	w := newWorld(t)
	p, pool := w.enter("140525-line-2"), w.pool(city, "140500-land-2023", 10)
	r := w.ask("140525-a", p.GetName(), pool.GetName(), 3)
	_, err := w.as(zezhou).ReserveFactorRequest(t.Context(), &projectv1.ReserveFactorRequestRequest{Name: r.GetName()})
	refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
	w.expectPool(pool.GetName(), 10, 0, 0)
	must[*projectv1.FactorRequest](t)(w.as(city).ReserveFactorRequest(t.Context(), &projectv1.ReserveFactorRequestRequest{Name: r.GetName()}))
	w.expectPool(pool.GetName(), 10, 3, 0)
}

func TestFactorRequestsRefused(t *testing.T) {
	w := newWorld(t)
	p, pool, elsewhere := w.enter("140525-line-2"), w.pool(zezhou, "140525-land-2023", 10), w.pool(gaoping, "140581-land-2023", 10)
	for name, c := range map[string]struct {
		id     string
		sent   *projectv1.FactorRequest
		code   codes.Code
		reason string
		field  string
	}{
		"a project of another division": {"140581-a", &projectv1.FactorRequest{Project: p.GetName(), FactorQuota: pool.GetName(), QuantityThousandths: 1}, codes.InvalidArgument, "DIVISION_MISMATCH", "factor_request.project"},
		"a pool of another county":      {"140525-a", &projectv1.FactorRequest{Project: p.GetName(), FactorQuota: elsewhere.GetName(), QuantityThousandths: 1}, codes.InvalidArgument, "DIVISION_MISMATCH", "factor_request.factor_quota"},
		"no such pool":                  {"140525-a", &projectv1.FactorRequest{Project: p.GetName(), FactorQuota: "factorQuotas/140525-none", QuantityThousandths: 1}, codes.FailedPrecondition, "REFERENCE_NOT_FOUND", "factor_request.factor_quota"},
		"no such project":               {"140525-a", &projectv1.FactorRequest{Project: "projects/140525-none", FactorQuota: pool.GetName(), QuantityThousandths: 1}, codes.FailedPrecondition, "REFERENCE_NOT_FOUND", "factor_request.project"},
		"nothing asked for":             {"140525-a", &projectv1.FactorRequest{Project: p.GetName(), FactorQuota: pool.GetName()}, codes.InvalidArgument, "INVALID_FIELD", "factor_request.quantity_thousandths"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.as(city).CreateFactorRequest(t.Context(), &projectv1.CreateFactorRequestRequest{FactorRequestId: c.id, FactorRequest: c.sent})
			refused(t, err, c.code, c.reason, c.field)
		})
	}
	r := w.ask("140525-a", p.GetName(), pool.GetName(), 2)
	r = must[*projectv1.FactorRequest](t)(w.as(zezhou).UpdateFactorRequest(t.Context(), &projectv1.UpdateFactorRequestRequest{FactorRequest: &projectv1.FactorRequest{Name: r.GetName(), QuantityThousandths: 3}}))
	must[*projectv1.FactorRequest](t)(w.as(zezhou).ReserveFactorRequest(t.Context(), &projectv1.ReserveFactorRequestRequest{Name: r.GetName()}))
	_, err := w.as(zezhou).UpdateFactorRequest(t.Context(), &projectv1.UpdateFactorRequestRequest{FactorRequest: &projectv1.FactorRequest{Name: r.GetName(), QuantityThousandths: 9}})
	refused(t, err, codes.FailedPrecondition, "NOT_EDITABLE", "")
	w.expectPool(pool.GetName(), 10, 3, 0)
	list := must[*projectv1.ListFactorRequestsResponse](t)(w.as(city).ListFactorRequests(t.Context(), &projectv1.ListFactorRequestsRequest{FactorQuota: pool.GetName(), State: projectv1.FactorRequest_STATE_RESERVED}))
	if len(list.GetFactorRequests()) != 1 {
		t.Errorf("lists %v", list.GetFactorRequests())
	}
	pools := must[*projectv1.ListFactorQuotasResponse](t)(w.as(zezhou).ListFactorQuotas(t.Context(), &projectv1.ListFactorQuotasRequest{Factor: projectv1.Factor_FACTOR_LAND}))
	if len(pools.GetFactorQuotas()) != 1 {
		t.Errorf("a county lists %v", pools.GetFactorQuotas())
	}
}
