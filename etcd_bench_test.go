package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town"
)

// BenchmarkCreateOnEtcd creates towns through gRPC on three members, by one caller and by 64, with etcd's limit of operations and
// a higher one, beside bare puts of a value of the size of a creation, and of one key.
func BenchmarkCreateOnEtcd(b *testing.B) {
	for _, ops := range []string{"128", "4096"} {
		cluster := etcdtest.Start(b, 3, "--max-txn-ops", ops)
		client := cluster.Client(b)
		db, err := openJournal(b.Context(), cluster.URL("bench?max-txn-ops="+ops), "town", etcd.Files{}, clock.System{}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		server := rpctest.Serve(b, db, func(r grpc.ServiceRegistrar) { town.New(db).Register(r) },
			authn.Principal{Name: "bench", Permissions: []string{"*"}, Division: "140000"})
		towns := townv1.NewTownRegistryClient(server.As("bench"))
		if _, err := towns.CreateDivision(b.Context(), &townv1.CreateDivisionRequest{
			DivisionId: "140525", Division: &townv1.Division{TitleZh: "泽州县", TitleEn: "Zezhou"},
		}); err != nil {
			b.Fatal(err)
		}
		var n atomic.Int64
		create := func() error {
			id := fmt.Sprint("140525-", n.Add(1))
			_, err := towns.CreateTown(b.Context(), &townv1.CreateTownRequest{RequestId: id, TownId: id, Town: &townv1.Town{
				Division: "140525", IndustryCodes: []string{"3391"}, Field: townv1.Field_FIELD_MANUFACTURING, TitleZh: "铸造镇", TitleEn: "Casting town",
			}})
			return err
		}
		if err := create(); err != nil {
			b.Fatal(err)
		}
		keys, size := lastCommit(b, client)
		b.Logf("a creation writes %d keys, %d bytes", keys, size)
		put := func() error {
			_, err := client.Put(b.Context(), fmt.Sprint("/bare/", n.Add(1)), string(bytes.Repeat([]byte("x"), size)))
			return err
		}
		for _, callers := range []int{1, 64} {
			for _, load := range []struct {
				name string
				one  func() error
			}{{"put", put}, {"create", create}} {
				b.Run(fmt.Sprintf("ops=%s/callers=%d/%s", ops, callers, load.name), func(b *testing.B) {
					b.SetParallelism(max(1, callers/2)) // of two processors
					if callers == 1 {
						for b.Loop() {
							if err := load.one(); err != nil {
								b.Fatal(err)
							}
						}
					} else {
						b.RunParallel(func(pb *testing.PB) {
							for pb.Next() {
								if err := load.one(); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
				})
			}
		}
	}
}

// lastCommit counts what the last commit of the store has written.
func lastCommit(b *testing.B, client *clientv3.Client) (keys, size int) {
	b.Helper()
	guard, err := client.Get(b.Context(), "/bench/town/guard")
	if err != nil {
		b.Fatal(err)
	}
	written, err := client.Get(b.Context(), "/bench/town/", clientv3.WithPrefix(), clientv3.WithMinModRev(guard.Kvs[0].ModRevision))
	if err != nil {
		b.Fatal(err)
	}
	for _, kv := range written.Kvs {
		size += len(kv.Key) + len(kv.Value)
	}
	return len(written.Kvs), size
}
