package town_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// collection is what the standard methods of one kind of resource are tried with. Requests are written in JSON, as
// clients write them.
type collection struct {
	one, many string // as in the names of the methods
	word      string // of the request's field: holiday_calendar
	path      string // of the names: holidayCalendars
	id        string // under a town; otherwise see ids
	ids       []string
	body      string
	text      string // a field of text that callers may change, in JSON
	mask      string // the same in a mask
	removable bool
}

var underTowns = []collection{
	{one: "Designation", many: "Designations", word: "designation", path: "designations", id: "municipal",
		body: `{"statement":"first"}`, text: "statement", mask: "statement"},
	{one: "Enterprise", many: "Enterprises", word: "enterprise", path: "enterprises", id: "91350100M000100Y43",
		body: `{"title":"first","role":"ROLE_LEADER","aboveScale":true}`, text: "title", mask: "title", removable: true},
	{one: "Asset", many: "Assets", word: "asset", path: "assets", id: "centre",
		body: `{"title":"first","kind":"KIND_TRADEMARK"}`, text: "title", mask: "title", removable: true},
	{one: "Policy", many: "Policies", word: "policy", path: "policies", id: "2023",
		body: `{"title":"first","measures":[{"title":"a park","action":3,"owner":"the bureau"}]}`, text: "title", mask: "title"},
	{one: "Report", many: "Reports", word: "report", path: "reports", id: "2022",
		body: `{"note":"first","figures":{"revenueFen":"100"}}`, text: "note", mask: "note"},
}

var onTheirOwn = []collection{
	{one: "Town", many: "Towns", word: "town", path: "towns", ids: []string{"140525-iron", "140525-jade", "140581-pears"},
		body: `{"division":"%.6s","industryCodes":["3391"],"field":"FIELD_MANUFACTURING","titleZh":"first","titleEn":"first"}`,
		text: "titleZh", mask: "title_zh"},
	{one: "Batch", many: "Batches", word: "batch", path: "batches", ids: []string{"2023-1", "2023-2", "2024-1"},
		body: `{"level":"LEVEL_MUNICIPAL","title":"first","document":{"title":"a list"},"effectiveDate":{"year":2023,"month":6,"day":1}}`,
		text: "title", mask: "title"},
	{one: "Division", many: "Divisions", word: "division", path: "divisions", ids: []string{"140502", "140521", "140524"},
		body: `{"titleZh":"first","titleEn":"first"}`, text: "titleZh", mask: "title_zh"},
	{one: "HolidayCalendar", many: "HolidayCalendars", word: "holiday_calendar", path: "holidayCalendars", ids: []string{"2025", "2026", "2027"},
		body: `{"source":"first"}`, text: "source", mask: "source"},
}

// call makes a call with a request in JSON.
func (r *registry) call(who, method, request string) (protoreflect.Message, error) {
	r.t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName("yizhen.town.v1.TownRegistry")
	ok(r.t, err)
	m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(method))
	if m == nil {
		r.t.Fatalf("no method %s", method)
	}
	of := func(d protoreflect.MessageDescriptor) proto.Message {
		t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		ok(r.t, err)
		return t.New().Interface()
	}
	req, res := of(m.Input()), of(m.Output())
	if err := protojson.Unmarshal([]byte(request), req); err != nil {
		r.t.Fatalf("%s: %v", request, err)
	}
	err = r.srv.As(who).Invoke(r.t.Context(), "/yizhen.town.v1.TownRegistry/"+method, req, res)
	return res.ProtoReflect(), err
}

// text reads a field of text, by its name in the proto.
func text(m protoreflect.Message, field string) string {
	return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(field))).String()
}

// names reads the names in the answer of a list, in order.
func names(m protoreflect.Message) (out []string) {
	list := m.Get(m.Descriptor().Fields().Get(0)).List()
	for i := range list.Len() {
		out = append(out, text(list.Get(i).Message(), "name"))
	}
	return out
}

func (r *registry) head() int64 {
	r.t.Helper()
	h, err := journalv1.NewJournalClient(r.srv.As(city)).GetHead(r.t.Context(), &journalv1.GetHeadRequest{Name: "journals/town"})
	ok(r.t, err)
	return h.GetRevision()
}

// creation returns the request that creates one resource of a collection.
func (c collection) creation(parent, id, requestID string) string {
	body := c.body
	if strings.Contains(body, "%") {
		body = fmt.Sprintf(body, id)
	}
	return fmt.Sprintf(`{%s"%s_id":%q,%q:%s,"request_id":%q}`, parent, c.word, id, c.word, body, requestID)
}

func under(town string) string { return fmt.Sprintf(`"parent":%q,`, town) }

func TestStandardMethodsUnderATown(t *testing.T) {
	for _, c := range underTowns {
		t.Run(c.path, func(t *testing.T) {
			r := serve(t)
			r.enter(casting, honey, silk)
			if c.path == "reports" {
				r.designate(casting, honey, silk)
			}
			var all []string
			for _, town := range []string{casting, honey, silk} {
				created, err := r.call(city, "Create"+c.one, c.creation(under(town), c.id, ""))
				ok(t, err)
				name := town + "/" + c.path + "/" + c.id
				if text(created, "name") != name {
					t.Errorf("created %s, want %s", text(created, "name"), name)
				}
				all = append(all, name)
			}
			r.tryList(c, `"parent":"towns/-",`, all)
			list := func(who, parent, division string) []string {
				t.Helper()
				res, err := r.call(who, "List"+c.many, fmt.Sprintf(`{"parent":%q,"division":%q}`, parent, division))
				ok(t, err)
				return names(res)
			}
			for _, got := range []struct {
				shows      string
				list, want []string
			}{
				{"one town", list(city, honey, ""), all[1:2]},
				{"a division", list(city, "towns/-", "140525"), all[:2]},
				{"the city", list(city, "towns/-", "140500"), all},
				{"a county's own", list(zezhou, "towns/-", ""), all[:2]},
				{"another county's own", list(gaoping, "towns/-", ""), all[2:]},
				{"nothing of a town outside the division asked for", list(city, honey, "140581"), nil},
			} {
				if !slices.Equal(got.list, got.want) {
					t.Errorf("the list of %s has %v, want %v", got.shows, got.list, got.want)
				}
			}

			_, err := r.call(city, "Create"+c.one, c.creation(under("towns/140525-nowhere"), c.id, ""))
			wantRefusal(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "resource=towns/140525-nowhere")
			for _, outside := range []struct{ method, request string }{
				{"Create" + c.one, c.creation(under(silk), c.id, "")},
				{"Get" + c.one, fmt.Sprintf(`{"name":%q}`, all[2])},
				{"Update" + c.one, fmt.Sprintf(`{%q:{"name":%q,%q:"x"}}`, c.word, all[2], c.text)},
				{"List" + c.many, `{"parent":"towns/-","division":"140581"}`},
				{"List" + c.many, fmt.Sprintf(`{"parent":%q}`, silk)},
			} {
				_, err := r.call(zezhou, outside.method, outside.request)
				wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
			}
			r.tryOne(c, all[0], c.creation(under(casting), c.id, ""))
		})
	}
}

func TestStandardMethodsOfWhatStandsOnItsOwn(t *testing.T) {
	for _, c := range onTheirOwn {
		t.Run(c.path, func(t *testing.T) {
			r := serve(t)
			res, err := r.call(city, "List"+c.many, `{}`)
			ok(t, err)
			all := names(res) // what serve has loaded
			for _, id := range c.ids {
				_, err := r.call(city, "Create"+c.one, c.creation("", id, ""))
				ok(t, err)
				all = append(all, c.path+"/"+id)
			}
			slices.Sort(all)
			r.tryList(c, "", all)
			r.tryOne(c, c.path+"/"+c.ids[0], c.creation("", c.ids[0], ""))
		})
	}
}

// tryList lists a collection whole, and page by page.
func (r *registry) tryList(c collection, where string, all []string) {
	t := r.t
	t.Helper()
	res, err := r.call(city, "List"+c.many, `{`+where+`"page_size":1000}`)
	ok(t, err)
	if !slices.Equal(names(res), all) || text(res, "next_page_token") != "" {
		t.Errorf("lists %v and a token %q, want %v", names(res), text(res, "next_page_token"), all)
	}
	var paged []string
	token := ""
	for {
		res, err := r.call(reader, "List"+c.many, fmt.Sprintf(`{%s"page_size":2,"page_token":%q}`, where, token))
		ok(t, err)
		paged = append(paged, names(res)...)
		if token = text(res, "next_page_token"); token == "" {
			break
		}
		if n := len(names(res)); n != 2 {
			t.Fatalf("a page before the last has %d", n)
		}
	}
	if !slices.Equal(paged, all) {
		t.Errorf("page by page: %v, want %v", paged, all)
	}
	_, err = r.call(city, "List"+c.many, `{`+where+`"page_token":"bm90IGEgdG9rZW4"}`)
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN, "field=page_token")
}

// tryOne reads, changes and, where that can be done, removes one resource that is there.
func (r *registry) tryOne(c collection, name, creation string) {
	t := r.t
	t.Helper()
	_, err := r.call(city, "Create"+c.one, creation)
	wantRefusal(t, err, codes.AlreadyExists, typev1.Reason_REASON_RESOURCE_EXISTS, "resource="+name)

	_, err = r.call(reader, "Create"+c.one, creation)
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_PERMISSION_MISSING)
	_, err = r.call("", "Create"+c.one, creation)
	wantRefusal(t, err, codes.Unauthenticated, typev1.Reason_REASON_UNAUTHENTICATED)

	get := fmt.Sprintf(`{"name":%q}`, name)
	before, err := r.call(reader, "Get"+c.one, get)
	ok(t, err)

	update := func(fields, mask, requestID string) (protoreflect.Message, error) {
		return r.call(city, "Update"+c.one,
			fmt.Sprintf(`{%q:{"name":%q%s},"update_mask":%q,"request_id":%q}`, c.word, name, fields, mask, requestID))
	}
	to := func(value string) string { return fmt.Sprintf(`,%q:%q`, c.text, value) }
	after, err := update(to("second"), maskJSON(c.mask), "change-1")
	ok(t, err)
	want := proto.Clone(before.Interface()).ProtoReflect()
	for _, field := range []string{c.mask, "etag", "update_time"} {
		f := want.Descriptor().Fields().ByName(protoreflect.Name(field))
		want.Set(f, after.Get(f))
	}
	if text(after, c.mask) != "second" || !proto.Equal(after.Interface(), want.Interface()) {
		t.Errorf("a change of %s made %v of %v", c.mask, after.Interface(), before.Interface())
	}

	// What was answered to a request id is answered again, and nothing is done.
	head := r.head()
	again, err := update(to("second"), maskJSON(c.mask), "change-1")
	ok(t, err)
	if !proto.Equal(again.Interface(), after.Interface()) || r.head() != head {
		t.Errorf("the request sent again was answered %v and moved the journal from %d to %d", again.Interface(), head, r.head())
	}
	_, err = update(to("third"), maskJSON(c.mask), "change-1")
	wantRefusal(t, err, codes.AlreadyExists, typev1.Reason_REASON_REQUEST_ID_REUSED, "request_id=change-1")

	_, err = update(to("third")+fmt.Sprintf(`,"etag":%q`, text(before, "etag")), "", "")
	wantRefusal(t, err, codes.Aborted, typev1.Reason_REASON_STALE_ETAG, "current_etag="+text(after, "etag"))
	_, err = update(to(strings.Repeat("x", 5001)), "", "")
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field="+c.mask)
	_, err = update("", "noSuchField", "")
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK, "field=update_mask")

	now, err := r.call(reader, "Get"+c.one, get)
	ok(t, err)
	if !proto.Equal(now.Interface(), after.Interface()) {
		t.Errorf("refused calls made %v of %v", now.Interface(), after.Interface())
	}
	if c.removable {
		r.tryDelete(c, name, text(before, "etag"), text(after, "etag"))
	}
	_, err = r.call(reader, "Get"+c.one, fmt.Sprintf(`{"name":%q}`, missing(name)))
	wantRefusal(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "resource="+missing(name))
}

func (r *registry) tryDelete(c collection, name, staleETag, etag string) {
	t := r.t
	t.Helper()
	remove := func(etag string) error {
		_, err := r.call(city, "Delete"+c.one, fmt.Sprintf(`{"name":%q,"etag":%q,"request_id":%q}`, name, etag, "remove-"+etag))
		return err
	}
	wantRefusal(t, remove(staleETag), codes.Aborted, typev1.Reason_REASON_STALE_ETAG)
	ok(t, remove(etag))
	_, err := r.call(city, "Get"+c.one, fmt.Sprintf(`{"name":%q}`, name))
	wantRefusal(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "resource="+name)
	ok(t, remove(etag)) // again, with the same request id
	_, err = r.call(city, "Delete"+c.one, fmt.Sprintf(`{"name":%q}`, name))
	wantRefusal(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND, "resource="+name)
}

// missing returns a name like this one of which there is no resource.
func missing(name string) string {
	switch last := name[strings.LastIndex(name, "/")+1:]; {
	case last == "municipal":
		return strings.TrimSuffix(name, last) + "provincial"
	case len(last) == 18:
		return strings.TrimSuffix(name, last) + "91350100M000100Y34"
	case last == "2022" || last == "2025" || last == "140502": // a period, a year, a division
		return strings.TrimSuffix(name, last) + "999999"[:len(last)]
	default:
		return name + "-not"
	}
}

// maskJSON writes a field of a mask as JSON has it.
func maskJSON(field string) string {
	head, tail, found := strings.Cut(field, "_")
	if !found {
		return field
	}
	return head + strings.ToUpper(tail[:1]) + tail[1:]
}
