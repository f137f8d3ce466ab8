package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"

	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// registry is a served registry, or the echo, as its callers see it.
type registry struct {
	process
	client townv1.TownRegistryClient
	// filled is how many rows it began with, and created counts those that came since.
	filled  int
	created atomic.Uint64
}

// serve starts a registry of so many rows, or the echo if there are none.
func (b *bench) serve(ctx context.Context, name string, rows int) (*registry, error) {
	path, dial := "", dialBare
	if rows > 0 {
		path, dial = filepath.Join(b.folder, name+".db"), dialTown
		progress("filling %s with %d rows", filepath.Base(path), rows)
		if err := fill(ctx, path, rows); err != nil {
			return nil, err
		}
	}
	p, err := b.start(ctx, name, path)
	if err != nil {
		return nil, err
	}
	b.later(p.stop)
	conn, err := dial(p.addr)
	if err != nil {
		return nil, err
	}
	b.later(conn.Close)
	return &registry{process: *p, client: townv1.NewTownRegistryClient(conn), filled: rows}, nil
}

func (r *registry) rows() int { return r.filled + int(r.created.Load()) }

func (r *registry) create(ctx context.Context) error {
	_, err := r.client.CreateEnterprise(ctx, createRequest(fresh(r.created.Add(1))))
	return err
}

func (r *registry) read(ctx context.Context) error {
	_, err := r.client.GetEnterprise(ctx, &townv1.GetEnterpriseRequest{Name: rowName(resident(rand.IntN(max(1, r.filled)), max(1, r.filled)))})
	return err
}

// mixed returns a load of which so many in a hundred calls are reads and the others creates.
func (r *registry) mixed(callers, reads int) *load {
	return &load{callers: callers, call: func(ctx context.Context, _ int) error {
		if rand.IntN(100) < reads {
			return r.read(ctx)
		}
		return r.create(ctx)
	}}
}

// mainCallers are those at which the loads are compared.
const mainCallers = 64

// calls holds creates, reads and mixtures against the bare echo and the bare store.
func (b *bench) calls(ctx context.Context) error {
	rows := b.sizes[0]
	sh, err := takeShape(ctx, b.folder)
	if err != nil {
		return err
	}
	b.table.note("a create writes %d keys, %d bytes; the row answered is %d bytes", len(sh.writes), sh.size(), answerSize())
	ours, err := b.serve(ctx, "town", rows)
	if err != nil {
		return err
	}
	bare, err := b.serve(ctx, "echo", 0)
	if err != nil {
		return err
	}
	raw, err := b.openRaw(sh, rows)
	if err != nil {
		return err
	}
	synced, err := b.appendAndSync(sh.size())
	if err != nil {
		return err
	}
	loads := []*load{synced}
	put, err := b.etcdPut(ctx, sh.size())
	if err != nil {
		return err
	}
	if put != nil {
		loads = append(loads, put)
	}
	type three struct{ ours, echo, raw *load }
	creates, reads := map[int]three{}, map[int]three{}
	for _, n := range b.callers {
		creates[n] = three{ours.mixed(n, 0), bare.mixed(n, 0), raw.load(n)}
		reads[n] = three{ours: ours.mixed(n, 100), echo: bare.mixed(n, 100)}
		loads = append(loads, creates[n].ours, creates[n].echo, creates[n].raw, reads[n].ours, reads[n].echo)
	}
	mixtures := map[int]three{}
	for _, share := range []int{90, 50} {
		mixtures[share] = three{ours: ours.mixed(mainCallers, share), echo: bare.mixed(mainCallers, share)}
		loads = append(loads, mixtures[share].ours, mixtures[share].echo)
	}
	progress("%d loads, %d turns of %v each", len(loads), b.rounds, b.turn)
	if err := alternate(ctx, b.rounds, b.turn, loads...); err != nil {
		return err
	}

	t := b.table
	t.section("limits of this machine")
	t.row(line{what: "append and sync of as many bytes", load: synced})
	if put != nil {
		t.row(line{what: "etcd, one member: put of as many bytes", load: put})
	} else {
		t.note("etcd was left out: there is no %s", b.etcd)
	}
	for _, n := range b.callers {
		t.row(line{what: "bare bbolt, group commit of as many bytes and keys", load: creates[n].raw})
	}
	for _, n := range b.callers {
		t.row(line{what: "bare gRPC echo of a create", load: creates[n].echo})
	}
	for _, n := range b.callers {
		t.row(line{what: "bare gRPC echo of a read", load: reads[n].echo})
	}
	t.section(fmt.Sprintf("durable creates, %d rows growing to %d", rows, ours.rows()))
	for _, n := range b.callers {
		c := creates[n]
		l := line{what: "create", load: c.ours, limit: lower(c.echo, c.raw), against: "bbolt"}
		if l.limit == c.echo {
			l.against = "echo"
		}
		switch n {
		case 1:
			l.limit, l.against, l.latency, l.target = c.raw, "bbolt, p50", true, 1.5
		case mainCallers:
			l.target = 0.5
		}
		t.row(l)
	}
	t.section("point reads")
	for _, n := range b.callers {
		l := line{what: "read", load: reads[n].ours, limit: reads[n].echo, against: "echo"}
		if n == mainCallers {
			l.target = 0.7
		}
		t.row(l)
	}
	t.section("mixed")
	for _, share := range []int{90, 50} {
		m := mixtures[share]
		t.row(line{what: fmt.Sprintf("%d %% reads, %d %% creates", share, 100-share), load: m.ours, limit: m.echo, against: "echo"})
	}
	return b.close()
}

func lower(a, b *load) *load {
	if a.measured.rate() < b.measured.rate() {
		return a
	}
	return b
}

// growth holds creates and reads among many rows against those among few. The bare store is measured too: what it loses by
// itself nobody above it can make good.
func (b *bench) growth(ctx context.Context) error {
	type sized struct {
		of                *registry
		create, read, raw *load
	}
	sh, err := takeShape(ctx, b.folder)
	if err != nil {
		return err
	}
	var all []sized
	var loads []*load
	for _, rows := range b.sizes {
		r, err := b.serve(ctx, fmt.Sprintf("town-%d", rows), rows)
		if err != nil {
			return err
		}
		progress("filling a bare store of %d rows", rows)
		raw, err := b.openRaw(sh, rows)
		if err != nil {
			return err
		}
		s := sized{of: r, create: r.mixed(mainCallers, 0), read: r.mixed(mainCallers, 100), raw: raw.load(mainCallers)}
		all, loads = append(all, s), append(loads, s.create, s.raw, s.read)
	}
	progress("%d loads, %d turns of %v each", len(loads), b.rounds, b.turn)
	if err := alternate(ctx, b.rounds, b.turn, loads...); err != nil {
		return err
	}
	least, most := all[0], all[len(all)-1]
	b.table.section("from few rows to many")
	for _, kind := range []struct {
		what string
		of   func(sized) *load
	}{
		{"create", func(s sized) *load { return s.create }},
		{"bare bbolt", func(s sized) *load { return s.raw }},
		{"read", func(s sized) *load { return s.read }},
	} {
		for _, s := range all {
			l := line{what: fmt.Sprintf("%s among %d rows and more", kind.what, s.of.filled), load: kind.of(s)}
			if s != least {
				l.limit, l.against = kind.of(least), "fewest rows"
			}
			if s == most && l.load != s.raw {
				l.target = 0.75
			}
			b.table.row(l)
		}
	}
	for _, s := range all {
		if err := b.memory(s.of, s == most); err != nil {
			return err
		}
	}
	return b.close()
}
