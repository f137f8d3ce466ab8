package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// Watchers come over a few connections, as through gateways and proxies, and commits a while apart: what is measured is
// how long a change takes to reach all watchers, not how many changes fit through.
const (
	watchersPerConn = 100
	betweenCommits  = 100 * time.Millisecond
)

// watch measures the time from a commit to those who watch the journal. It counts from the commit time that stands in the
// change, which is taken before the disk has it: so the sync is part of it.
func (b *bench) watch(ctx context.Context) (err error) {
	r, err := b.serve(ctx, "watched", b.sizes[0])
	if err != nil {
		return err
	}
	progress("%d watchers, %d commits %v apart", b.watchers, b.commits, betweenCommits)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	each := make([][]time.Duration, b.watchers)
	errs := make([]error, b.watchers)
	var ready, group sync.WaitGroup
	var journal journalv1.JournalClient
	for i := range b.watchers {
		if i%watchersPerConn == 0 {
			conn, err := dialTown(r.addr)
			if err != nil {
				return err
			}
			b.later(conn.Close)
			journal = journalv1.NewJournalClient(conn)
		}
		head, err := journal.GetHead(ctx, &journalv1.GetHeadRequest{Name: "journals/town"})
		if err != nil {
			return err
		}
		stream, err := journal.WatchChanges(watching, &journalv1.WatchChangesRequest{
			Name: "journals/town", AfterRevision: head.GetRevision(),
		})
		if err != nil {
			return err
		}
		ready.Add(1)
		group.Go(func() {
			_, errs[i] = stream.Header()
			ready.Done()
			for len(each[i]) < b.commits && errs[i] == nil {
				var res *journalv1.WatchChangesResponse
				if res, errs[i] = stream.Recv(); res.GetChange() != nil {
					each[i] = append(each[i], time.Since(res.GetChange().GetCommitTime().AsTime()))
				}
			}
		})
	}
	ready.Wait()
	tick := time.NewTicker(betweenCommits)
	defer tick.Stop()
	begun := time.Now()
	for range b.commits {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.create(ctx); err != nil {
			return err
		}
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l := &load{callers: b.watchers, measured: figures{took: time.Since(begun)}}
	for _, latencies := range each {
		l.measured.latencies = append(l.measured.latencies, latencies...)
	}
	b.table.section("commit to watcher")
	p99 := l.measured.quantile(99)
	b.table.row(line{what: fmt.Sprintf("changes received by %d watchers", b.watchers), load: l})
	b.table.fact("p99 from commit to watcher", round(p99).String(), "< 5 ms", p99 < 5*time.Millisecond)
	return b.close()
}
