package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/yizhen/yizhen/gateway"
	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/directory"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/migrate"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/access"
	"github.com/yizhen/yizhen/services/assessment"
	"github.com/yizhen/yizhen/services/fund"
	"github.com/yizhen/yizhen/services/project"
	"github.com/yizhen/yizhen/services/town"
)

// service is one of the services as this program knows it.
type service struct {
	name string
	// asks are the services whose word it needs.
	asks []string
	// schema is what it keeps in its store.
	schema func() *store.Schema
	// migrations lead from version 1 of its store to today's. To the list is only added, at its end.
	migrations []migrate.Step
	// register puts it, with connections to those it asks, into a gRPC server.
	register func(*journal.DB, peers) func(grpc.ServiceRegistrar)
}

// services lists them.
func services() []service {
	// Every service keeps a journal, so what changes in its form is a step of each.
	ofJournals := []migrate.Step{
		{Name: "IndexChangesByType", Batch: journal.IndexByType},
		{Name: "PutRevisionsInRows", Batch: journal.RevisionsInRows},
	}
	return []service{
		{name: "town", schema: func() *store.Schema { return town.New(nil).Schema() }, migrations: ofJournals, register: func(db *journal.DB, _ peers) func(grpc.ServiceRegistrar) {
			return town.New(db).Register
		}},
		{name: "project", asks: []string{"town"}, schema: func() *store.Schema { return project.New(nil, nil).Schema() }, migrations: ofJournals, register: func(db *journal.DB, p peers) func(grpc.ServiceRegistrar) {
			return project.New(db, journalv1.NewJournalClient(p["town"])).Register
		}},
		{name: "fund", asks: []string{"town", "project"}, schema: func() *store.Schema { return fund.New(nil, nil, nil).Schema() }, migrations: ofJournals, register: func(db *journal.DB, p peers) func(grpc.ServiceRegistrar) {
			return fund.New(db, journalv1.NewJournalClient(p["project"]), journalv1.NewJournalClient(p["town"])).Register
		}},
		{name: "assessment", asks: []string{"town", "project", "fund"}, schema: func() *store.Schema { return assessment.New(nil, assessment.Peers{}).Schema() }, migrations: ofJournals, register: func(db *journal.DB, p peers) func(grpc.ServiceRegistrar) {
			return assessment.New(db, assessment.Peers{
				Town:           townv1.NewTownRegistryClient(p["town"]),
				Project:        projectv1.NewProjectTrackingClient(p["project"]),
				Fund:           fundv1.NewSpecialFundClient(p["fund"]),
				TownJournal:    journalv1.NewJournalClient(p["town"]),
				ProjectJournal: journalv1.NewJournalClient(p["project"]),
				FundJournal:    journalv1.NewJournalClient(p["fund"]),
			}).Register
		}},
		{name: "access", schema: func() *store.Schema { return access.New(nil).Schema() }, migrations: ofJournals, register: func(db *journal.DB, _ peers) func(grpc.ServiceRegistrar) {
			return access.New(db).Register
		}},
	}
}

// peers are connections to services, by their names.
type peers map[string]*grpc.ClientConn

func (p peers) close() error {
	var errs []error
	for _, conn := range p {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// dial connects to services at their addresses.
func dial(addresses map[string]string, names []string, config *tls.Config, token string) (peers, error) {
	p := peers{}
	for _, name := range names {
		conn, err := rpc.Dial(addresses[name], config, token)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s service at %s: %w", name, addresses[name], err), p.close())
		}
		p[name] = conn
	}
	return p, nil
}

// openStore opens the store of a service. A bolt URL names a folder, in which each service has a file of its own; an etcd
// URL a prefix, below which each has one of its own.
func openStore(ctx context.Context, location, service string, files etcd.Files) (store.Store, error) {
	if strings.HasPrefix(location, "etcd:") {
		o, err := etcd.Parse(location, files)
		if err != nil {
			return nil, err
		}
		return etcd.Open(ctx, o.Below(service))
	}
	folder, err := boltFolder(location)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return bolt.Open(filepath.Join(folder, service+".db"))
}

// boltFolder returns the folder of a bolt URL.
func boltFolder(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	if u.Scheme != "bolt" {
		return "", fmt.Errorf("store %q: the engine has to be bolt, as in bolt:///var/lib/yizhen, or etcd", location)
	}
	return filepath.Join(u.Host, filepath.FromSlash(u.Path)), nil // bolt://data is the folder data, here
}

// suiteOptions say how the whole suite is run on one machine.
type suiteOptions struct {
	// proof says how the journals are hashed and signed; the zero one is SHA-256, unsigned.
	proof proof
	// store is where the stores are, as a URL: see openStore.
	store string
	// storeFiles are what reaching an etcd cluster takes.
	storeFiles etcd.Files
	// listen is where each service, and the gateway, listens. Port 0 takes a free one.
	listen map[string]string
	// credentials are the callers that the services know. Those of the services among themselves are added.
	credentials *authn.Credentials
	// tls is the gateway's certificate; nil serves HTTP.
	tls         *tls.Config
	clock       clock.Clock
	logger      *slog.Logger
	callTimeout time.Duration
	stopTimeout time.Duration
	// backups is where backups are put aside; empty is the system's folder for temporary files.
	backups string
}

// endpoints are where a running suite answers.
type endpoints struct {
	// URL is the gateway's.
	URL string
	// Services are the gRPC addresses of the services, by name.
	Services map[string]string
}

// runSuite runs the services and the gateway in this process until the context ends. They speak to each other over the
// network all the same. Once all of them answer it calls ready.
func runSuite(ctx context.Context, o suiteOptions, ready func(endpoints)) (err error) {
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	// The gateway stops first, since it still needs the services to finish what it has begun.
	edge, stopEdge := context.WithCancel(failed)
	defer stopEdge()
	defer context.AfterFunc(ctx, stopEdge)()
	serving, stopServing := context.WithCancel(failed)
	defer stopServing()

	tokens, credentials, err := admitServices(o.credentials)
	if err != nil {
		return err
	}
	listeners, err := listenAll(ctx, o.listen)
	if err != nil {
		return err
	}
	at := endpoints{Services: map[string]string{}}
	for name, lis := range listeners {
		defer lis.Close() //nolint:errcheck // closed by its server; this is for when there is none
		at.Services[name] = lis.Addr().String()
	}
	// Everything is made before anything is started, so that what cannot be made leaves nothing running.
	var starts []func() error
	for _, svc := range services() {
		connected, dialErr := dial(at.Services, append(svc.asks, "access"), nil, tokens[svc.name])
		if dialErr != nil {
			return dialErr
		}
		defer func() { err = errors.Join(err, connected.close()) }()
		logger := o.logger.With("service", svc.name)
		db, openErr := openJournal(ctx, o.store, svc.name, o.storeFiles, o.clock, logger, o.proof.options()...)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		notary, notaryErr := o.proof.notary(ctx, db)
		if notaryErr != nil {
			return notaryErr
		}
		defer func() { err = errors.Join(err, notary.Close()) }()
		known := directory.New(o.clock.Now, directory.DefaultMaxAge)
		server, serveErr := rpc.NewServer(db, svc.register(db, connected), rpc.Options{
			Callers: directory.Callers{Credentials: credentials, Directory: known}, Grants: known, Logger: logger, CallTimeout: o.callTimeout, StopTimeout: o.stopTimeout,
			BackupFolder: o.backups,
		})
		if serveErr != nil {
			return serveErr
		}
		starts = append(starts, func() error {
			known.Follow(serving, connected["access"], logger)
			return nil
		}, func() error {
			return signing(serving, notary, func(ctx context.Context) error { return server.Serve(ctx, listeners[svc.name]) })
		})
	}

	// The gateway shows no token of its own: it passes on its callers'.
	connected, err := dial(at.Services, serviceNames(), nil, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connected.close()) }()
	handler, err := newGateway(connected, o.logger, o.callTimeout)
	if err != nil {
		return err
	}
	for _, start := range starts {
		group.Go(start)
	}
	lis := listeners["gateway"]
	group.Go(func() error {
		defer stopServing()
		return serveHTTP(edge, lis, handler, o.tls, o.stopTimeout)
	})

	scheme := "http"
	if o.tls != nil {
		scheme = "https"
	}
	at.URL = scheme + "://" + lis.Addr().String()
	delete(at.Services, "gateway")
	ready(at)
	return group.Wait()
}

// openJournal opens the store of a service for that service to use: it begins an empty one, and brings an older one to the version
// of this program.
func openJournal(ctx context.Context, location, name string, files etcd.Files, c clock.Clock, log *slog.Logger, options ...journal.Option) (*journal.DB, error) {
	return openFitting(ctx, location, name, files, c, serviceNamed(name).plan(log).Open, options...)
}

// readJournal opens a store that fits as it is, to read it or to work on its journal.
func readJournal(ctx context.Context, location, name string, files etcd.Files) (*journal.DB, error) {
	return openFitting(ctx, location, name, files, clock.System{}, serviceNamed(name).plan(nil).Check)
}

// openFitting opens a store, and closes it again if it is found not to fit this program.
func openFitting(ctx context.Context, location, name string, files etcd.Files, c clock.Clock, fit func(context.Context, *journal.DB) error, options ...journal.Option) (*journal.DB, error) {
	s, err := openStore(ctx, location, name, files)
	if err != nil {
		return nil, err
	}
	if err := backup.Unfinished(ctx, s); err != nil {
		return nil, errors.Join(fmt.Errorf("the store of %s in %s: %w", name, location, err), s.Close())
	}
	db := journal.Open(s, name, c, options...)
	if err := fit(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("the store of %s in %s: %w", name, location, err), db.Close())
	}
	return db, nil
}

// plan is what this program knows about the store of the service.
func (s service) plan(log *slog.Logger) *migrate.Plan {
	return &migrate.Plan{Schema: s.schema(), Steps: s.migrations, Release: release(), Logger: log}
}

// release returns the version that the program was released as; nothing if it was built from a working tree.
func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "(devel)" {
		return ""
	}
	return info.Main.Version
}

func serviceNames() []string {
	var names []string
	for _, svc := range services() {
		names = append(names, svc.name)
	}
	return names
}

// admitServices adds the services themselves to those who may call, each with a token made for this run. They only
// read.
func admitServices(known *authn.Credentials) (tokens map[string]string, all *authn.Credentials, err error) {
	tokens = map[string]string{}
	var principals []authn.Principal
	for _, svc := range services() {
		tokens[svc.name] = newToken()
		principals = append(principals, authn.Principal{
			Name:        "service/" + svc.name,
			TokenSHA256: authn.Digest(tokens[svc.name]),
			Permissions: []string{"*.get", "*.list", "*.summarize", "journal.changes.watch"},
			Division:    everywhere,
		})
	}
	all, err = known.With(principals...)
	return tokens, all, err
}

// everywhere is the division that has all others below it.
const everywhere = "000000"

func listenAll(ctx context.Context, addresses map[string]string) (map[string]net.Listener, error) {
	listeners := map[string]net.Listener{}
	for name, address := range addresses {
		lis, err := listen(ctx, address)
		if err != nil {
			for _, opened := range listeners {
				err = errors.Join(err, opened.Close())
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		listeners[name] = lis
	}
	return listeners, nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", address)
}

func newGateway(connected peers, logger *slog.Logger, callTimeout time.Duration) (*gateway.Gateway, error) {
	o := gateway.Options{
		Town:       connected["town"],
		Project:    connected["project"],
		Fund:       connected["fund"],
		Assessment: connected["assessment"],
		Logger:     logger.With("service", "gateway"),
		Timeout:    callTimeout,
	}
	if access := connected["access"]; access != nil {
		o.Access = access
	}
	return gateway.New(o)
}

// serveHTTP serves until the context ends, then takes no new requests and finishes those under way.
func serveHTTP(ctx context.Context, lis net.Listener, handler *gateway.Gateway, config *tls.Config, stopTimeout time.Duration) error {
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		// No limit on writing: a watcher's answer goes on for as long as it watches.
		// Requests under way outlive the context, to be finished; Shutdown waits for them.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	server.RegisterOnShutdown(handler.Stop)
	served := make(chan error, 1)
	go func() {
		if config != nil {
			served <- server.ServeTLS(lis, "", "")
			return
		}
		served <- server.Serve(lis)
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(finish); err != nil {
		return errors.Join(fmt.Errorf("gateway: calls were cut off: %w", err), server.Close())
	}
	return nil
}

// readTLS reads a server's certificate and key; both empty mean none.
func readTLS(certificate, key string) (*tls.Config, error) {
	if certificate == "" && key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// readAuthority reads the certificates by which servers are known; an empty name means that they are spoken to without
// TLS.
func readAuthority(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("TLS: %s holds no certificate in PEM", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
