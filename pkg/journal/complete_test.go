package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// mixed commits 30 changes, a town and an enterprise by turns, in two divisions, and deletes the last enterprise.
func mixed(t testing.TB, db *journal.DB) {
	t.Helper()
	for i := range 15 {
		update(t, db, func(tx *journal.Tx) error {
			name := fmt.Sprintf("towns/14052%d-%02d", i%2, i)
			return errors.Join(
				towns.Put(tx, &townv1.Town{Name: name}),
				enterprises.Put(tx, &townv1.Enterprise{Name: name + "/enterprises/x"}))
		})
	}
	update(t, db, func(tx *journal.Tx) error { return enterprises.Delete(tx, "towns/140520-14/enterprises/x") })
}

func newSigner(t testing.TB, a journalv1.SignatureAlgorithm) (*journal.Signer, *journal.PublicKey) {
	t.Helper()
	private, public, err := journal.NewKey(a)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := journal.ReadSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := journal.ReadPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, key
}

func TestListOfSomeResources(t *testing.T) {
	db, _ := open(t)
	mixed(t, db)
	client, _ := serve(t, db, never)
	for _, c := range []struct {
		name   string
		types  []string
		prefix string
		want   int
	}{
		{"one type", []string{"Town"}, "", 15},
		{"a type with its deletion", []string{"Enterprise"}, "", 16},
		{"two types", []string{"Enterprise", "Town"}, "", 31},
		{"a division", nil, "towns/140521", 14},
		{"a type in a division", []string{"Town"}, "towns/140521", 7},
		{"a type that is not there", []string{"Tow"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := &journalv1.ListChangesRequest{Parent: "journals/town", PageSize: 4, ResourceTypes: c.types, ResourcePrefix: c.prefix}
			var got []int64
			for {
				res, err := client.ListChanges(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				for _, ch := range res.GetChanges() {
					got = append(got, ch.GetRevision())
				}
				if req.PageToken = res.GetNextPageToken(); req.PageToken == "" {
					if res.GetReadRevision() != 31 {
						t.Errorf("read up to %d, want 31", res.GetReadRevision())
					}
					break
				}
			}
			if len(got) != c.want || !slices.IsSorted(got) {
				t.Errorf("revisions %v, want %d in order", got, c.want)
			}
		})
	}
}

func TestWatchOfSomeResources(t *testing.T) {
	db, _ := open(t)
	mixed(t, db)
	client, _ := serve(t, db, 5*time.Millisecond)
	stream, err := client.WatchChanges(t.Context(), &journalv1.WatchChangesRequest{
		Name: "journals/town", ResourceTypes: []string{"Town"}, AfterRevision: 28})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	beat := int64(0)
	for len(got) < 2 || beat < 33 {
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if res.GetChange() != nil {
			got = append(got, res.GetChange().GetRevision())
			continue
		}
		if beat = res.GetHeadRevision(); beat == 31 { // a heartbeat advances the cursor past what was not asked for
			update(t, db, func(tx *journal.Tx) error {
				return errors.Join(enterprises.Put(tx, &townv1.Enterprise{Name: "towns/z/enterprises/z"}), towns.Put(tx, &townv1.Town{Name: "towns/z"}))
			})
		}
	}
	if !slices.Equal(got, []int64{29, 33}) {
		t.Errorf("revisions %v came, want 29 and 33", got)
	}
}

func TestSlowReader(t *testing.T) {
	db, _ := open(t)
	mixed(t, db)
	srv := journal.NewServer(db)
	srv.SetStall(time.Millisecond)
	stream := &slowStream{ctx: t.Context(), take: make(chan *journalv1.WatchChangesResponse)}
	expectFault(t, srv.WatchChanges(&journalv1.WatchChangesRequest{Name: "journals/town"}, stream),
		codes.ResourceExhausted, typev1.Reason_REASON_SLOW_READER)
}

func TestAnotherReplicaCommits(t *testing.T) {
	s := openStore(t)
	here, there := journal.Open(s, "town", clock.NewManual(march)), journal.Open(s, "town", clock.NewManual(march))
	client, _ := serve(t, here, never)
	putTowns(t, here, "1", "towns/a")
	stream := watch(t.Context(), t, client, 0)
	receive(t, stream, 1, 1)
	putTowns(t, there, "2", "towns/a", "towns/b")
	here.Announce()
	receive(t, stream, 2, 2)
	putTowns(t, here, "3", "towns/a")
	here.Announce()
	receive(t, stream, 4, 1)
}

func TestSM3AndSM2(t *testing.T) {
	db := journal.Open(openStore(t), "town", clock.NewManual(march), journal.WithHash(journal.SM3))
	mixed(t, db)
	verify(t, db)
	head, err := db.Head(context.Background())
	if err != nil || head.GetHashAlgorithm() != journal.SM3 {
		t.Fatalf("head %v, %v", head, err)
	}
	first := changes(t, db)[0]
	if bytes.Equal(first.GetHash(), journal.Hash(journal.SHA256, first)) {
		t.Error("the hash is SHA-256's")
	}
	for _, a := range []journalv1.SignatureAlgorithm{1, 2} {
		signer, key := newSigner(t, a)
		c, err := db.Checkpoint(context.Background(), signer)
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Sign(c); err != nil {
			t.Fatal(err)
		}
		if err := journal.CheckSignature(c, key); err != nil {
			t.Error(err)
		}
		for i := range c.GetSignature() {
			c.Signature[i] ^= 1
			if journal.CheckSignature(c, key) == nil {
				t.Errorf("%v: byte %d of the signature is other than it was, and it fits", a, i)
			}
			c.Signature[i] ^= 1
		}
		c.Revision++
		if journal.CheckSignature(c, key) == nil {
			t.Errorf("%v: the signature fits another revision", a)
		}
	}
}

func TestTailCutOff(t *testing.T) {
	ctx := context.Background()
	db, _ := open(t)
	mixed(t, db)
	signer, _ := newSigner(t, 1)
	signed, err := db.Checkpoint(ctx, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Verify(ctx, 0, 31, signed); err != nil {
		t.Error(err)
	}
	shorter := journal.NewChain("journals/town", journal.SHA256, 0, nil, signed)
	for _, c := range changes(t, db)[:20] {
		if err := shorter.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	var corrupt *journal.CorruptError
	if err := shorter.End(); !errors.As(err, &corrupt) || corrupt.Revision != 21 {
		t.Errorf("a journal cut off after 20: %v, want that revision 21 is missing", err)
	}
	other, _ := open(t)
	for i := range 31 { // as long, and made anew
		putTowns(t, other, fmt.Sprint(i), "towns/a")
	}
	if _, err := other.Verify(ctx, 0, 31, signed); !errors.As(err, &corrupt) || corrupt.Revision != 31 {
		t.Errorf("a journal made anew: %v, want revision 31 to be named", err)
	}
}

func TestPrune(t *testing.T) {
	ctx := context.Background()
	db, _ := open(t)
	mixed(t, db)
	before := changes(t, db)
	client, _ := serve(t, db, never)
	prune := func(revision int64, hash []byte) error {
		_, err := client.PruneChanges(ctx, &journalv1.PruneChangesRequest{Name: "journals/town", Revision: revision, Hash: hash})
		return err
	}
	expectFault(t, prune(20, before[19].GetHash()), codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE)
	signer, _ := newSigner(t, 1)
	if _, err := db.Checkpoint(ctx, signer); err != nil {
		t.Fatal(err)
	}
	expectFault(t, prune(20, before[18].GetHash()), codes.DataLoss, typev1.Reason_REASON_JOURNAL_CORRUPT)
	for _, to := range []int64{20, 20, 5, 29, 31} {
		if err := prune(to, before[to-1].GetHash()); err != nil {
			t.Fatalf("to %d: %v", to, err)
		}
		verify0(t, db)
	}
	if _, _, err := db.Read(ctx, 0, 1); !errors.As(err, new(*journal.PrunedError)) {
		t.Errorf("reading from the beginning: %v", err)
	}
	_, err := client.ListChanges(ctx, &journalv1.ListChangesRequest{Parent: "journals/town", AfterRevision: 30})
	expectFault(t, err, codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE)
	_, err = watch(ctx, t, client, 0).Recv()
	expectFault(t, err, codes.OutOfRange, typev1.Reason_REASON_REVISION_OUT_OF_RANGE)

	// The last change of each resource is still there, and proves itself.
	last := map[string]*journalv1.Change{}
	for _, c := range before {
		last[c.GetResource()] = c
	}
	for resource, want := range last {
		got, err := client.GetLatestChange(ctx, &journalv1.GetLatestChangeRequest{Name: "journals/town", Resource: resource})
		if err != nil || !bytes.Equal(got.GetHash(), want.GetHash()) {
			t.Errorf("%s: %v, %v", resource, got, err)
		}
	}
	putTowns(t, db, "again", "towns/140520-00")
	receive(t, watch(t.Context(), t, client, 31), 32, 1)
	verify0(t, db)
	// What was put aside goes when the change that replaced it is archived.
	if _, err := db.Checkpoint(ctx, signer); err != nil {
		t.Fatal(err)
	}
	if err := prune(32, changes32(t, db).GetHash()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.At(ctx, "towns/140520-00", 1); !errors.As(err, new(*journal.PrunedError)) {
		t.Errorf("a change that was replaced and archived: %v", err)
	}
	if _, err := db.At(ctx, "towns/140520-00", 32); err != nil {
		t.Error(err)
	}
	// Journal and archive are one chain.
	chain := journal.NewChain("journals/town", journal.SHA256, 0, nil)
	for _, c := range before {
		if err := chain.Add(c); err != nil {
			t.Fatal(err)
		}
	}
}

func changes32(t testing.TB, db *journal.DB) (c *journalv1.Change) {
	t.Helper()
	err := db.View(context.Background(), func(r store.Reader) (err error) {
		c, err = journal.Latest(r, "towns/140520-00")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify0 verifies what is kept.
func verify0(t testing.TB, db *journal.DB) {
	t.Helper()
	head, err := db.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Verify(context.Background(), 0, head.GetRevision()); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkWatchers measures the time from the beginning of a commit to each of 1,000 watchers, clients included, over 16 connections.
func BenchmarkWatchers(b *testing.B) {
	const n, conns = 1000, 16
	db, _ := open(b)
	clients := dialMany(b, db, conns)
	var mu sync.Mutex
	var at time.Time
	var took []time.Duration
	var round sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range n {
		stream, err := clients[i%conns].WatchChanges(ctx, &journalv1.WatchChangesRequest{Name: "journals/town"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := stream.Header(); err != nil {
			b.Fatal(err)
		}
		go func() {
			for {
				if _, err := stream.Recv(); err != nil {
					return
				}
				now := time.Now()
				mu.Lock()
				took = append(took, now.Sub(at))
				mu.Unlock()
				round.Done()
			}
		}()
	}
	putOne := func(i int) {
		round.Add(n)
		putTowns(b, db, "x", fmt.Sprintf("towns/%d", i))
		round.Wait()
	}
	putOne(-1)
	took = nil
	b.ResetTimer()
	for i := range b.N {
		round.Add(n)
		mu.Lock()
		at = time.Now() // before the commit, so the time for writing to disk is in the figure
		mu.Unlock()
		err := db.Update(ctx, by, func(tx *journal.Tx) error { return towns.Put(tx, &townv1.Town{Name: fmt.Sprintf("towns/%d", i)}) })
		if err != nil {
			b.Fatal(err)
		}
		round.Wait()
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// dialMany serves a journal and connects to it several times.
func dialMany(b *testing.B, db *journal.DB, n int) (clients []journalv1.JournalClient) {
	b.Helper()
	g := grpc.NewServer()
	journalv1.RegisterJournalServer(g, journal.NewServer(db))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go g.Serve(lis)
	b.Cleanup(g.Stop)
	for range n {
		conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		clients = append(clients, journalv1.NewJournalClient(conn))
	}
	return clients
}

func TestNotarySignsAtTheEnd(t *testing.T) {
	db, _ := open(t)
	mixed(t, db)
	signer, key := newSigner(t, 1)
	n := &journal.Notary{DB: db, Signer: signer, Every: time.Hour, Logger: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := n.Run(ctx); err != nil {
		t.Fatal(err)
	}
	client, _ := serve(t, db, never)
	res, err := client.ListCheckpoints(t.Context(), &journalv1.ListCheckpointsRequest{Parent: "journals/town"})
	if err != nil || len(res.GetCheckpoints()) != 1 || journal.CheckSignature(res.GetCheckpoints()[0], key) != nil {
		t.Fatalf("checkpoints %v, %v", res, err)
	}
	c, err := client.GetCheckpoint(t.Context(), &journalv1.GetCheckpointRequest{Name: "journals/town/checkpoints/31"})
	if err != nil || c.GetRevision() != 31 {
		t.Errorf("checkpoint %v, %v", c, err)
	}
	_, err = client.GetCheckpoint(t.Context(), &journalv1.GetCheckpointRequest{Name: "journals/town/checkpoints/30"})
	expectFault(t, err, codes.NotFound, typev1.Reason_REASON_RESOURCE_NOT_FOUND)
}
