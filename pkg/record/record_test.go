package record_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

var (
	towns        = store.NewTable[*townv1.Town]()
	designations = store.NewTable[*townv1.Designation]()
	march        = time.Date(2023, 3, 1, 1, 0, 0, 0, time.UTC)
)

const casting = "towns/140525-casting"

// bench is a journalled store with a clock, and one town in it.
type bench struct {
	raw   store.Store
	db    *journal.DB
	clock *clock.Manual
	town  *townv1.Town
}

func setUp(t *testing.T) *bench {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "town.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{raw: s, clock: clock.NewManual(march)}
	b.db = journal.Open(s, "town", b.clock)
	b.town, err = b.create(as("zezhou/li", "Create"), "", townOf("铸造"))
	if err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Hour)
	return b
}

func townOf(title string) *townv1.Town {
	return &townv1.Town{
		Division: "140525", IndustryCodes: []string{"3391"}, Field: townv1.Field_FIELD_MANUFACTURING, TitleZh: title, TitleEn: "Casting",
	}
}

func (b *bench) create(ctx context.Context, requestID string, town *townv1.Town) (*townv1.Town, error) {
	req := &townv1.CreateTownRequest{TownId: "140525-casting", Town: town, RequestId: requestID}
	return record.Do(ctx, b.db, req, func(tx *journal.Tx) (*townv1.Town, error) {
		return record.Create(tx, towns, record.New(town, casting))
	})
}

func (b *bench) patch(ctx context.Context, req *townv1.UpdateTownRequest, rule func(*journal.Tx, *townv1.Town, *townv1.Town) error) (*townv1.Town, error) {
	req.Town.Name = casting
	return record.Patch(ctx, b.db, towns, req, req.GetTown(), rule)
}

func (b *bench) stored(t *testing.T) *townv1.Town {
	t.Helper()
	town, err := record.Get(context.Background(), b.db, towns, casting)
	if err != nil {
		t.Fatal(err)
	}
	return town
}

func (b *bench) revision(t *testing.T) int64 {
	t.Helper()
	head, err := b.db.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return head.GetRevision()
}

// method is the server's side of a call, as far as grpc.Method looks at it.
type method string

func (m method) Method() string             { return string(m) }
func (method) SetHeader(metadata.MD) error  { return nil }
func (method) SendHeader(metadata.MD) error { return nil }
func (method) SetTrailer(metadata.MD) error { return nil }

// as is the context of a call of a method by a principal.
func as(name, called string) context.Context {
	ctx := authn.NewContext(context.Background(), &authn.Principal{Name: name, Division: "140500"})
	return grpc.NewContextWithServerTransportStream(ctx, method("/yizhen.town.v1.TownRegistry/"+called))
}

func expectFault(t *testing.T, err error, code codes.Code, reason protoreflect.Enum) {
	t.Helper()
	if status.Code(err) != code || !fault.Is(err, reason) {
		t.Errorf("answered %v, want %v with %v", err, code, reason)
	}
}

func expectEqual(t *testing.T, got, want proto.Message) {
	t.Helper()
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestNewAndCreate(t *testing.T) {
	b := setUp(t)
	sent := townOf("铸造")
	sent.Name, sent.CreateTime, sent.UpdateTime = "towns/other", timestamppb.New(march), timestamppb.New(march)
	before := proto.Clone(sent)
	row := record.New(sent, casting)
	if row.GetName() != casting || row.GetCreateTime() != nil || row.GetUpdateTime() != nil || row.GetTitleZh() != "铸造" {
		t.Errorf("New gives %v", row)
	}
	expectEqual(t, sent, before)

	if b.town.GetEtag() == "" || !b.town.GetCreateTime().AsTime().Equal(march) || !b.town.GetUpdateTime().AsTime().Equal(march) {
		t.Errorf("Create stamps %v", b.town)
	}
	expectEqual(t, b.stored(t), b.town)
	_, err := b.create(as("zezhou/li", "Create"), "", townOf("陶瓷"))
	expectFault(t, err, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS)
	expectEqual(t, b.stored(t), b.town)
}

func TestGetAndRefer(t *testing.T) {
	b := setUp(t)
	_, err := record.Get(context.Background(), b.db, towns, "towns/absent")
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
	err = b.db.View(context.Background(), func(r store.Reader) error {
		_, err := record.Refer(r, towns, "project.town", "towns/absent")
		return err
	})
	expectFault(t, err, codes.FailedPrecondition, typev1.Reason_REASON_REFERENCE_NOT_FOUND)
	if !strings.Contains(err.Error(), "project.town") {
		t.Errorf("%v, want that it names the field", err)
	}
}

// retitle is a mutation that fails the test if it is carried out more often than wanted.
func (b *bench) retitle(ctx context.Context, requestID, title string) (answer *townv1.Town, carriedOut int, err error) {
	req := &townv1.UpdateTownRequest{Town: &townv1.Town{Name: casting, TitleZh: title}, RequestId: requestID}
	answer, err = record.Patch(ctx, b.db, towns, req, req.GetTown(), func(*journal.Tx, *townv1.Town, *townv1.Town) error {
		carriedOut++
		return nil
	})
	return answer, carriedOut, err
}

func TestDo(t *testing.T) {
	li := as("zezhou/li", "UpdateTown")
	t.Run("a replay gets the first answer, even after the resource has changed", func(t *testing.T) {
		b := setUp(t)
		first, _, err := b.retitle(li, "r-1", "陶瓷")
		if err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Hour)
		if _, _, err := b.retitle(li, "r-2", "铸铁"); err != nil {
			t.Fatal(err)
		}
		revision := b.revision(t)
		again, carriedOut, err := b.retitle(li, "r-1", "陶瓷")
		if err != nil || carriedOut != 0 || b.revision(t) != revision {
			t.Errorf("replayed: %v, carried out %d times", err, carriedOut)
		}
		expectEqual(t, again, first)
		if b.stored(t).GetTitleZh() != "铸铁" {
			t.Errorf("the replay changed the title to %s", b.stored(t).GetTitleZh())
		}
	})
	t.Run("an id is refused for another body", func(t *testing.T) {
		b := setUp(t)
		if _, _, err := b.retitle(li, "r-1", "陶瓷"); err != nil {
			t.Fatal(err)
		}
		_, _, err := b.retitle(li, "r-1", "铸铁")
		expectFault(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED)
	})
	t.Run("an id is refused for another method", func(t *testing.T) {
		b := setUp(t)
		if _, _, err := b.retitle(li, "r-1", "陶瓷"); err != nil {
			t.Fatal(err)
		}
		_, _, err := b.retitle(as("zezhou/li", "OtherMethod"), "r-1", "陶瓷")
		expectFault(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED)
	})
	t.Run("two callers may use one id", func(t *testing.T) {
		b := setUp(t)
		for _, name := range []string{"zezhou/li", "zezhou/xu"} {
			if _, carriedOut, err := b.retitle(as(name, "UpdateTown"), "r-1", "陶瓷 "+name); err != nil || carriedOut != 1 {
				t.Errorf("%s: %v, carried out %d times", name, err, carriedOut)
			}
		}
	})
	t.Run("without an id each request is carried out", func(t *testing.T) {
		b := setUp(t)
		for range 2 {
			if _, carriedOut, err := b.retitle(li, "", "陶瓷"); err != nil || carriedOut != 1 {
				t.Errorf("%v, carried out %d times", err, carriedOut)
			}
		}
	})
	t.Run("what was refused may be sent again under its id", func(t *testing.T) {
		b := setUp(t)
		refuse := errors.New("not now")
		req := &townv1.UpdateTownRequest{Town: &townv1.Town{TitleZh: "陶瓷"}, RequestId: "r-1"}
		_, err := b.patch(li, req, func(*journal.Tx, *townv1.Town, *townv1.Town) error { return refuse })
		if !errors.Is(err, refuse) {
			t.Fatalf("answered %v, want what the rule says", err)
		}
		expectEqual(t, b.stored(t), b.town)
		if _, err := b.patch(li, req, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("a request sent many times at once is carried out once", func(t *testing.T) {
		b := setUp(t)
		var wait sync.WaitGroup
		answers := make([]*townv1.Town, 8)
		counts := make([]int, len(answers))
		for i := range answers {
			wait.Go(func() {
				var err error
				if answers[i], counts[i], err = b.retitle(li, "r-1", "陶瓷"); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		total := 0
		for i, a := range answers {
			expectEqual(t, a, answers[0])
			total += counts[i]
		}
		if total != 1 || b.revision(t) != 2 {
			t.Errorf("carried out %d times, at revision %d", total, b.revision(t))
		}
	})
	t.Run("the journal says who, by which method, under which id", func(t *testing.T) {
		b := setUp(t)
		if _, _, err := b.retitle(li, "r-1", "陶瓷"); err != nil {
			t.Fatal(err)
		}
		changes, _, err := b.db.Read(context.Background(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := changes[0]
		if c.GetActor() != "zezhou/li" || c.GetMethod() != "/yizhen.town.v1.TownRegistry/UpdateTown" || c.GetRequestId() != "r-1" {
			t.Errorf("it says %s, %s, %s", c.GetActor(), c.GetMethod(), c.GetRequestId())
		}
	})
}

func TestPatch(t *testing.T) {
	li := as("zezhou/li", "UpdateTown")
	mask := func(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
	for _, c := range []struct {
		name string
		sent *townv1.Town
		mask *fieldmaskpb.FieldMask
		want func(*townv1.Town) // what changes of the stored town
	}{
		{"without a mask what was sent is changed", &townv1.Town{TitleZh: "陶瓷"}, nil,
			func(w *townv1.Town) { w.TitleZh = "陶瓷" }},
		{"only what the mask names is changed", &townv1.Town{TitleZh: "陶瓷", TitleEn: "Ceramics"}, mask("title_en"),
			func(w *townv1.Town) { w.TitleEn = "Ceramics" }},
		{"a field that the mask names and the caller left out is cleared", &townv1.Town{}, mask("aliases"),
			func(w *townv1.Town) { w.Aliases = nil }},
		{"lists are replaced", &townv1.Town{IndustryCodes: []string{"3392", "3393"}}, mask("industry_codes"),
			func(w *townv1.Town) { w.IndustryCodes = []string{"3392", "3393"} }},
		{"a star replaces the whole", townOf("陶瓷"), mask("*"),
			func(w *townv1.Town) { w.TitleZh, w.Aliases = "陶瓷", nil }},
		{"fields that callers do not set are passed over", &townv1.Town{CreateTime: timestamppb.New(march.Add(-time.Hour)), TitleZh: "陶瓷"},
			mask("create_time", "update_time", "name", "title_zh"),
			func(w *townv1.Town) { w.TitleZh = "陶瓷" }},
		{"an immutable field may be sent as it is", &townv1.Town{Division: "140525", TitleZh: "陶瓷"}, mask("division", "title_zh"),
			func(w *townv1.Town) { w.TitleZh = "陶瓷" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setUp(t)
			withAlias, err := b.patch(li, &townv1.UpdateTownRequest{Town: &townv1.Town{Aliases: []string{"翻砂"}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Hour)
			want := proto.Clone(withAlias).(*townv1.Town)
			c.want(want)
			got, err := b.patch(li, &townv1.UpdateTownRequest{Town: c.sent, UpdateMask: c.mask}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.GetEtag() == withAlias.GetEtag() || !got.GetUpdateTime().AsTime().Equal(b.clock.Now()) {
				t.Errorf("etag %s of %v", got.GetEtag(), got.GetUpdateTime().AsTime())
			}
			want.Etag, want.UpdateTime = got.GetEtag(), got.GetUpdateTime()
			expectEqual(t, got, want)
			expectEqual(t, b.stored(t), want)
		})
	}

	t.Run("a resource may be sent back as it was read", func(t *testing.T) {
		b := setUp(t)
		sent := proto.Clone(b.town).(*townv1.Town)
		sent.TitleZh = "陶瓷"
		got, err := b.patch(li, &townv1.UpdateTownRequest{Town: sent}, nil)
		if err != nil || got.GetTitleZh() != "陶瓷" || !got.GetCreateTime().AsTime().Equal(march) {
			t.Errorf("%v, %v", got, err)
		}
	})

	for _, c := range []struct {
		name   string
		sent   *townv1.Town
		mask   *fieldmaskpb.FieldMask
		code   codes.Code
		reason typev1.Reason
		names  string
	}{
		{"an immutable field is not changed", &townv1.Town{Division: "140581"}, nil,
			codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, "division"},
		{"a path that is no field is refused", &townv1.Town{}, mask("titel"),
			codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, "titel"},
		{"a star stands alone", &townv1.Town{}, mask("*", "title_zh"),
			codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, "*"},
		{"what results has to satisfy the contract", &townv1.Town{IndustryCodes: []string{"33"}}, mask("title_zh", "industry_codes"),
			codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "title_zh"},
		{"a stale etag is refused", &townv1.Town{TitleZh: "陶瓷", Etag: "0123456789abcdef"}, nil,
			codes.Aborted, typev1.Reason_REASON_STALE_ETAG, casting},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setUp(t)
			_, err := b.patch(li, &townv1.UpdateTownRequest{Town: c.sent, UpdateMask: c.mask}, nil)
			expectFault(t, err, c.code, c.reason)
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("%v, want that it names %s", err, c.names)
			}
			expectEqual(t, b.stored(t), b.town)
		})
	}

	t.Run("the rule sees the resource before and after", func(t *testing.T) {
		b := setUp(t)
		_, err := b.patch(li, &townv1.UpdateTownRequest{Town: &townv1.Town{TitleZh: "陶瓷"}},
			func(_ *journal.Tx, before, after *townv1.Town) error {
				if before.GetTitleZh() != "铸造" || after.GetTitleZh() != "陶瓷" {
					t.Errorf("it sees %s and %s", before.GetTitleZh(), after.GetTitleZh())
				}
				after.TitleEn = "Ceramics"
				return nil
			})
		if err != nil || b.stored(t).GetTitleEn() != "Ceramics" {
			t.Errorf("%v, %v", b.stored(t), err)
		}
	})
	t.Run("what is not there is not patched", func(t *testing.T) {
		b := setUp(t)
		sent := &townv1.Town{Name: "towns/140525-absent", TitleZh: "陶瓷"}
		_, err := record.Patch(li, b.db, towns, &townv1.UpdateTownRequest{Town: sent}, sent, nil)
		expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
	})
}

func TestPatchSetsNothingWithinThatCallersDoNotSet(t *testing.T) {
	b := setUp(t)
	sets := store.NewTable[*assessmentv1.IndicatorSet]()
	set := func(facts ...string) *assessmentv1.IndicatorSet {
		return &assessmentv1.IndicatorSet{Name: "indicatorSets/2023", Indicators: []*assessmentv1.Indicator{{Facts: facts}}}
	}
	_, err := record.Do(as("city/wang", "Create"), b.db, &assessmentv1.CreateIndicatorSetRequest{}, func(tx *journal.Tx) (*assessmentv1.IndicatorSet, error) {
		return record.Create(tx, sets, set("town.output_fen"))
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := errors.New("seen")
	sent := set("made up")
	sent.TitleZh = "考核"
	req := &assessmentv1.UpdateIndicatorSetRequest{IndicatorSet: sent, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"indicators"}}}
	_, err = record.Patch(as("city/wang", "Update"), b.db, sets, req, sent, func(_ *journal.Tx, _, after *assessmentv1.IndicatorSet) error {
		if facts := after.GetIndicators()[0].GetFacts(); len(facts) != 0 {
			t.Errorf("the facts are %q, which is not the caller's to say", facts)
		}
		return seen
	})
	if !errors.Is(err, seen) && !fault.Is(err, typev1.Reason_REASON_INVALID_FIELD) {
		t.Error(err)
	}
	if sent.GetIndicators()[0].GetFacts()[0] != "made up" {
		t.Error("the request was changed")
	}
}

func TestStep(t *testing.T) {
	b := setUp(t)
	li := as("zezhou/li", "RecommendDesignation")
	name := casting + "/designations/municipal"
	drafted, err := record.Do(li, b.db, &townv1.CreateDesignationRequest{}, func(tx *journal.Tx) (*townv1.Designation, error) {
		return record.Create(tx, designations, &townv1.Designation{Name: name, State: townv1.Designation_STATE_DRAFT})
	})
	if err != nil {
		t.Fatal(err)
	}
	req := &townv1.RecommendDesignationRequest{
		Name: name, Etag: drafted.GetEtag(), Reason: "sound", RequestId: "r-1",
		Documents: []*typev1.Document{{Title: "推荐函"}},
	}
	step := func(req *townv1.RecommendDesignationRequest) (*townv1.Designation, error) {
		return record.Step(li, b.db, designations, req, func(tx *journal.Tx, row *townv1.Designation) error {
			if row.GetState() != townv1.Designation_STATE_DRAFT {
				return errors.New("not a draft")
			}
			row.State = townv1.Designation_STATE_RECOMMENDED
			row.Decisions = append(row.Decisions, record.Decide(li, tx, "recommend", req))
			return nil
		})
	}
	b.clock.Advance(time.Hour)
	got, err := step(req)
	if err != nil {
		t.Fatal(err)
	}
	d := got.GetDecisions()[0]
	if got.GetState() != townv1.Designation_STATE_RECOMMENDED || got.GetEtag() == drafted.GetEtag() ||
		d.GetVerb() != "recommend" || d.GetPrincipal() != "zezhou/li" || d.GetReason() != "sound" ||
		!d.GetDecideTime().AsTime().Equal(b.clock.Now()) || d.GetDocuments()[0].GetTitle() != "推荐函" {
		t.Errorf("recommended: %v", got)
	}
	again, err := step(req)
	if err != nil {
		t.Errorf("replayed: %v", err)
	}
	expectEqual(t, again, got)

	stale := proto.Clone(req).(*townv1.RecommendDesignationRequest)
	stale.RequestId = "r-2"
	_, err = step(stale)
	expectFault(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG)
	stale.Etag = ""
	if _, err = step(stale); err == nil || err.Error() != "not a draft" {
		t.Errorf("without an etag the step decides: %v", err)
	}
	stale.Name = casting + "/designations/provincial"
	_, err = step(stale)
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
}

// fill puts rows into the table without a journal, which is quicker.
func (b *bench) fill(t *testing.T, n, size int) {
	t.Helper()
	err := b.raw.Update(context.Background(), func(tx store.Tx) error {
		for i := range n {
			name := fmt.Sprintf("towns/1405%02d-%05d", i%100, i)
			raw, err := proto.Marshal(&townv1.Town{Name: name, TitleZh: strings.Repeat("x", size)})
			if err != nil {
				return err
			}
			if err := tx.Put(store.RowKey("Town", name), store.JoinRow(1, raw)); err != nil {
				return err
			}
		}
		return tx.Delete([]byte("row/Town/" + casting))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pages reads a list to its end, and returns the names and the size of each page.
func (b *bench) pages(t *testing.T, prefix string, size int32, keep func(*townv1.Town) bool) (names []string, sizes []int) {
	t.Helper()
	req := &townv1.ListTownsRequest{PageSize: size}
	for {
		rows, next, err := record.ListWhere(context.Background(), b.db, towns, prefix, req, keep)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			names = append(names, r.GetName())
		}
		sizes = append(sizes, len(rows))
		if req.PageToken = next; next == "" {
			return names, sizes
		}
	}
}

func TestList(t *testing.T) {
	t.Run("pages follow one another, in the order of names", func(t *testing.T) {
		b := setUp(t)
		b.fill(t, 120, 1)
		names, sizes := b.pages(t, "towns/", 0, nil)
		if len(names) != 120 || !slices.IsSorted(names) || !slices.Equal(sizes, []int{50, 50, 20}) {
			t.Errorf("%d names in pages of %v", len(names), sizes)
		}
		if _, sizes := b.pages(t, "towns/", 60, nil); !slices.Equal(sizes, []int{60, 60}) {
			t.Errorf("pages that come out even are %v", sizes)
		}
		if names, _ := b.pages(t, "towns/140507", 0, nil); len(names) != 2 {
			t.Errorf("below a prefix are %q", names)
		}
		if names, sizes := b.pages(t, "towns/9", 0, nil); len(names) != 0 || len(sizes) != 1 {
			t.Errorf("below a prefix that nothing has are %q in %d pages", names, len(sizes))
		}
	})
	t.Run("rows added and removed between pages do no harm", func(t *testing.T) {
		b := setUp(t)
		b.fill(t, 4, 1)
		req := &townv1.ListTownsRequest{PageSize: 2}
		rows, next, err := record.List(context.Background(), b.db, towns, "towns/", req)
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		err = b.raw.Update(context.Background(), func(tx store.Tx) error {
			return errors.Join(tx.Delete([]byte("row/Town/towns/140502-00002")), tx.Delete([]byte("row/Town/towns/140500-00000")))
		})
		if err != nil {
			t.Fatal(err)
		}
		req.PageToken = next
		rows, _, err = record.List(context.Background(), b.db, towns, "towns/", req)
		if err != nil || len(rows) != 1 || rows[0].GetName() != "towns/140503-00003" {
			t.Errorf("the second page is %v, %v", rows, err)
		}
	})
	t.Run("a filter that keeps little reads a bounded number of rows for a page", func(t *testing.T) {
		b := setUp(t)
		const n = 12_000 // more than twice the bound
		b.fill(t, n, 1)
		read := 0
		keep := func(town *townv1.Town) bool {
			read++
			return strings.HasSuffix(town.GetName(), "11999") || strings.HasSuffix(town.GetName(), "00000")
		}
		names, sizes := b.pages(t, "towns/", 50, keep)
		if len(names) != 2 || len(sizes) != 3 || read > n {
			t.Errorf("%q in pages of %v after %d reads", names, sizes, read)
		}
	})
	t.Run("a page is bounded in bytes", func(t *testing.T) {
		b := setUp(t)
		b.fill(t, 10, 1<<20)
		names, sizes := b.pages(t, "towns/", 50, nil)
		if len(names) != 10 || slices.Max(sizes) > 3 || len(sizes) > 5 {
			t.Errorf("%d names in pages of %v", len(names), sizes)
		}
	})
	t.Run("a token of another list is refused", func(t *testing.T) {
		b := setUp(t)
		b.fill(t, 4, 1)
		_, next, err := record.List(context.Background(), b.db, towns, "towns/", &townv1.ListTownsRequest{PageSize: 2})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = record.List(context.Background(), b.db, towns, "towns/", &townv1.ListTownsRequest{Division: "140525", PageToken: next})
		expectFault(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN)
	})
}

func TestValidateNamesEveryField(t *testing.T) {
	err := record.Validate(&townv1.Town{Division: "Zezhou", IndustryCodes: []string{"33"}, Field: townv1.Field_FIELD_MANUFACTURING, TitleZh: "铸造"})
	expectFault(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD)
	for _, field := range []string{"division", "industry_codes[0]", "title_en"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v, want that it names %s", err, field)
		}
	}
	if strings.Contains(err.Error(), "title_zh") {
		t.Errorf("%v, which names a field that is right", err)
	}
	if err := record.Validate(townOf("铸造")); err != nil {
		t.Error(err)
	}
}
