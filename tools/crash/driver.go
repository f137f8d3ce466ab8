package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// callers is how many work at once; killsPerStore is after how many kills a new store is begun, so that everything of
// a store can be checked after each.
const (
	callers       = 16
	killsPerStore = 10
)

// load is what a service is kept busy with, and what is known of its changes.
type load struct {
	service  string
	schema   func() *store.Schema
	register func(*journal.DB) func(grpc.ServiceRegistrar)
	// fill makes what the callers build on, before there is a process.
	fill func(context.Context, *filler)
	// step is what a caller does next.
	step   func(context.Context, *worker)
	own    func(*tables)
	shapes map[string]shape
}

type options struct {
	kills          int
	seed           uint64
	binary, folder string
	points         []string
	engine         string
	clock          clock.Clock
}

// report is what a run came to.
type report struct {
	seed                                                        uint64
	kills, atPoints, starting, ofMembers, stores                int
	requests, acknowledged, refused, unanswered, reads, repeats int
	changes                                                     int64
	checks                                                      int
	took                                                        time.Duration
	violations                                                  []string
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "seed          %d\n", r.seed)
	fmt.Fprintf(w, "kills         %d: %d at random instants, %d while starting, %d at fail points", r.kills, r.kills-r.atPoints-r.starting-r.ofMembers, r.starting, r.atPoints)
	if r.ofMembers > 0 {
		fmt.Fprintf(w, ", %d of the store's own members", r.ofMembers)
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "requests      %d, and %d reads\n", r.requests, r.reads)
	fmt.Fprintf(w, "acknowledged  %d\n", r.acknowledged)
	fmt.Fprintf(w, "refused       %d\n", r.refused)
	fmt.Fprintf(w, "unanswered    %d, %d of them sent again after the restart\n", r.unanswered, r.repeats)
	fmt.Fprintf(w, "changes       %d in %d stores\n", r.changes, r.stores)
	fmt.Fprintf(w, "checks        %d of the whole store\n", r.checks)
	fmt.Fprintf(w, "took          %v\n", r.took.Round(100*time.Millisecond))
	fmt.Fprintf(w, "violations    %d\n", len(r.violations))
	for i, v := range r.violations {
		if i == 20 {
			fmt.Fprintf(w, "  and %d more\n", len(r.violations)-i)
			break
		}
		fmt.Fprintln(w, "  "+v)
	}
}

// run carries a run out. It stops at the first store that breaks a promise.
func (o *options) run(ctx context.Context, w io.Writer) (r *report, err error) {
	fmt.Fprintf(w, "seed %d\n", o.seed)
	began := o.clock.Now()
	r = &report{seed: o.seed}
	defer func() { r.took = o.clock.Now().Sub(began) }()
	temporary := o.folder == ""
	if temporary {
		if o.folder, err = os.MkdirTemp("", "crash-"); err != nil {
			return nil, err
		}
	}
	if o.binary == "" {
		if o.binary, err = build(ctx, o.folder); err != nil {
			return nil, err
		}
	}
	var members *cluster
	if o.engine == "etcd" {
		if members, err = startCluster(ctx, filepath.Join(o.folder, "etcd")); err != nil {
			return nil, err
		}
		defer members.Stop()
	}
	loads := []load{townLoad, fundLoad}
	for left := o.kills; left > 0 && len(r.violations) == 0; r.stores++ {
		kills := min(left, killsPerStore, (o.kills+1)/2)
		s := &site{
			options: o, report: r, load: loads[r.stores%len(loads)], history: &History{}, number: r.stores,
			folder: filepath.Join(o.folder, fmt.Sprintf("store-%d", r.stores)),
		}
		s.ground = &boltFile{folder: s.folder, service: s.load.service}
		if members != nil {
			s.ground = &etcdPrefix{cluster: members, number: r.stores, service: s.load.service}
		}
		if err := s.run(ctx, kills, w); err != nil {
			return r, err
		}
		left -= kills
	}
	if members != nil {
		members.Stop() // before their data goes
	}
	if temporary && len(r.violations) == 0 {
		err = os.RemoveAll(o.folder)
	}
	return r, err
}

// site is one store, the service on it, and its callers.
type site struct {
	*options
	report  *report
	load    load
	number  int
	folder  string
	ground  ground
	history *History
	since   int64
	workers []*worker
	// replicas are the processes of the service, nil for one that does not run.
	replicas []*replica
}

// replica is a running process of the service, with connections to it.
type replica struct {
	*process
	conns map[string]*grpc.ClientConn
}

// ground is what a store stands on.
type ground interface {
	// replicas is how many processes share a store.
	replicas() int
	// location is the store as `--store` takes it, for one of the replicas.
	location(replica int) string
	// adopt takes the store over from the file in which it was filled.
	adopt(ctx context.Context, filled string) error
	// copy makes a copy of the store as it is, without touching it.
	copy(ctx context.Context, to string) error
	// strike does something to the ground itself, under load, and undoes it after a while. It says what, or nothing if it has
	// left it alone.
	strike(ctx context.Context, random *rand.Rand) (what string, err error)
}

func token(name string) string { return "token of " + name }

func principals() (all []authn.Principal) {
	for _, name := range []string{maker, checks, sender} {
		all = append(all, authn.Principal{Name: name, TokenSHA256: authn.Digest(token(name)), Permissions: []string{"*"}, Division: "140500"})
	}
	return all
}

// run fills the store and kills the service on it so often.
func (s *site) run(ctx context.Context, kills int, w io.Writer) (err error) {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer func() {
		for i := range s.replicas {
			err = errors.Join(err, s.kill(i))
		}
	}()
	for round := range kills {
		how, err := s.round(ctx, round)
		if err != nil {
			return fmt.Errorf("%s, store %d, kill %d: %w", s.load.service, s.number, round, err)
		}
		s.report.kills++
		img, err := s.look(ctx)
		if err != nil {
			return err
		}
		c := checker{img: img, history: s.history, since: s.since, shapes: s.load.shapes, own: s.load.own}
		violations := c.check()
		s.report.checks++
		n := s.history.count()
		fmt.Fprintf(w, "%s store %d kill %2d %-36s %6d acknowledged %5d unanswered %7d changes\n",
			s.load.service, s.number, round, how, n[Acknowledged], n[Unanswered], img.Head.GetRevision())
		if len(violations) > 0 || round == kills-1 {
			s.report.violations = append(s.report.violations, violations...)
			s.report.requests += n[Acknowledged] + n[Refused] + n[Away] + n[Unanswered]
			s.report.acknowledged += n[Acknowledged]
			s.report.refused += n[Refused] + n[Away]
			s.report.unanswered += n[Unanswered]
			s.report.reads += len(s.history.reads)
			s.report.changes += img.Head.GetRevision()
			return nil
		}
	}
	return nil
}

// prepare makes the store, and the callers.
func (s *site) prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	raw, err := yaml.Marshal(map[string]any{"principals": principals()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.folder, "credentials.yaml"), raw, 0o600); err != nil {
		return err
	}
	filled := filepath.Join(s.folder, s.load.service+".db")
	if err := s.fill(ctx, filled); err != nil {
		return err
	}
	if err := s.ground.adopt(ctx, filled); err != nil {
		return err
	}
	for n := range callers {
		s.workers = append(s.workers, &worker{number: n, history: s.history})
	}
	s.replicas = make([]*replica, s.ground.replicas())
	return nil
}

// look reads the store. It works on a copy: what the service opens next is what the kill left, not what a look at it made.
func (s *site) look(ctx context.Context) (img *Image, err error) {
	folder, err := os.MkdirTemp(s.folder, "image-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	file := filepath.Join(folder, "copy.db")
	if err := s.ground.copy(ctx, file); err != nil {
		return nil, err
	}
	return ReadImage(ctx, file, s.load.schema())
}

// caughtPoints are those inside bbolt. A panic there is taken for that of a bad page and does not end the process, so it is held
// there and killed.
var caughtPoints = []string{"beforeSyncDataPages", "beforeSyncMetaPage"}

// round starts what does not run of the service, keeps it busy, and strikes. It says how.
func (s *site) round(ctx context.Context, round int) (how string, err error) {
	random := rand.New(rand.NewPCG(s.seed, uint64(s.number*1000+round)))
	// Every decision is taken here, so that a run with the same seed takes the same.
	starting, after := random.IntN(8) == 0, time.Duration(20+random.IntN(400))*time.Millisecond
	victim, all := random.IntN(len(s.replicas)), random.IntN(6) == 0
	point, terms := "", ""
	if len(s.points) > 0 && random.IntN(2) == 0 {
		starting = false
		point = s.points[random.IntN(len(s.points))]
		terms = []string{"panic", "sleep(60000)"}[random.IntN(2)]
		if slices.Contains(caughtPoints, point) {
			terms = "sleep(60000)"
		}
	}
	if starting {
		s.report.starting++
		if err := s.kill(victim); err != nil {
			return "", err
		}
		if err := s.killStarting(ctx, victim, time.Duration(random.IntN(40))*time.Millisecond); err != nil {
			return "", err
		}
		if len(s.replicas) == 1 {
			return "while starting", nil
		}
	}
	for i := range s.replicas {
		if err := s.start(ctx, i); err != nil {
			return "", err
		}
	}
	s.settle(ctx, s.replicas[victim].conns)
	s.verify(ctx, s.replicas[(victim+1)%len(s.replicas)].conns[maker])

	busy, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	working, rest := context.WithCancel(busy)
	defer rest()
	var workers sync.WaitGroup
	for _, w := range s.workers {
		w.round, w.gone, w.sent, w.conns = round, false, 0, s.replicas[w.number%len(s.replicas)].conns
		w.random = rand.New(rand.NewPCG(s.seed+uint64(s.number), uint64(round*callers+w.number)))
		workers.Go(func() {
			for !w.gone && working.Err() == nil {
				s.load.step(busy, w)
			}
		})
	}
	wait(busy, after)
	how, err = s.strike(busy, random, victim, all, point, terms)
	if how == "" {
		how = fmt.Sprintf("after %v", after)
	}
	if starting {
		how += ", one while starting"
	}
	rest()
	workers.Wait()
	return how, err
}

// strike kills: the service at a fail point, or the ground under it, or the service just so. What does not run afterwards is
// started in the next round.
func (s *site) strike(ctx context.Context, random *rand.Rand, victim int, all bool, point, terms string) (how string, err error) {
	if point != "" {
		s.report.atPoints++
		err = s.reach(ctx, s.replicas[victim].process, point, terms)
		return point + " " + terms, errors.Join(err, s.kill(victim))
	}
	what, err := s.ground.strike(ctx, random)
	if what != "" || err != nil {
		s.report.ofMembers++
		return what, err
	}
	for i := range s.replicas {
		if all || i == victim {
			err = errors.Join(err, s.kill(i))
		}
	}
	if len(s.replicas) > 1 {
		wait(ctx, survival) // the others go on
	}
	return "", err
}

// survival is for how long what has survived a kill is kept busy.
const survival = 400 * time.Millisecond

// start starts a replica, if it does not run.
func (s *site) start(ctx context.Context, i int) error {
	if s.replicas[i] != nil {
		return nil
	}
	p, err := start(ctx, s.binary, s.load.service, s.folder, s.ground.location(i), len(s.points) > 0)
	if err != nil {
		return err
	}
	conns, err := connect(p.addr)
	if err != nil {
		return errors.Join(err, p.kill())
	}
	s.replicas[i] = &replica{process: p, conns: conns}
	return nil
}

// kill kills a replica, if it runs.
func (s *site) kill(i int) error {
	r := s.replicas[i]
	if r == nil {
		return nil
	}
	s.replicas[i] = nil
	return errors.Join(r.kill(), disconnect(r.conns))
}

// reach arms a fail point and returns once the process is held there, or has died there.
func (s *site) reach(ctx context.Context, p *process, point, terms string) error {
	if err := p.arm(ctx, point, terms); err != nil {
		return err
	}
	for range 2000 {
		n, err := p.passed(ctx, point)
		if gone := err != nil; gone || n != "0" {
			return nil //nolint:nilerr // a process that has died at the point does not answer
		}
		wait(ctx, 2*time.Millisecond)
	}
	return fmt.Errorf("fail point %s is not reached", point)
}

// killStarting kills the service soon after it is started, while it opens what the last kill left.
func (s *site) killStarting(ctx context.Context, i int, after time.Duration) error {
	dying, kill := context.WithTimeout(ctx, after)
	defer kill()
	p, err := start(dying, s.binary, s.load.service, s.folder, s.ground.location(i), len(s.points) > 0)
	if err != nil {
		return nil // it was killed before it answered, as it should
	}
	wait(dying, after)
	return p.kill()
}

// settle sends what was not answered once more. What had been done must not be done again.
func (s *site) settle(ctx context.Context, conns map[string]*grpc.ClientConn) {
	for _, c := range s.history.open() {
		s.report.repeats++
		s.history.send(ctx, conns[c.Actor], c) //nolint:errcheck // the history has it
	}
}

// verify has the live service verify its journal.
func (s *site) verify(ctx context.Context, conn *grpc.ClientConn) {
	if _, err := journalv1.NewJournalClient(conn).VerifyRange(ctx, &journalv1.VerifyRangeRequest{Name: "journals/" + s.load.service}); err != nil {
		s.history.broken("VerifyRange after the restart: %v", err)
	}
}

func connect(addr string) (map[string]*grpc.ClientConn, error) {
	conns := map[string]*grpc.ClientConn{}
	for _, name := range []string{maker, checks, sender} {
		conn, err := rpc.Dial(addr, nil, token(name))
		if err != nil {
			return nil, errors.Join(err, disconnect(conns))
		}
		conns[name] = conn
	}
	return conns, nil
}

func disconnect(conns map[string]*grpc.ClientConn) error {
	var errs []error
	for _, conn := range conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// wait waits for a while, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// filler fills a store before the service is started on it: in this process, so that weeks can pass in between.
type filler struct {
	clock *clock.Manual
	conn  *grpc.ClientConn
	// applications is how many have their public notice behind them.
	applications int
	err          error
}

// ask sends a request; after a failure it sends no more.
func (f *filler) ask(ctx context.Context, req proto.Message) {
	if f.err != nil {
		return
	}
	if _, outcome, err := invoke(ctx, f.conn, req); outcome != Acknowledged {
		f.err = fmt.Errorf("filling the store: %s: %w", req.ProtoReflect().Descriptor().Name(), err)
	}
}

// fill fills a file as of a month ago.
func (s *site) fill(ctx context.Context, file string) (err error) {
	opened, err := bolt.Open(file)
	if err != nil {
		return err
	}
	f := &filler{clock: clock.NewManual(s.clock.Now().AddDate(0, 0, -30)), applications: announcedInStore}
	db := journal.Open(opened, s.load.service, f.clock)
	defer func() { err = errors.Join(err, db.Close()) }()
	credentials, err := authn.NewCredentials(principals()...)
	if err != nil {
		return err
	}
	server, err := rpc.NewServer(db, s.load.register(db), rpc.Options{Callers: credentials, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	var config net.ListenConfig
	lis, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, lis) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()
	if f.conn, err = rpc.Dial(lis.Addr().String(), nil, token(maker)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.conn.Close()) }()
	s.load.fill(ctx, f)
	if f.err != nil {
		return f.err
	}
	head, err := db.Head(ctx)
	s.since = head.GetRevision()
	return err
}

// freeAddress returns an address on loopback that nothing listens on.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	lis, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return lis.Addr().String(), lis.Close()
}
