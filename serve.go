package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/directory"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc"
	"github.com/yizhen/yizhen/pkg/store/etcd"
)

// timeouts are the settings of everything that answers calls.
type timeouts struct {
	CallTimeout time.Duration `help:"The most time a call may take." default:"30s"`
	StopTimeout time.Duration `help:"How long a stop waits for calls under way." default:"10s"`
}

// certificate is the TLS setting of everything that listens.
type certificate struct {
	TLSCert string `help:"The server's certificate chain, in PEM." type:"existingfile" placeholder:"FILE"`
	TLSKey  string `help:"The key of the certificate, in PEM." type:"existingfile" placeholder:"FILE"`
}

// admission says who may call.
type admission struct {
	Credentials string `help:"The callers and their permissions: see docs/running.md. Without it a server on loopback makes a token for this run and prints it." type:"existingfile" placeholder:"FILE"`
}

// authority says how other servers are spoken to.
type authority struct {
	PeerCA string `help:"The certificate authority of the other servers, in PEM. Without it they are spoken to without TLS." type:"existingfile" placeholder:"FILE"`
}

// identity says how a service shows other services who it is.
type identity struct {
	PeerTokenFile string `help:"The file that holds the token which this service shows to the others." type:"existingfile" placeholder:"FILE"`
}

// The addresses of services, each a setting of those that ask it.
type (
	townAddress struct {
		TownAddr string `help:"Where the town registry is." default:"127.0.0.1:7101" placeholder:"HOST:PORT"`
	}
	projectAddress struct {
		ProjectAddr string `help:"Where project tracking is." default:"127.0.0.1:7102" placeholder:"HOST:PORT"`
	}
	fundAddress struct {
		FundAddr string `help:"Where the special fund is." default:"127.0.0.1:7103" placeholder:"HOST:PORT"`
	}
	assessmentAddress struct {
		AssessmentAddr string `help:"Where the performance assessment is." default:"127.0.0.1:7104" placeholder:"HOST:PORT"`
	}
	accessAddress struct {
		AccessAddr string `help:"Where access control is. Without it only the callers of the credentials file are known." placeholder:"HOST:PORT"`
	}
)

// storage says where records are kept, and how what is kept is proven.
type storage struct {
	Store         string `help:"The store, as bolt://FOLDER, with a file for each service in the folder, or as etcd://HOST:PORT,…/PREFIX: see docs/store.md." default:"bolt://data" placeholder:"URL"`
	cluster       `embed:""`
	BackupFolder  string        `help:"Where a backup that is asked for is put aside while it is sent, and takes as much room as the file. Without it that is the folder of the stores, and on etcd the system's folder for temporary files." type:"existingdir" placeholder:"FOLDER"`
	JournalHash   string        `help:"How a journal that begins is hashed: sha256, or sm3." enum:"sha256,sm3" default:"sha256"`
	JournalKey    string        `help:"The private key that signs checkpoints of the journals, as PKCS #8 in PEM: Ed25519 or SM2. Only its owner may read it." type:"existingfile" placeholder:"FILE"`
	JournalSigned time.Duration `help:"How often a journal that has grown is signed." default:"1m"`

	JournalSignedRevisions int64  `help:"How many revisions a journal grows by until it is signed without waiting for that; 0 waits." default:"1000" placeholder:"N"`
	JournalCheckpoints     string `help:"A folder outside the store to which what is signed is added too, one file for each service, such as town.checkpoints." placeholder:"FOLDER"`
}

// backupFolder is where backups are put aside; empty for the system's folder.
func (s storage) backupFolder() string {
	if folder, err := boltFolder(s.Store); err == nil {
		return cmp.Or(s.BackupFolder, folder)
	}
	return s.BackupFolder
}

// cluster says how an etcd cluster is reached.
type cluster struct {
	StoreCA           string `help:"The certificate authority of an etcd cluster, in PEM. Without it the cluster is spoken to without TLS." type:"existingfile" placeholder:"FILE"`
	StoreCert         string `help:"The certificate that is shown to an etcd cluster, in PEM." type:"existingfile" placeholder:"FILE"`
	StoreKey          string `help:"The key of that certificate, in PEM." type:"existingfile" placeholder:"FILE"`
	StorePasswordFile string `help:"The file that holds the password of the user in an etcd URL." type:"existingfile" placeholder:"FILE"`
}

func (c cluster) files() etcd.Files {
	return etcd.Files{Authority: c.StoreCA, Certificate: c.StoreCert, Key: c.StoreKey, Password: c.StorePasswordFile}
}

// serveCommand runs everything on one machine.
type serveCommand struct {
	Listen           string `help:"Where the gateway listens." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	TownListen       string `help:"Where the town registry listens; the services stay on loopback." default:"127.0.0.1:7101" placeholder:"HOST:PORT"`
	ProjectListen    string `help:"Where project tracking listens." default:"127.0.0.1:7102" placeholder:"HOST:PORT"`
	FundListen       string `help:"Where the special fund listens." default:"127.0.0.1:7103" placeholder:"HOST:PORT"`
	AssessmentListen string `help:"Where the performance assessment listens." default:"127.0.0.1:7104" placeholder:"HOST:PORT"`
	AccessListen     string `help:"Where access control listens." default:"127.0.0.1:7105" placeholder:"HOST:PORT"`
	storage          `embed:""`
	admission        `embed:""`
	certificate      `embed:""`
	timeouts         `embed:""`
}

// Run serves until it is stopped.
func (c *serveCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) error {
	addresses := map[string]string{
		"town": c.TownListen, "project": c.ProjectListen, "fund": c.FundListen, "assessment": c.AssessmentListen,
		"access": c.AccessListen,
	}
	for name, address := range addresses {
		if !onLoopback(address) {
			return fmt.Errorf("%s would listen on %s: together the services stay on loopback; run `yizhen %s`, with TLS, to have it elsewhere", name, address, name)
		}
	}
	config, err := c.tlsFor(c.Listen)
	if err != nil {
		return err
	}
	credentials, err := c.callers(c.Listen, w)
	if err != nil {
		return err
	}
	addresses["gateway"] = c.Listen
	proof, err := c.proof(log)
	if err != nil {
		return err
	}
	return runSuite(ctx, suiteOptions{
		proof:       proof,
		store:       c.Store,
		storeFiles:  c.files(),
		listen:      addresses,
		credentials: credentials,
		tls:         config,
		clock:       clock.System{},
		logger:      log,
		callTimeout: c.CallTimeout,
		stopTimeout: c.StopTimeout,
		backups:     c.backupFolder(),
	}, func(at endpoints) { printEndpoints(w, at) })
}

// serviceFlags are the settings of a service that runs alone.
type serviceFlags struct {
	storage       `embed:""`
	admission     `embed:""`
	certificate   `embed:""`
	authority     `embed:""`
	identity      `embed:""`
	accessAddress `embed:""`
	timeouts      `embed:""`
}

type townCommand struct {
	Listen       string `help:"Where it listens." default:"127.0.0.1:7101" placeholder:"HOST:PORT"`
	serviceFlags `embed:""`
}

type projectCommand struct {
	Listen       string `help:"Where it listens." default:"127.0.0.1:7102" placeholder:"HOST:PORT"`
	serviceFlags `embed:""`
	townAddress  `embed:""`
}

type fundCommand struct {
	Listen         string `help:"Where it listens." default:"127.0.0.1:7103" placeholder:"HOST:PORT"`
	serviceFlags   `embed:""`
	townAddress    `embed:""`
	projectAddress `embed:""`
}

type assessmentCommand struct {
	Listen         string `help:"Where it listens." default:"127.0.0.1:7104" placeholder:"HOST:PORT"`
	serviceFlags   `embed:""`
	townAddress    `embed:""`
	projectAddress `embed:""`
	fundAddress    `embed:""`
}

type accessCommand struct {
	Listen       string `help:"Where it listens." default:"127.0.0.1:7105" placeholder:"HOST:PORT"`
	serviceFlags `embed:""`
}

// Run serves until it is stopped. It follows itself as the others do.
func (c *accessCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) error {
	if c.AccessAddr == "" && c.PeerTokenFile != "" {
		c.AccessAddr = c.Listen
	}
	return c.run(ctx, "access", c.Listen, nil, log, w)
}

// Run serves until it is stopped.
func (c *townCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) error {
	return c.run(ctx, "town", c.Listen, nil, log, w)
}

// Run serves until it is stopped.
func (c *projectCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) error {
	return c.run(ctx, "project", c.Listen, map[string]string{"town": c.TownAddr}, log, w)
}

// Run serves until it is stopped.
func (c *fundCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) error {
	addresses := map[string]string{"town": c.TownAddr, "project": c.ProjectAddr}
	return c.run(ctx, "fund", c.Listen, addresses, log, w)
}

// Run serves until it is stopped.
func (c *assessmentCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) error {
	addresses := map[string]string{"town": c.TownAddr, "project": c.ProjectAddr, "fund": c.FundAddr}
	return c.run(ctx, "assessment", c.Listen, addresses, log, w)
}

// run serves one service until it is stopped.
func (f *serviceFlags) run(ctx context.Context, name, address string, addresses map[string]string, log *slog.Logger, w io.Writer) (err error) {
	config, err := f.tlsFor(address)
	if err != nil {
		return err
	}
	credentials, err := f.callers(address, w)
	if err != nil {
		return err
	}
	svc := serviceNamed(name)
	asked := maps.Collect(maps.All(addresses))
	if f.AccessAddr != "" {
		asked["access"] = f.AccessAddr
	}
	connected, err := connect(asked, slices.Sorted(maps.Keys(asked)), f.authority, f.identity)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connected.close()) }()
	known := directory.New(clock.System{}.Now, directory.DefaultMaxAge)
	proof, err := f.proof(log)
	if err != nil {
		return err
	}
	db, err := openJournal(ctx, f.Store, name, f.files(), clock.System{}, log.With("service", name), proof.options()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	notary, err := proof.notary(ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, notary.Close()) }()
	server, err := rpc.NewServer(db, svc.register(db, connected), rpc.Options{
		Callers: directory.Callers{Credentials: credentials, Directory: known}, Grants: known, TLS: config, Logger: log.With("service", name), CallTimeout: f.CallTimeout, StopTimeout: f.StopTimeout,
		BackupFolder: f.backupFolder(),
	})
	if err != nil {
		return err
	}
	lis, err := listen(ctx, address)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s answers gRPC on %s\n", name, lis.Addr())
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	var followed sync.WaitGroup
	if access := connected["access"]; access != nil {
		followed.Go(func() { known.Follow(following, access, log) })
	}
	defer followed.Wait()
	defer stopFollowing()
	return signing(ctx, notary, func(ctx context.Context) error { return server.Serve(ctx, lis) })
}

// proof says how the journals of a run are hashed and signed.
type proof struct {
	algorithm journal.Algorithm
	signer    *journal.Signer // nil signs nothing
	every     time.Duration
	revisions int64
	folder    string // of the files of checkpoints; empty keeps them in the stores alone
	logger    *slog.Logger
}

// proof reads the settings. A key that others may read is refused.
func (s storage) proof(log *slog.Logger) (p proof, err error) {
	p = proof{every: s.JournalSigned, revisions: s.JournalSignedRevisions, folder: s.JournalCheckpoints, logger: log}
	if s.JournalKey == "" && s.JournalCheckpoints != "" {
		return p, errors.New("there are no checkpoints without a key that signs them: --journal-key")
	}
	if p.algorithm, err = journal.AlgorithmNamed(s.JournalHash); err != nil || s.JournalKey == "" {
		return p, err
	}
	info, err := os.Stat(s.JournalKey)
	if err != nil {
		return p, fmt.Errorf("journal key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return p, fmt.Errorf("journal key: others may read %s: chmod 600 it", s.JournalKey)
	}
	if p.every <= 0 {
		return p, fmt.Errorf("journals cannot be signed every %s", p.every)
	}
	if p.revisions < 0 {
		return p, fmt.Errorf("journals cannot be signed every %d revisions", p.revisions)
	}
	text, err := os.ReadFile(s.JournalKey)
	if err != nil {
		return p, fmt.Errorf("journal key: %w", err)
	}
	p.signer, err = journal.ReadSigner(text)
	return p, err
}

// options are those of a journal that is opened to be signed.
func (p proof) options() []journal.Option {
	o := []journal.Option{journal.WithHash(p.algorithm)}
	if p.signer != nil {
		o = append(o, journal.WithKeys(p.signer.Public()))
	}
	return o
}

// notary returns who signs a journal, after a look whether the journal is still what was signed; nil if nobody does.
func (p proof) notary(ctx context.Context, db *journal.DB) (n *journal.Notary, err error) {
	if p.signer == nil {
		return nil, nil
	}
	n = &journal.Notary{DB: db, Signer: p.signer, Every: p.every, Revisions: p.revisions, Logger: p.logger}
	if p.folder == "" {
		return n, nil
	}
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	if n.File, err = journal.OpenCheckpointFile(filepath.Join(p.folder, db.Service()+".checkpoints")); err != nil {
		return nil, err
	}
	if err := n.Begin(ctx); err != nil {
		return nil, errors.Join(err, n.File.Close())
	}
	return n, nil
}

// signing serves, and has the journal signed meanwhile and once all calls have ended.
func signing(ctx context.Context, notary *journal.Notary, serve func(context.Context) error) error {
	if notary == nil {
		return serve(ctx)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	signed := make(chan error, 1)
	go func() { signed <- notary.Run(running) }()
	err := serve(ctx)
	stop()
	return errors.Join(err, <-signed)
}

func serviceNamed(name string) service {
	for _, svc := range services() {
		if svc.name == name {
			return svc
		}
	}
	panic("there is no service " + name) // the names are written in this file
}

// connect connects to other services as a service that runs alone does.
func connect(addresses map[string]string, names []string, a authority, i identity) (peers, error) {
	config, err := readAuthority(a.PeerCA)
	if err != nil {
		return nil, err
	}
	var token string
	if i.PeerTokenFile != "" {
		raw, err := os.ReadFile(i.PeerTokenFile)
		if err != nil {
			return nil, fmt.Errorf("peer token: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	for name, address := range addresses {
		if config == nil && !onLoopback(address) {
			return nil, fmt.Errorf("%s is at %s, beyond this machine: speak to it with TLS (--peer-ca)", name, address)
		}
	}
	return dial(addresses, names, config, token)
}

// gatewayCommand runs the gateway alone.
type gatewayCommand struct {
	Listen            string `help:"Where it listens." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	certificate       `embed:""`
	authority         `embed:""`
	townAddress       `embed:""`
	projectAddress    `embed:""`
	fundAddress       `embed:""`
	assessmentAddress `embed:""`
	accessAddress     `embed:""`
	timeouts          `embed:""`
}

// Run serves until it is stopped.
func (c *gatewayCommand) Run(ctx context.Context, log *slog.Logger, w io.Writer) (err error) {
	config, err := c.tlsFor(c.Listen)
	if err != nil {
		return err
	}
	addresses := map[string]string{
		"town": c.TownAddr, "project": c.ProjectAddr, "fund": c.FundAddr, "assessment": c.AssessmentAddr,
	}
	if c.AccessAddr != "" {
		addresses["access"] = c.AccessAddr
	}
	connected, err := connect(addresses, slices.Sorted(maps.Keys(addresses)), c.authority, identity{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connected.close()) }()
	handler, err := newGateway(connected, log, c.CallTimeout)
	if err != nil {
		return err
	}
	lis, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "the gateway answers HTTP on %s\n", lis.Addr())
	return serveHTTP(ctx, lis, handler, config, c.StopTimeout)
}

// onLoopback tells whether an address can only be reached from this machine.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// tlsFor reads the certificate. Only on loopback may there be none.
func (c certificate) tlsFor(address string) (config *tls.Config, err error) {
	config, err = readTLS(c.TLSCert, c.TLSKey)
	if err == nil && config == nil && !onLoopback(address) {
		err = fmt.Errorf("%s can be reached from elsewhere: give it a certificate (--tls-cert, --tls-key), or listen on 127.0.0.1", address)
	}
	return config, err
}

// callers reads the credentials. Only on loopback may there be none: then an administrator's token is made for this run, and
// printed.
func (a admission) callers(address string, w io.Writer) (*authn.Credentials, error) {
	if a.Credentials != "" {
		file, err := os.Open(a.Credentials)
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		defer file.Close() //nolint:errcheck // it was only read
		return authn.ReadCredentials(file)
	}
	if !onLoopback(address) {
		return nil, fmt.Errorf("%s can be reached from elsewhere: say who may call (--credentials), or listen on 127.0.0.1", address)
	}
	token := newToken()
	fmt.Fprintf(w, "admin token for this run: %s\n", token)
	return authn.NewCredentials(authn.Principal{
		Name: "admin", TokenSHA256: authn.Digest(token), Permissions: []string{"*"}, Division: everywhere,
	})
}

// newToken makes a token that cannot be guessed.
func newToken() string {
	raw := make([]byte, 32)
	rand.Read(raw) // it never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(raw)
}

func printEndpoints(w io.Writer, at endpoints) {
	fmt.Fprintf(w, "REST      %s\n", at.URL)
	fmt.Fprintf(w, "reference %s/docs/\n", at.URL)
	for _, name := range serviceNames() {
		fmt.Fprintf(w, "gRPC      %s  %s\n", at.Services[name], name)
	}
}

// tokenCommand makes credentials for one caller.
type tokenCommand struct {
	Name       string   `arg:"" help:"The caller's name, for example finance/wang."`
	Division   string   `help:"The division whose records the caller may touch, for example 140525." required:""`
	Permission []string `help:"A pattern of what the caller may do, for example fund.disbursements.* (may be repeated)." required:""`
}

// Run prints the token once, and what the credentials file keeps of it.
func (c *tokenCommand) Run(w io.Writer) error {
	token := newToken()
	p := authn.Principal{Name: c.Name, TokenSHA256: authn.Digest(token), Permissions: c.Permission, Division: c.Division}
	if _, err := authn.NewCredentials(p); err != nil {
		return err
	}
	entry, err := yaml.Marshal(map[string]any{"principals": []authn.Principal{p}})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "# The token, shown once: %s\n%s", token, entry)
	return nil
}

// keyCommand makes an API key where it is used, so that nobody else ever sees it.
type keyCommand struct {
	File string `arg:"" help:"Where the key is written. It must not be there yet; only its owner may read it."`
}

// Run writes the key, and prints what access control is told.
func (c *keyCommand) Run(w io.Writer) error {
	key := directory.KeyPrefix + newToken()
	if err := writeNew(c.File, []byte(key+"\n"), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(w, "key_sha256: %s\n", authn.Digest(key))
	return nil
}
