package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// serve serves a journal on loopback with nothing around it.
func serve(t *testing.T, db *journal.DB, heartbeat time.Duration) (journalv1.JournalClient, *journal.Server) {
	t.Helper()
	srv := journal.NewServer(db)
	srv.SetHeartbeat(heartbeat)
	g := grpc.NewServer()
	journalv1.RegisterJournalServer(g, srv)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := g.Serve(lis); err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		g.Stop()
	})
	return journalv1.NewJournalClient(conn), srv
}

func expectFault(t *testing.T, err error, code codes.Code, reason protoreflect.Enum) {
	t.Helper()
	if status.Code(err) != code || !fault.Is(err, reason) {
		t.Errorf("answered %v, want %v with %v", err, code, reason)
	}
}

const never = time.Hour

func TestListChanges(t *testing.T) {
	db, _ := open(t)
	names := make([]string, 230)
	for i := range names {
		names[i] = fmt.Sprintf("towns/%03d", i)
	}
	putTowns(t, db, "铸造", names...)
	client, _ := serve(t, db, never)
	ctx := t.Context()

	for _, c := range []struct {
		name        string
		size        int32
		after       int64
		first, last int64
		pages       int
	}{
		{"all in pages of the default size, 100", 0, 0, 1, 230, 3},
		{"all in pages that come out even", 115, 0, 1, 230, 2},
		{"all at once", 1000, 0, 1, 230, 1},
		{"those after a revision", 100, 200, 201, 230, 1},
		{"those after the head: none", 100, 230, 0, 0, 1},
		{"those after what is yet to come: none", 100, 1 << 40, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := &journalv1.ListChangesRequest{Parent: "journals/town", PageSize: c.size, AfterRevision: c.after}
			pages, next := 0, c.first
			for {
				res, err := client.ListChanges(ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				pages++
				for _, ch := range res.GetChanges() {
					if ch.GetRevision() != next {
						t.Fatalf("page %d has revision %d, want %d", pages, ch.GetRevision(), next)
					}
					next++
				}
				if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
					break
				}
			}
			if c.first > 0 && next != c.last+1 || pages != c.pages {
				t.Errorf("the list ends after revision %d and %d pages, want %d and %d", next-1, pages, c.last, c.pages)
			}
		})
	}
	t.Run("a token of another list is refused", func(t *testing.T) {
		res, err := client.ListChanges(ctx, &journalv1.ListChangesRequest{Parent: "journals/town"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.ListChanges(ctx, &journalv1.ListChangesRequest{
			Parent: "journals/town", AfterRevision: 5, PageToken: res.GetNextPageToken(),
		})
		expectFault(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_PAGE_TOKEN)
	})
	t.Run("another service's journal is not here", func(t *testing.T) {
		_, err := client.ListChanges(ctx, &journalv1.ListChangesRequest{Parent: "journals/fund"})
		expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
	})
}

func TestListChangesKeepsUnderTheSizeOfAMessage(t *testing.T) {
	db, _ := open(t)
	for i := range 5 {
		putTowns(t, db, strings.Repeat("铸", 300_000), fmt.Sprintf("towns/%d", i)) // 900 kB each
	}
	client, _ := serve(t, db, never)
	req := &journalv1.ListChangesRequest{Parent: "journals/town", PageSize: 5}
	seen := 0
	for {
		res, err := client.ListChanges(t.Context(), req) // a client takes 4 MiB by default
		if err != nil {
			t.Fatal(err)
		}
		seen += len(res.GetChanges())
		if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d changes came, want 5", seen)
	}
}

func TestGetHeadAndLatestChange(t *testing.T) {
	db, _ := open(t)
	putTowns(t, db, "1", "towns/a", "towns/b")
	putTowns(t, db, "2", "towns/a")
	update(t, db, func(tx *journal.Tx) error { return towns.Delete(tx, "towns/b") })
	client, _ := serve(t, db, never)
	ctx := t.Context()
	all := changes(t, db)

	head, err := client.GetHead(ctx, &journalv1.GetHeadRequest{Name: "journals/town"})
	if err != nil || head.GetRevision() != 4 || string(head.GetHash()) != string(all[3].GetHash()) || head.GetName() != "journals/town" {
		t.Errorf("head %v, %v", head, err)
	}
	_, err = client.GetHead(ctx, &journalv1.GetHeadRequest{Name: "journals/fund"})
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)

	for resource, want := range map[string]int64{"towns/a": 3, "towns/b": 4} {
		c, err := client.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/town", Resource: resource})
		if err != nil || c.GetRevision() != want || c.GetResource() != resource {
			t.Errorf("latest change of %s: %v, %v; want revision %d", resource, c, err, want)
		}
	}
	for _, absent := range []string{"towns/c", "towns/", "towns"} {
		_, err = client.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/town", Resource: absent})
		expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
	}
	_, err = client.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/fund", Resource: "towns/a"})
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
}

func TestVerifyRange(t *testing.T) {
	s := openStore(t)
	db := journal.Open(s, "town", clock.NewManual(march))
	client, _ := serve(t, db, never)
	ctx := t.Context()
	verifyRange := func(first, last int64) (*journalv1.VerifyRangeResponse, error) {
		return client.VerifyRange(ctx, &journalv1.VerifyRangeRequest{Name: "journals/town", FirstRevision: first, LastRevision: last})
	}
	res, err := verifyRange(0, 0)
	if err != nil || res.GetLastRevision() != 0 || string(res.GetHash()) != string(make([]byte, 32)) {
		t.Errorf("of an empty journal: %v, %v", res, err)
	}
	for i := range 5 {
		putTowns(t, db, fmt.Sprint(i), "towns/a")
	}
	all := changes(t, db)
	for _, c := range []struct{ first, last, wantFirst, wantLast int64 }{
		{0, 0, 1, 5}, {1, 5, 1, 5}, {0, 3, 1, 3}, {3, 0, 3, 5}, {5, 5, 5, 5}, {2, 4, 2, 4},
	} {
		res, err := verifyRange(c.first, c.last)
		if err != nil || res.GetFirstRevision() != c.wantFirst || res.GetLastRevision() != c.wantLast ||
			string(res.GetHash()) != string(all[c.wantLast-1].GetHash()) {
			t.Errorf("VerifyRange(%d, %d) = %v, %v; want %d to %d", c.first, c.last, res, err, c.wantFirst, c.wantLast)
		}
	}
	for _, c := range [][2]int64{{1, 6}, {7, 0}, {5, 3}, {1 << 40, 1 << 41}} {
		_, err := verifyRange(c[0], c[1])
		expectFault(t, err, codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE)
	}
	_, err = client.VerifyRange(ctx, &journalv1.VerifyRangeRequest{Name: "journals/fund"})
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)

	err = s.Update(ctx, func(tx store.Tx) error { return tx.Delete([]byte("journal/change/\x00\x00\x00\x00\x00\x00\x00\x04")) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifyRange(0, 0)
	expectFault(t, err, codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT)
	if !strings.Contains(err.Error(), "revision 4") {
		t.Errorf("%v, want that it names revision 4", err)
	}
}

// receive takes n changes from a stream, passes over heartbeats, and checks that revisions follow one another.
func receive(t *testing.T, stream grpc.ServerStreamingClient[journalv1.WatchChangesResponse], first int64, n int) {
	t.Helper()
	for next := first; next < first+int64(n); {
		res, err := stream.Recv()
		if err != nil {
			t.Fatalf("before revision %d: %v", next, err)
		}
		if res.GetChange() == nil {
			continue
		}
		if got := res.GetChange().GetRevision(); got != next || res.GetHeadRevision() < next {
			t.Fatalf("revision %d came with head %d, want revision %d", got, res.GetHeadRevision(), next)
		}
		next++
	}
}

func watch(ctx context.Context, t *testing.T, client journalv1.JournalClient, after int64) grpc.ServerStreamingClient[journalv1.WatchChangesResponse] {
	t.Helper()
	stream, err := client.WatchChanges(ctx, &journalv1.WatchChangesRequest{Name: "journals/town", AfterRevision: after})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestWatchChanges(t *testing.T) {
	db, _ := open(t)
	putTowns(t, db, "1", "towns/a", "towns/b", "towns/c")
	client, srv := serve(t, db, never)

	fromZero := watch(t.Context(), t, client, 0)
	receive(t, fromZero, 1, 3)
	putTowns(t, db, "2", "towns/a", "towns/b")
	receive(t, fromZero, 4, 2)

	resumed := watch(t.Context(), t, client, 2)
	receive(t, resumed, 3, 3)
	fromHead := watch(t.Context(), t, client, 5)
	putTowns(t, db, "3", "towns/a")
	receive(t, resumed, 6, 1)
	receive(t, fromHead, 6, 1)
	receive(t, fromZero, 6, 1)

	_, err := watch(t.Context(), t, client, 7).Recv()
	expectFault(t, err, codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE)

	ctx, leave := context.WithCancel(t.Context())
	left := watch(ctx, t, client, 5)
	receive(t, left, 6, 1)
	leave()
	if _, err := left.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("after leaving: %v", err)
	}

	srv.Stop()
	srv.Stop() // a second time does no harm
	for _, s := range []grpc.ServerStreamingClient[journalv1.WatchChangesResponse]{fromZero, resumed, fromHead} {
		_, err := s.Recv()
		expectFault(t, err, codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN)
	}
}

func TestWatchersHearHeartbeats(t *testing.T) {
	db, _ := open(t)
	putTowns(t, db, "1", "towns/a")
	client, _ := serve(t, db, time.Millisecond)
	stream := watch(t.Context(), t, client, 1)
	for range 3 {
		res, err := stream.Recv()
		if err != nil || res.GetChange() != nil || res.GetHeadRevision() != 1 {
			t.Fatalf("received %v, %v; want a heartbeat at revision 1", res, err)
		}
	}
	putTowns(t, db, "2", "towns/a")
	receive(t, stream, 2, 1)
}

// slowStream is the server's side of a watcher that takes a change when take says so.
type slowStream struct {
	grpc.ServerStream
	ctx  context.Context
	take chan *journalv1.WatchChangesResponse
}

func (s *slowStream) Context() context.Context     { return s.ctx }
func (s *slowStream) SetHeader(metadata.MD) error  { return nil }
func (s *slowStream) SendHeader(metadata.MD) error { return nil }
func (s *slowStream) Send(r *journalv1.WatchChangesResponse) error {
	select {
	case s.take <- r:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func TestSlowWatcherHoldsUpNothing(t *testing.T) {
	counted := &altered{Store: openStore(t)}
	db := journal.Open(counted, "town", clock.NewManual(march))
	srv := journal.NewServer(db)
	stream := &slowStream{ctx: t.Context(), take: make(chan *journalv1.WatchChangesResponse)}
	putTowns(t, db, "0", "towns/a")
	ended := make(chan error)
	go func() { ended <- srv.WatchChanges(&journalv1.WatchChangesRequest{Name: "journals/town"}, stream) }()

	const n = 1000
	names := make([]string, n-1)
	for i := range names {
		names[i] = fmt.Sprintf("towns/%d", i)
	}
	putTowns(t, db, "1", names...) // commits while the watcher takes nothing
	for next := int64(1); next <= n; next++ {
		if got := (<-stream.take).GetChange().GetRevision(); got != next {
			t.Fatalf("revision %d came, want %d", got, next)
		}
		// Whatever has been read for the watcher and not taken is held in memory: at most a chunk, and the next one's
		// first.
		if held := counted.reads.Load() - next; held > 2*100+2 {
			t.Fatalf("%d changes were read ahead of a watcher at revision %d", held, next)
		}
	}
	srv.Stop()
	expectFault(t, <-ended, codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN)
}

func TestStopEndsAWatcherThatNeverCatchesUp(t *testing.T) {
	db, _ := open(t)
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("towns/%d", i)
	}
	putTowns(t, db, "1", names...)
	srv := journal.NewServer(db)
	stream := &slowStream{ctx: t.Context(), take: make(chan *journalv1.WatchChangesResponse)}
	ended := make(chan error, 1)
	go func() { ended <- srv.WatchChanges(&journalv1.WatchChangesRequest{Name: "journals/town"}, stream) }()
	<-stream.take
	srv.Stop()
	taken := 1
	for {
		select {
		case <-stream.take:
			taken++
			continue
		case err := <-ended:
			expectFault(t, err, codes.Unavailable, typev1.Reason_REASON_SHUTTING_DOWN)
		}
		break
	}
	if taken == len(names) {
		t.Error("the watcher got everything before it was sent away")
	}
}

func TestWatchOfAnotherJournal(t *testing.T) {
	db, _ := open(t)
	client, _ := serve(t, db, never)
	stream, err := client.WatchChanges(t.Context(), &journalv1.WatchChangesRequest{Name: "journals/fund"})
	if err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		t.Fatal("the stream ended without an error")
	}
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
}

// TestPruneUnderAWatch archives what a watcher has not taken yet. It is told so, and where to go on; one that had everything goes on.
func TestPruneUnderAWatch(t *testing.T) {
	db, _ := open(t)
	const n = 3000
	update(t, db, func(tx *journal.Tx) error {
		for i := range n { // more than a connection holds for a reader who takes nothing
			if err := towns.Put(tx, &townv1.Town{Name: fmt.Sprintf("towns/%d", i), TitleZh: strings.Repeat("铸", 500)}); err != nil {
				return err
			}
		}
		return nil
	})
	signer, _ := newSigner(t, 1)
	if _, err := db.Checkpoint(t.Context(), signer); err != nil {
		t.Fatal(err)
	}
	client, _ := serve(t, db, never)
	behind, atHead := watch(t.Context(), t, client, 0), watch(t.Context(), t, client, n)
	receive(t, behind, 1, 1)
	if _, err := atHead.Header(); err != nil {
		t.Fatal(err)
	}
	last := changes(t, db)[n-1]
	_, err := client.PruneChanges(t.Context(), &journalv1.PruneChangesRequest{Name: "journals/town", Revision: n, Hash: last.GetHash()})
	if err != nil {
		t.Fatal(err)
	}
	taken := int64(1)
	for err == nil {
		var res *journalv1.WatchChangesResponse
		if res, err = behind.Recv(); err == nil && res.GetChange() != nil {
			if taken++; res.GetChange().GetRevision() != taken {
				t.Fatalf("revision %d came, want %d", res.GetChange().GetRevision(), taken)
			}
		}
	}
	expectFault(t, err, codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE)
	if !strings.Contains(err.Error(), fmt.Sprintf("kept from revision %d on", n+1)) || taken == n {
		t.Errorf("after %d it is told %v, want that the journal is kept from %d on", taken, err, n+1)
	}
	putTowns(t, db, "陶瓷", "towns/0", "towns/new")
	receive(t, atHead, n+1, 2)
	again := watch(t.Context(), t, client, n)
	receive(t, again, n+1, 2)
}
