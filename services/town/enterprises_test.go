package town_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestCreditCodesAreChecked(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	for _, c := range []struct {
		shows, code string
		reason      protoreflect.Enum
		fact        string
	}{
		{"the published example is well formed", "91350100M000100Y43", nil, ""},
		{"check of the organisation code", "91350100M000100Y53", typev1.Reason_REASON_CREDIT_CODE_INVALID, "rule=organisation_check"},
		{"check of the whole", "91350100M000100Y44", typev1.Reason_REASON_CREDIT_CODE_INVALID, "rule=check"},
		{"a letter that no code has", "91350100M000100I43", typev1.Reason_REASON_CREDIT_CODE_INVALID, "rule=form"},
		{"too short", "91350100M000100Y4", typev1.Reason_REASON_CREDIT_CODE_INVALID, "field=enterprise_id"},
		{"none", "", typev1.Reason_REASON_INVALID_FIELD, "field=enterprise_id"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := r.as(zezhou).CreateEnterprise(t.Context(), &townv1.CreateEnterpriseRequest{
				Parent: casting, EnterpriseId: c.code,
				Enterprise: &townv1.Enterprise{Title: "样例铸造有限公司", Role: townv1.Enterprise_ROLE_LEADER},
			})
			if c.reason == nil {
				ok(t, err)
				return
			}
			wantRefusal(t, err, codes.InvalidArgument, c.reason, c.fact)
		})
	}
}

func TestOwnersCreditCodeIsChecked(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	enter := func(code string) error {
		_, err := r.as(zezhou).CreateAsset(t.Context(), &townv1.CreateAssetRequest{Parent: casting, AssetId: "mark", Asset: &townv1.Asset{
			Kind: townv1.Asset_KIND_TRADEMARK, Title: "a mark", OwnerCode: code,
		}})
		return err
	}
	err := enter("91350100M000100Y44")
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_CREDIT_CODE_INVALID, "field=asset.owner_code", "rule=check")
	ok(t, enter("91350100M000100Y43"))
	_, err = r.as(zezhou).UpdateAsset(t.Context(), &townv1.UpdateAssetRequest{
		Asset: &townv1.Asset{Name: casting + "/assets/mark", OwnerCode: "91350100M000100Y53"},
	})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_CREDIT_CODE_INVALID, "rule=organisation_check")
}

func TestDatesAreDaysOfTheCalendar(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	never := &date.Date{Year: 2023, Month: 2, Day: 29}
	c, ctx := r.as(zezhou), t.Context()
	refused := func(field string, _ any, err error) {
		t.Helper()
		wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field="+field)
	}
	enterprise, err := c.CreateEnterprise(ctx, &townv1.CreateEnterpriseRequest{Parent: casting, EnterpriseId: "91350100M000100Y43",
		Enterprise: &townv1.Enterprise{Title: "t", Role: townv1.Enterprise_ROLE_MEMBER, JoinDate: never}})
	refused("enterprise.join_date", enterprise, err)
	asset, err := c.CreateAsset(ctx, &townv1.CreateAssetRequest{Parent: casting, AssetId: "a",
		Asset: &townv1.Asset{Title: "t", Kind: townv1.Asset_KIND_STANDARD, GrantDate: &date.Date{Year: 2023}}})
	refused("asset.grant_date", asset, err)
	policy, err := c.CreatePolicy(ctx, &townv1.CreatePolicyRequest{Parent: casting, PolicyId: "p", Policy: &townv1.Policy{
		Title: "t", Measures: []*townv1.Measure{{Title: "m", Action: 1, Owner: "o"}, {Title: "m", Action: 1, Owner: "o", DueDate: never}}}})
	refused("policy.measures[1].due_date", policy, err)
	policy, err = c.CreatePolicy(ctx, &townv1.CreatePolicyRequest{Parent: casting, PolicyId: "p", Policy: &townv1.Policy{
		Title: "t", Document: &typev1.Document{Title: "d", IssueDate: never}}})
	refused("policy.document.issue_date", policy, err)
	batch, err := r.as(city).CreateBatch(ctx, &townv1.CreateBatchRequest{BatchId: "2023-9", Batch: &townv1.Batch{
		Level: townv1.Level_LEVEL_MUNICIPAL, Title: "t", Document: &typev1.Document{Title: "d"}, EffectiveDate: never}})
	refused("batch.effective_date", batch, err)
	batch, err = r.as(city).CreateBatch(ctx, &townv1.CreateBatchRequest{BatchId: "2023-9", Batch: &townv1.Batch{
		Level: townv1.Level_LEVEL_MUNICIPAL, Title: "t", Document: &typev1.Document{Title: "d", IssueDate: never}, EffectiveDate: day(2023, 6, 1)}})
	refused("batch.document.issue_date", batch, err)
}

func TestMeasureOfWhichNothingIsToldIsPlanned(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	p, err := r.as(zezhou).CreatePolicy(t.Context(), &townv1.CreatePolicyRequest{Parent: casting, PolicyId: "2023", Policy: &townv1.Policy{
		Title: "一镇一策", Measures: []*townv1.Measure{
			{Title: "a park", Action: 3, Owner: "the bureau"},
			{Title: "a fair", Action: 5, Owner: "the bureau", Progress: townv1.Measure_PROGRESS_DONE},
		},
	}})
	ok(t, err)
	if m := p.GetMeasures(); m[0].GetProgress() != townv1.Measure_PROGRESS_PLANNED || m[1].GetProgress() != townv1.Measure_PROGRESS_DONE {
		t.Errorf("measures stand at %v", m)
	}
}
