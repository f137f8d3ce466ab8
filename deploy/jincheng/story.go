package jincheng

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/clock"
)

// Options say to which suite the story is told, and how.
type Options struct {
	// URL is the gateway's.
	URL string
	// Tokens are those of the offices, by name: see Offices.
	Tokens map[string]string
	// Clock is the clock that the suite goes by. The story moves it.
	Clock *clock.Manual
	// Output takes a line for each chapter, and the tables at the end.
	Output io.Writer
}

// story is one year of the programme. Every request in it has a request id made of what it is about, so telling it again
// changes nothing: each is answered as it was the first time.
type story struct {
	*programme
	rest  *restClient
	clock *clock.Manual
	w     io.Writer
}

// Tell tells the story and shows what came of it. It fails if any figure does not foot. Told again to the same suite it
// goes on where it stood.
func Tell(ctx context.Context, o Options) error {
	p, err := readProgramme()
	if err != nil {
		return err
	}
	s := &story{programme: p, rest: newRESTClient(o.URL, o.Tokens), clock: o.Clock, w: o.Output}
	fmt.Fprintln(s.w)
	for _, c := range s.chapters() {
		s.clock.Set(civil.Start(c.day).Add(startOfWork))
		before, begun := s.rest.calls, time.Now() //nolint:forbidigo // how long a chapter really takes
		fmt.Fprintf(s.w, "%s  %s", civil.Text(c.day), c.title)
		if err := c.tell(ctx); err != nil {
			fmt.Fprintln(s.w)
			return err
		}
		took := time.Since(begun) //nolint:forbidigo // how long a chapter really takes
		fmt.Fprintf(s.w, "  [%d calls, %d ms]\n", s.rest.calls-before, took.Milliseconds())
	}
	return s.show(ctx)
}

// Begins returns the moment that the story begins at.
func Begins() time.Time { return civil.Start((&story{}).chapters()[0].day).Add(startOfWork) }

// startOfWork is when offices open.
const startOfWork = 9 * time.Hour

// chapter is what happens on one day.
type chapter struct {
	day   *date.Date
	title string
	tell  func(context.Context) error
}

func (s *story) chapters() []chapter {
	return []chapter{
		{civil.New(2023, 2, 1), "divisions, holiday calendars and the goals for 2025 are entered", s.enterReference},
		{civil.New(2023, 2, 6), "ten towns apply, and their counties recommend them", s.applyForDesignation},
		{civil.New(2023, 2, 20), "the city reviews them with experts", s.stepTowns("review")},
		{civil.New(2023, 3, 1), "they go on public notice (公示) for five working days", s.stepTowns("announce")},
		{civil.New(2023, 3, 8), "the notice has run: ten municipal towns are designated (认定)", s.designate},
		{civil.New(2023, 3, 15), "thirty enterprises are entered (made up)", s.enterEnterprises},
		{civil.New(2023, 3, 20), "reports of 2022 are drafted, submitted and verified by the counties (shares made up)", s.report},
		{civil.New(2023, 4, 10), "the city publishes the reports", s.publish},
		{civil.New(2023, 4, 12), "projects are planned, signed, approved and started", s.startProjects},
		{civil.New(2023, 4, 20), "the budget of the special fund is adopted", s.adoptBudget},
		{civil.New(2023, 5, 4), "a call is opened", s.openCall},
		{civil.New(2023, 5, 15), "enterprises apply, and their counties check the investment", s.applyForSupport},
		{civil.New(2023, 6, 5), "experts score the applications; one is turned down", s.reviewApplications},
		{civil.New(2023, 6, 7), "the others go on public notice", s.announceApplications},
		{civil.New(2023, 6, 14), "they are approved and awarded (立项)", s.award},
		{civil.New(2023, 9, 4), "projects have progressed; milestones are inspected and accepted", s.progress},
		{civil.New(2023, 9, 11), "first tranches are proven, prepared, checked and sent: three people for each", s.pay},
		{civil.New(2023, 9, 14), "the bank pays two and sends one back", s.hearFromBank},
		{civil.New(2023, 9, 20), "it is paid again, to the right account", s.payAgain},
		{civil.New(2023, 11, 6), "two projects are completed, one goes into production", s.complete},
		{civil.New(2024, 1, 8), "the year is assessed: facts collected, scores computed, result on notice", s.assess},
		{civil.New(2024, 1, 15), "the notice has run: the result is final", s.conclude},
	}
}

// create creates the resource of that name.
func (s *story) create(ctx context.Context, who, name string, body proto.Message) error {
	collection, id := cut(name)
	answer := body.ProtoReflect().New().Interface()
	path := fmt.Sprintf("/v1/%s?%s_id=%s", collection, snake(singular(last(collection))), id)
	return s.mutate(ctx, who, path, requestID(name, "create"), body, answer)
}

// step takes a step in the life of the resource of that name. The answer is the resource after it.
func (s *story) step(ctx context.Context, who, name, verb string, request, answer proto.Message) error {
	return s.mutate(ctx, who, "/v1/"+name+":"+verb, requestID(name, verb), request, answer)
}

// mutate sends a mutation, each a second after the one before.
func (s *story) mutate(ctx context.Context, who, path, id string, body, answer proto.Message) error {
	s.clock.Advance(time.Second)
	return s.rest.post(ctx, who, path, id, body, answer)
}

// requestID names a request by the kind of resource, its identifiers and the verb: `reports.140525-casting.2022.submit`.
func requestID(name, verb string) string {
	segments := strings.Split(name, "/")
	parts := []string{segments[len(segments)-2]}
	for i := 1; i < len(segments); i += 2 {
		parts = append(parts, segments[i])
	}
	return strings.Join(append(parts, verb), ".")
}

// cut splits a name into its collection and the identifier in it.
func cut(name string) (collection, id string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i], name[i+1:]
}

func last(collection string) string {
	return collection[strings.LastIndexByte(collection, '/')+1:]
}

// singular makes `batch` of `batches` and `town` of `towns`.
func singular(plural string) string {
	if s, ok := strings.CutSuffix(plural, "ches"); ok {
		return s + "ch"
	}
	return strings.TrimSuffix(plural, "s")
}

// snake makes `holiday_calendar` of `holidayCalendar`.
func snake(camel string) string {
	var b strings.Builder
	for _, r := range camel {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// countyOf names the office of the county that an identifier begins with.
func countyOf(id string) string { return countyPrefix + id[:6] }
