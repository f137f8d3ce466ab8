package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestServeKeepsItsRecordsOnEtcd(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	args := []string{
		"serve", "--store", cluster.URL("jincheng"), "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
		"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0",
	}
	p := start(t, args...)
	url, token := p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
	if status, body := callREST(t, http.DefaultClient, "POST", url+"/v1/divisions?division_id=140525", token, zezhou); status != http.StatusOK {
		t.Fatalf("a division is created with status %d: %s", status, body)
	}
	p.stop()

	cluster.Members[0].Kill() // the one that was spoken to
	p = start(t, args...)
	url, token = p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
	if status, body := callREST(t, http.DefaultClient, "GET", url+"/v1/divisions/140525", token, ""); status != http.StatusOK || !strings.Contains(body, "Zezhou") {
		t.Errorf("after a restart, without a member, the division is answered with status %d: %s", status, body)
	}
	if status, body := callREST(t, http.DefaultClient, "POST", url+"/v1/divisions?division_id=140581", token, `{"titleZh": "高平市", "titleEn": "Gaoping"}`); status != http.StatusOK {
		t.Errorf("without a member a division is created with status %d: %s", status, body)
	}
	p.stop()
}

// replicaToken is what the callers of the replicas show.
const replicaToken = "a token of this test"

// startTown starts a town registry as a process of its own.
func startTown(t *testing.T, folder, location string) (*process, *grpc.ClientConn) {
	t.Helper()
	credentials := filepath.Join(folder, "credentials.yaml")
	entry := fmt.Sprintf("principals: [{name: admin, token_sha256: %s, permissions: ['*'], division: '140000'}]\n", authn.Digest(replicaToken))
	if err := os.WriteFile(credentials, []byte(entry), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "town", "--listen", "127.0.0.1:0", "--store", location, "--credentials", credentials)
	conn, err := rpc.Dial(p.await(`^town answers gRPC on (\S+)`), nil, replicaToken)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return p, conn
}

// TestTwoReplicasServeOneStore writes on one replica, reads and watches on the other, kills the first, and goes on with
// the second, which carries a request out that was sent to the first no second time.
func TestTwoReplicasServeOneStore(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	folder := t.TempDir()
	first, one := startTown(t, folder, cluster.URLFrom(0, "jincheng"))
	second, two := startTown(t, folder, cluster.URLFrom(1, "jincheng"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch, err := journalv1.NewJournalClient(two).WatchChanges(ctx, &journalv1.WatchChangesRequest{Name: "journals/town"})
	if err != nil {
		t.Fatal(err)
	}
	create := func(conn *grpc.ClientConn, id string) (*townv1.Division, error) {
		return townv1.NewTownRegistryClient(conn).CreateDivision(ctx, &townv1.CreateDivisionRequest{
			RequestId: "create-" + id, DivisionId: id, Division: &townv1.Division{TitleZh: "县", TitleEn: "County " + id},
		})
	}
	saw := func(name string) {
		t.Helper()
		for {
			res, err := watch.Recv()
			if err != nil {
				t.Fatalf("waiting for %s: %v", name, err)
			}
			if res.GetChange().GetResource() == name {
				return
			}
		}
	}
	made, err := create(one, "140525")
	if err != nil {
		t.Fatal(err)
	}
	read, err := townv1.NewTownRegistryClient(two).GetDivision(ctx, &townv1.GetDivisionRequest{Name: "divisions/140525"})
	if err != nil || read.GetEtag() != made.GetEtag() {
		t.Errorf("the other replica answers %v, %v; it was made as %v", read, err, made)
	}
	saw("divisions/140525")

	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	again, err := create(two, "140525")
	if err != nil || again.GetEtag() != made.GetEtag() {
		t.Errorf("the same request to the other replica is answered with %v, %v", again, err)
	}
	if _, err := create(two, "140581"); err != nil {
		t.Error(err)
	}
	saw("divisions/140581")
	verified, err := journalv1.NewJournalClient(two).VerifyRange(ctx, &journalv1.VerifyRangeRequest{Name: "journals/town"})
	if err != nil {
		t.Errorf("the journal of both: %v, %v", verified, err)
	}
	cancel() // the watch
	second.stop()
	replays(t, cluster.URL("jincheng"), "town")
}

// TestAFullClusterIsNoEnd lets a cluster run out of its quota under a service, and makes room as an operator does. The
// service says so meanwhile, answers reads, and goes on without a restart.
func TestAFullClusterIsNoEnd(t *testing.T) {
	cluster := etcdtest.Start(t, 1, "--quota-backend-bytes", "16777216")
	p, conn := startTown(t, t.TempDir(), cluster.URL("jincheng"))
	towns := townv1.NewTownRegistryClient(conn)
	ctx := t.Context()
	create := func(id string) error {
		_, err := towns.CreateDivision(ctx, &townv1.CreateDivisionRequest{
			RequestId: "create-" + id, DivisionId: id, Division: &townv1.Division{TitleZh: "县", TitleEn: "County"},
		})
		return err
	}
	if err := create("140525"); err != nil {
		t.Fatal(err)
	}
	client := cluster.Client(t)
	for full := false; !full; {
		_, err := client.Put(ctx, "filler", string(make([]byte, 1<<20)))
		full = err != nil
	}
	err := create("140581")
	if status.Code(err) != codes.ResourceExhausted || !fault.Is(err, typev1.Reason_REASON_STORE_FULL) {
		t.Errorf("a creation on a full cluster is answered with %v, want STORE_FULL", err)
	}
	if _, err := towns.GetDivision(ctx, &townv1.GetDivisionRequest{Name: "divisions/140525"}); err != nil {
		t.Errorf("a read of a full cluster is answered with %v", err)
	}
	now, err := client.Get(ctx, "filler")
	if err != nil {
		t.Fatal(err)
	}
	_, e1 := client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	_, e2 := client.Defragment(ctx, cluster.Addresses()[0])
	_, e3 := client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	if err := create("140581"); err != nil {
		t.Errorf("with room again the same request is answered with %v", err)
	}
	p.stop()
}
