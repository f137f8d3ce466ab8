package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// checker holds what a store has against what its clients know.
type checker struct {
	img     *Image
	history *History
	// since is the revision up to which the store was filled before the clients came.
	since int64
	// shapes says what a commit of each method consists of.
	shapes map[string]shape
	// own is what must hold between the rows of the service.
	own func(*tables)

	violations []string
	commits    map[string]*commit // by actor 0 request id
	// now is the etag that each resource has at the end; versions says where each version of a resource was made, by resource
	// and etag.
	now      map[string]string
	versions map[string]int64
}

// commit is the changes that were made together.
type commit struct {
	actor, method, requestID string
	first, last              int64
	changes                  []*journalv1.Change
	// before is the etag that each changed resource had until then.
	before map[string]string
}

// ofStore tells whether a commit is about the store itself, such as its version. Nobody asks for those.
func (c *commit) ofStore() bool {
	return !slices.ContainsFunc(c.changes, func(change *journalv1.Change) bool { return !strings.HasPrefix(change.GetResource(), "stores/") })
}

func (c *checker) report(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// check returns every way in which the store breaks its promises.
func (c *checker) check() []string {
	c.violations = append(c.violations, c.img.Problems...)
	c.violations = append(c.violations, c.history.faults...)
	c.commits, c.now, c.versions = map[string]*commit{}, map[string]string{}, map[string]int64{}
	for _, one := range c.split() {
		c.checkCommit(one)
	}
	c.checkReceipts()
	c.checkCalls()
	c.checkOrder()
	if c.own != nil {
		c.own(&tables{checker: c})
	}
	return c.violations
}

// split puts the changes together that were made together.
func (c *checker) split() (all []*commit) {
	var one *commit
	for _, change := range c.img.Changes {
		if one == nil {
			one = &commit{
				actor: change.GetActor(), method: change.GetMethod(), requestID: change.GetRequestId(),
				first: change.GetRevision(), last: change.GetCommitRevision(), before: map[string]string{},
			}
			all = append(all, one)
		}
		if change.GetCommitRevision() != one.last || change.GetRequestId() != one.requestID {
			c.report("revision %d is in the middle of the commit that ends at %d", change.GetRevision(), one.last)
		}
		one.changes = append(one.changes, change)
		if change.GetRevision() >= one.last {
			one = nil
		}
	}
	if one != nil {
		c.report("half a commit: it ends at %d, the journal at %d", one.last, len(c.img.Changes))
	}
	return all
}

// checkCommit follows the versions of what a commit changes, and makes sure that it is whole.
func (c *checker) checkCommit(one *commit) {
	for _, change := range one.changes {
		name := change.GetResource()
		one.before[name] = c.now[name]
		if change.GetAfter() == nil {
			delete(c.now, name)
			continue
		}
		c.now[name] = etagOf(change.GetAfter())
		c.versions[name+"\x00"+c.now[name]] = change.GetRevision()
	}
	if one.first <= c.since || one.ofStore() {
		return
	}
	key := one.actor + "\x00" + one.requestID
	if earlier := c.commits[key]; earlier != nil {
		c.report("request %s was carried out twice: revisions %d and %d", one.requestID, earlier.first, one.first)
		return
	}
	c.commits[key] = one
	method := one.method[strings.LastIndexByte(one.method, '/')+1:]
	want, known := c.shapes[method]
	if !known {
		c.report("revision %d: nobody asked for %s", one.first, one.method)
	} else if problem := want.mismatch(one.changes); problem != "" {
		c.report("revision %d: %s %s is not whole: %s", one.first, method, one.requestID, problem)
	}
}

// checkReceipts makes sure that what is kept for a repeated request goes with what the request did: both or neither.
func (c *checker) checkReceipts() {
	for _, key := range slices.Sorted(maps.Keys(c.commits)) {
		if one := c.commits[key]; one.requestID != "" && c.img.Receipts[key] == nil {
			c.report("request %s is carried out (revision %d) and has no receipt", one.requestID, one.first)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.img.Receipts)) {
		_, id, _ := strings.Cut(key, "\x00")
		if c.commits[key] == nil {
			c.report("request %s has a receipt and is not carried out", id)
		}
	}
}

// answerOf reads the answer in a receipt: it follows the digest of the request.
func answerOf(receipt []byte) (proto.Message, error) {
	if len(receipt) < sha256.Size {
		return nil, fmt.Errorf("a receipt of %d bytes", len(receipt))
	}
	var stored anypb.Any
	if err := proto.Unmarshal(receipt[sha256.Size:], &stored); err != nil {
		return nil, err
	}
	return stored.UnmarshalNew()
}

// checkCalls holds what was carried out against what was asked and answered.
func (c *checker) checkCalls() {
	asked := map[string]*Call{}
	for _, call := range c.history.calls {
		key := call.Actor + "\x00" + call.RequestID
		asked[key] = call
		done := c.commits[key]
		answered := call.acknowledged()
		switch {
		case answered != nil && done == nil:
			c.report("%v was acknowledged and is lost", call)
		case answered != nil:
			c.checkAnswer(call, answered.Answer, done, c.img.Receipts[key])
		case done != nil && !slices.ContainsFunc(call.Attempts, func(a Attempt) bool { return a.Outcome == Unanswered }):
			c.report("%v was refused and is carried out (revision %d)", call, done.first)
		}
		if done != nil {
			c.checkETag(call, done)
			if last := call.last(); answered == nil && last.Outcome == Refused {
				c.report("%v is carried out (revision %d) and was refused when it was sent again: %v", call, done.first, last.Err)
			}
		}
		for _, a := range call.Attempts {
			if a.Outcome == Acknowledged && answered != nil && !proto.Equal(a.Answer, answered.Answer) {
				c.report("%v was answered differently when it was sent again", call)
			}
			if a.Outcome == Refused && answered != nil && a.Sent > answered.Answered {
				c.report("%v was acknowledged, then refused: %v", call, a.Err)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.commits)) {
		if one := c.commits[key]; asked[key] == nil {
			c.report("revision %d: nobody sent request %q of %s", one.first, one.requestID, one.actor)
		}
	}
}

// checkAnswer makes sure that a caller was told what is stored.
func (c *checker) checkAnswer(call *Call, answer proto.Message, done *commit, receipt []byte) {
	if kept, err := answerOf(receipt); err != nil {
		c.report("%v: the receipt: %v", call, err)
	} else if !proto.Equal(kept, answer) {
		c.report("%v: the receipt is not the answer", call)
	}
	named, ok := answer.(interface{ GetName() string })
	if !ok { // Empty: it was deleted
		if last := done.changes[len(done.changes)-1]; last.GetAfter() != nil || last.GetResource() != targetOf(call.Request) {
			c.report("%v was acknowledged, and revision %d is no deletion of it", call, last.GetRevision())
		}
		return
	}
	for _, change := range done.changes {
		if change.GetResource() != named.GetName() {
			continue
		}
		stored, err := change.GetAfter().UnmarshalNew()
		if err != nil || !proto.Equal(stored, answer) {
			c.report("%v was acknowledged with another content (etag %s) than revision %d has (etag %s)", call, etag(answer), change.GetRevision(), etagOf(change.GetAfter()))
		}
		return
	}
	c.report("%v was acknowledged with %s, which revisions %d to %d do not change", call, named.GetName(), done.first, done.last)
}

// checkETag makes sure that a call that was decided on a version of a resource has changed that version.
func (c *checker) checkETag(call *Call, done *commit) {
	name, on := targetOf(call.Request), decidedOn(call.Request)
	if before, changed := done.before[name]; on != "" && changed && before != on {
		c.report("%v was decided on %s of %s and has changed %s", call, on, name, before)
	}
}

// checkOrder makes sure that what was answered before something else was sent is before it in the journal, and that
// nobody was shown what is not there, or an old version after a newer one was acknowledged.
func (c *checker) checkOrder() {
	type moment struct {
		tick, revision int64
		what           string
	}
	var answers, sendings []moment
	latest := map[string][]moment{} // by resource
	for _, call := range c.history.calls {
		done := c.commits[call.Actor+"\x00"+call.RequestID]
		if done == nil {
			continue
		}
		sendings = append(sendings, moment{call.Attempts[0].Sent, done.first, call.String()})
		if a := call.acknowledged(); a != nil {
			m := moment{a.Answered, done.last, call.String()}
			answers = append(answers, m)
			for _, change := range done.changes {
				latest[change.GetResource()] = append(latest[change.GetResource()], moment{a.Answered, change.GetRevision(), ""})
			}
		}
	}
	byTick := func(a, b moment) int { return cmp.Compare(a.tick, b.tick) }
	slices.SortFunc(answers, byTick)
	slices.SortFunc(sendings, byTick)
	var newest moment
	for _, s := range sendings {
		for len(answers) > 0 && answers[0].tick < s.tick {
			if answers[0].revision > newest.revision {
				newest = answers[0]
			}
			answers = answers[1:]
		}
		if s.revision < newest.revision {
			c.report("%s (revision %d) was sent after %s (revision %d) was answered", s.what, s.revision, newest.what, newest.revision)
		}
	}
	for _, r := range c.history.reads {
		shown, ok := c.versions[r.Resource+"\x00"+r.ETag]
		if !ok {
			c.report("somebody was shown version %s of %s, which is not there", r.ETag, r.Resource)
			continue
		}
		for _, m := range latest[r.Resource] {
			if m.tick < r.Sent && m.revision > shown {
				c.report("somebody was shown revision %d of %s after %d was acknowledged", shown, r.Resource, m.revision)
				break
			}
		}
	}
}

// shape says what a commit consists of.
type shape []part

type part struct {
	kind        string
	change      journalv1.Change_Type // 0: whichever
	least, most int
}

// shapeOf reads a shape: `~Application *Account:2 +Transfer` is one application changed, two accounts made or changed,
// and one transfer made. `~Designation:0-99` is up to 99.
func shapeOf(text string) shape {
	types := map[byte]journalv1.Change_Type{'+': journalv1.Change_TYPE_CREATED, '~': journalv1.Change_TYPE_UPDATED, '-': journalv1.Change_TYPE_DELETED}
	var s shape
	for word := range strings.FieldsSeq(text) {
		kind, count, counted := strings.Cut(word[1:], ":")
		p := part{kind: kind, change: types[word[0]], least: 1, most: 1}
		if counted {
			least, most, _ := strings.Cut(count, "-")
			p.least = atoi(least)
			p.most = atoi(cmp.Or(most, least))
		}
		s = append(s, p)
	}
	return s
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err) // the shapes are written in this package
	}
	return n
}

// shapes reads a table of shapes.
func shapes(texts map[string]string) map[string]shape {
	out := map[string]shape{}
	for method, text := range texts {
		out[method] = shapeOf(text)
	}
	return out
}

// mismatch says how changes differ from the shape, empty if they do not.
func (s shape) mismatch(changes []*journalv1.Change) string {
	left := len(changes)
	for _, p := range s {
		n := 0
		for _, c := range changes {
			if kindOf(c) == p.kind && (p.change == 0 || p.change == c.GetType()) {
				n++
			}
		}
		if n < p.least || n > p.most {
			return fmt.Sprintf("%d changes of a %s, want %d to %d: %s", n, p.kind, p.least, p.most, summary(changes))
		}
		left -= n
	}
	if left != 0 {
		return "it has more than belongs to it: " + summary(changes)
	}
	return ""
}

func summary(changes []*journalv1.Change) string {
	var words []string
	for _, c := range changes {
		words = append(words, strings.TrimPrefix(c.GetType().String(), "TYPE_")+" "+c.GetResource())
	}
	return strings.Join(words, ", ")
}

// kindOf returns the table of a change. A deletion does not say: its resource's collection does.
func kindOf(c *journalv1.Change) string {
	if c.GetAfter() != nil {
		return string(c.GetAfter().MessageName().Name())
	}
	parts := strings.Split(c.GetResource(), "/")
	return map[string]string{"enterprises": "Enterprise", "assets": "Asset", "totals": "Total"}[parts[max(0, len(parts)-2)]]
}

// targetOf returns the resource that a request is about.
func targetOf(req proto.Message) string {
	if m, ok := req.(interface{ GetName() string }); ok {
		return m.GetName()
	}
	if m := patched(req); m != nil {
		return text(m.Interface(), "name")
	}
	return ""
}

// decidedOn returns the etag of the version that a request was decided on, empty if it does not say.
func decidedOn(req proto.Message) string {
	if m, ok := req.(interface{ GetEtag() string }); ok {
		return m.GetEtag()
	}
	if m := patched(req); m != nil {
		return text(m.Interface(), "etag")
	}
	return ""
}

// patched returns the resource in an update.
func patched(req proto.Message) protoreflect.Message {
	m := req.ProtoReflect()
	if !strings.HasPrefix(string(m.Descriptor().Name()), "Update") {
		return nil
	}
	return m.Get(m.Descriptor().Fields().ByNumber(1)).Message()
}

func etagOf(a *anypb.Any) string {
	m, err := a.UnmarshalNew()
	if err != nil {
		return ""
	}
	return etag(m)
}

func etag(m proto.Message) string { return text(m, "etag") }

func text(m proto.Message, field protoreflect.Name) string {
	f := m.ProtoReflect().Descriptor().Fields().ByName(field)
	if f == nil {
		return ""
	}
	return m.ProtoReflect().Get(f).String()
}

// tables gives the rows of a service to the rules that must hold between them.
type tables struct{ *checker }

// each calls fn with every row of a type, in the order of names.
func each[T proto.Message](t *tables, fn func(T)) {
	var zero T
	kind := string(zero.ProtoReflect().Descriptor().Name()) + "/"
	for _, key := range slices.Sorted(maps.Keys(t.img.Rows)) {
		if !strings.HasPrefix(key, kind) {
			continue
		}
		row := zero.ProtoReflect().New().Interface().(T)
		if err := proto.Unmarshal(t.img.Rows[key], row); err != nil {
			t.report("row %s: %v", key, err)
			continue
		}
		fn(row)
	}
}
