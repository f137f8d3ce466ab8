package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/backup"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	maintenancev1 "github.com/yizhen/yizhen/proto/yizhen/maintenance/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	"github.com/yizhen/yizhen/services/town"
)

// Where the page has its service and its cluster.
const (
	pageAddress = "--addr 127.0.0.1:7101"
	pageCluster = "etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379/yizhen"
)

// pageCommands are the commands of docs/backup.md that have something in them, with something else in its place.
func pageCommands(t *testing.T, what, instead string) (commands [][]string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("docs", "backup.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(page), "\n") {
		if strings.HasPrefix(line, "yizhen ") && strings.Contains(line, what) {
			commands = append(commands, strings.Fields(strings.ReplaceAll(line, what, instead))[1:])
		}
	}
	if len(commands) == 0 {
		t.Fatalf("the page shows no command with %s", what)
	}
	return commands
}

// program runs the program in a folder to its end.
func program(t *testing.T, folder string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "yizhen", args...)
	cmd.Dir = folder
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

func must(t *testing.T, folder string, args ...string) string {
	t.Helper()
	stdout, stderr, err := program(t, folder, args...)
	if err != nil {
		t.Fatalf("yizhen %s: %v\n%s\n%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// refused runs the program, and fails unless it ends with status 1 and says why.
func refused(t *testing.T, folder, why string, args ...string) {
	t.Helper()
	stdout, stderr, err := program(t, folder, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr, why) {
		t.Errorf("yizhen %s: %v, want that it says %q\n%s\n%s", strings.Join(args, " "), err, why, stdout, stderr)
	}
}

// TestBackupPage holds docs/backup.md against its script, which runs every command that the page shows. Those that need a service
// or a cluster are run by the tests below.
func TestBackupPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "backup.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", "backup.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if !strings.HasPrefix(line, "yizhen ") || strings.Contains(line, pageAddress) || strings.Contains(line, pageCluster) {
			continue
		}
		shown++
		if !strings.Contains(string(script), "\nexec "+line+"\n") {
			t.Errorf("the script does not run %q", line)
		}
	}
	if shown == 0 {
		t.Error("the page shows no commands")
	}
}

// busyTown is a town registry on loopback to which divisions are added all the time.
type busyTown struct {
	server *rpctest.Server
	db     *journal.DB
	next   atomic.Int64
	mu     sync.Mutex
	acked  []string
}

func newBusyTown(t *testing.T) *busyTown {
	t.Helper()
	b := &busyTown{db: rpctest.OpenDB(t, "town", clock.System{})}
	if err := serviceNamed("town").plan(nil).Open(t.Context(), b.db); err != nil {
		t.Fatal(err)
	}
	b.server = rpctest.Serve(t, b.db, func(r grpc.ServiceRegistrar) { town.New(b.db).Register(r) },
		authn.Principal{Name: "admin", Permissions: []string{"*"}, Division: everywhere})
	return b
}

// write adds divisions from several callers at once until the function that is returned is called.
func (b *busyTown) write(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := townv1.NewTownRegistryClient(b.server.As("admin"))
	var writers sync.WaitGroup
	for range 6 {
		writers.Go(func() {
			for ctx.Err() == nil {
				id := fmt.Sprintf("%06d", 100000+b.next.Add(1))
				_, err := client.CreateDivision(t.Context(), &townv1.CreateDivisionRequest{
					DivisionId: id, RequestId: id, Division: &townv1.Division{TitleZh: "区划", TitleEn: strings.Repeat("A division of some length. ", 2)},
				})
				if err != nil {
					t.Error(err)
					return
				}
				b.mu.Lock()
				b.acked = append(b.acked, "divisions/"+id)
				b.mu.Unlock()
			}
		})
	}
	return func() { cancel(); writers.Wait() }
}

// acknowledged waits until so many divisions are, and returns those that are by then.
func (b *busyTown) acknowledged(t *testing.T, n int) []string {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		b.mu.Lock()
		acked := slices.Clone(b.acked)
		b.mu.Unlock()
		if len(acked) >= n {
			return acked
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("in a minute %d writes were acknowledged", len(acked))
		}
	}
}

// reopen opens a store that was restored.
func reopen(t *testing.T, folder string) *journal.DB {
	t.Helper()
	s, err := bolt.Open(filepath.Join(folder, "town.db"))
	if err != nil {
		t.Fatal(err)
	}
	db := journal.Open(s, "town", clock.System{})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestBackupUnderLoad takes backups of a service while several callers write. What is restored is the store of one moment: the
// chain is whole, the tables are what it makes, what was acknowledged before is in it, and it is a beginning of the journal that went
// on.
func TestBackupUnderLoad(t *testing.T) {
	b := newBusyTown(t)
	folder := t.TempDir()
	token := filepath.Join(folder, "token")
	if err := os.WriteFile(token, []byte("token of admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := b.write(t)
	defer stop()
	var whole *journal.DB
	for i := range 3 {
		acked := b.acknowledged(t, 100*(i+1))
		file, into := fmt.Sprintf("%d.backup", i), fmt.Sprintf("restored%d", i)
		told := must(t, folder, "backup", "town", "--addr", b.server.Addr, "--token-file", token, "--to", file)
		found := regexp.MustCompile(`holds town at revision (\d+), hash ([0-9a-f]{64})`).FindStringSubmatch(told)
		if found == nil {
			t.Fatalf("it says %s", told)
		}
		b.acknowledged(t, len(acked)+20) // the service goes on

		proven := must(t, folder, "restore", "town", "--from", file, "--store", "bolt://"+into)
		if want := fmt.Sprintf("whole to revision %s, hash %s, and the tables are what its changes make", found[1], found[2]); !strings.Contains(proven, want) {
			t.Errorf("restored it says %s, want %s", proven, want)
		}
		restored := reopen(t, filepath.Join(folder, into))
		whole = restored
		head, err := restored.Head(t.Context())
		if err != nil || fmt.Sprint(head.GetRevision()) != found[1] {
			t.Fatalf("restored to %v, %v, want revision %s", head, err, found[1])
		}
		live, _, err := b.db.Read(t.Context(), head.GetRevision()-1, 1)
		if err != nil || !bytes.Equal(live[0].GetHash(), head.GetHash()) {
			t.Errorf("it is no beginning of the journal that went on: %v", err)
		}
		there := map[string]bool{}
		for done := int64(0); done < head.GetRevision(); {
			changes, _, err := restored.Read(t.Context(), done, 500)
			if err != nil || len(changes) == 0 {
				t.Fatal("the journal ends early", err)
			}
			for _, c := range changes {
				there[c.GetResource()], done = true, c.GetRevision()
			}
		}
		for _, name := range acked {
			if !there[name] {
				t.Errorf("%s was acknowledged before backup %d began, and is not in it", name, i)
			}
		}
	}
	stop()

	// As it was at an earlier revision, of a backup that was taken live.
	at, _, err := whole.Read(t.Context(), 59, 1)
	if err != nil {
		t.Fatal(err)
	}
	revision := at[0].GetCommitRevision()
	must(t, folder, "restore", "town", "--from", "2.backup", "--store", "bolt://earlier", "--revision", fmt.Sprint(revision))
	head, err := reopen(t, filepath.Join(folder, "earlier")).Head(t.Context())
	if err != nil || head.GetRevision() != revision {
		t.Errorf("taken back to %v, %v, want revision %d", head, err, revision)
	}
	everyByte(t, filepath.Join(folder, "2.backup"))
}

// everyByte changes single bytes all over a file, and cuts it off at many lengths. Each time it is refused.
func everyByte(t *testing.T, path string) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Check(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(file); at += 1 + len(file)/200 {
		file[at] ^= 1 << (at % 8)
		if _, err := backup.Check(bytes.NewReader(file)); err == nil {
			t.Errorf("with another byte %d it is taken", at)
		}
		file[at] ^= 1 << (at % 8)
		if _, err := backup.Check(bytes.NewReader(file[:at])); err == nil {
			t.Errorf("cut off after %d bytes it is taken", at)
		}
	}
}

// teller is a service that sends what a test wants for a backup.
type teller struct {
	maintenancev1.UnimplementedMaintenanceServer
	send func(grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error
}

func (s *teller) BackUpStore(_ *maintenancev1.BackUpStoreRequest, stream grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error {
	return s.send(stream)
}

// backUpFrom runs the command on such a service. It returns the exit status, what was complained of and the names of the files
// that there are then.
func backUpFrom(t *testing.T, ctx context.Context, send func(grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error) (status int, stderr string, left []string) { //nolint:revive // t comes first in tests
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	maintenancev1.RegisterMaintenanceServer(server, &teller{send: send})
	go func() { _ = server.Serve(lis) }()
	defer server.Stop()
	folder := t.TempDir()
	var complaints strings.Builder
	status = run(ctx, []string{"backup", "town", "--addr", lis.Addr().String(), "--to", filepath.Join(folder, "town.backup")}, io.Discard, &complaints)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	return status, complaints.String(), left
}

// TestBackupInterrupted stops the client in the middle of the file. Nothing is left of it, and the exit status says so.
func TestBackupInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	status, stderr, left := backUpFrom(t, ctx, func(stream grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error {
		err := errors.Join(stream.Send(fileMessage(&maintenancev1.BackupFile{Store: "stores/town", SizeBytes: 1 << 20})),
			stream.Send(chunkMessage(make([]byte, 100<<10))))
		interrupt()
		<-stream.Context().Done()
		return err
	})
	if status != 1 || !strings.Contains(stderr, "it was interrupted") || len(left) > 0 {
		t.Errorf("it ends with status %d, %s%v is left", status, stderr, left)
	}
}

func fileMessage(f *maintenancev1.BackupFile) *maintenancev1.BackUpStoreResponse {
	return &maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_File{File: f}}
}

func chunkMessage(b []byte) *maintenancev1.BackUpStoreResponse {
	return &maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_Chunk{Chunk: b}}
}

// TestWhatCameIsHeldAgainstWhatWasSaid has a service send something else than it says.
func TestWhatCameIsHeldAgainstWhatWasSaid(t *testing.T) {
	b := newBusyTown(t)
	stop := b.write(t)
	b.acknowledged(t, 5)
	stop()
	var file bytes.Buffer
	held, err := backup.Write(t.Context(), &file, b.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, says string
		change     func(about *maintenancev1.BackupFile, file []byte) []byte
	}{
		{"nothing else", "", func(_ *maintenancev1.BackupFile, file []byte) []byte { return file }},
		{"less", "what came is not what was sent", func(_ *maintenancev1.BackupFile, file []byte) []byte { return file[:len(file)-1] }},
		{"more", "what came is not what was sent", func(_ *maintenancev1.BackupFile, file []byte) []byte { return append(file, 0) }},
		{"another byte", "what came is not what was sent", func(_ *maintenancev1.BackupFile, file []byte) []byte { file[len(file)/2]++; return file }},
		{"another byte, summed up", "the backup is damaged", func(about *maintenancev1.BackupFile, file []byte) []byte {
			file[len(file)/2]++
			sum := sha256.Sum256(file)
			about.Sha256 = sum[:]
			return file
		}},
		{"another revision", "and said that it is", func(about *maintenancev1.BackupFile, file []byte) []byte { about.Head.Revision++; return file }},
		{"another number of keys", "and said that it is", func(about *maintenancev1.BackupFile, file []byte) []byte { about.KeyCount++; return file }},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := sha256.Sum256(file.Bytes())
			about := &maintenancev1.BackupFile{
				Store: "stores/town", SizeBytes: int64(file.Len()), Sha256: sum[:], KeyCount: held.Keys, Head: proto.CloneOf(held.Head),
			}
			sent := c.change(about, bytes.Clone(file.Bytes()))
			status, stderr, left := backUpFrom(t, t.Context(), func(stream grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error {
				return errors.Join(stream.Send(&maintenancev1.BackUpStoreResponse{Content: &maintenancev1.BackUpStoreResponse_PreparedBytes{PreparedBytes: 1}}),
					stream.Send(fileMessage(about)), stream.Send(chunkMessage(sent)))
			})
			if c.says == "" {
				if status != 0 || len(left) != 1 {
					t.Errorf("it ends with status %d: %s, and leaves %v", status, stderr, left)
				}
				return
			}
			if status != 1 || !strings.Contains(stderr, c.says) || len(left) > 0 {
				t.Errorf("it ends with status %d: %s%v is left", status, stderr, left)
			}
		})
	}
	status, stderr, left := backUpFrom(t, t.Context(), func(grpc.ServerStreamingServer[maintenancev1.BackUpStoreResponse]) error { return nil })
	if status != 1 || !strings.Contains(stderr, "what came is not what was sent") || len(left) > 0 {
		t.Errorf("with nothing sent it ends with status %d: %s%v is left", status, stderr, left)
	}
}

func TestBackupRefusedByTheService(t *testing.T) {
	b := newBusyTown(t)
	folder := t.TempDir()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("token of admin"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(folder, "town.backup")
	refused(t, folder, "no valid credential", "backup", "town", "--addr", b.server.Addr, "--token-file", os.DevNull, "--to", to)
	refused(t, folder, "there is no stores/fund", "backup", "fund", "--addr", b.server.Addr, "--token-file", token, "--to", to)
	refused(t, folder, "beyond this machine", "backup", "town", "--addr", "192.0.2.1:7101", "--token-file", token, "--to", to)
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	must(t, folder, "backup", "town", "--addr", b.server.Addr, "--token-file", token, "--to", to)
}

// TestBackupPageOnAService runs what the page shows of a service that goes on.
func TestBackupPageOnAService(t *testing.T) {
	p := start(t,
		"serve", "--store", "bolt://"+t.TempDir(), "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
		"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0",
	)
	token, addr := p.await(`^admin token for this run: (\S+)`), p.await(`^gRPC +(\S+)  town`)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range pageCommands(t, pageAddress, "--addr "+addr) {
		must(t, folder, command...)
	}
	p.stop()
}

// TestFromAMachineToAClusterAndBack runs what the page shows of it, on a cluster of three. On the way the restore is killed once.
func TestFromAMachineToAClusterAndBack(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	location := cluster.URL("yizhen")
	folder := t.TempDir()
	want := result(t, must(t, folder, "demo", "--store", "bolt://data"))
	must(t, folder, "backup", "fund", "--store", "bolt://data", "--to", "fund.backup")
	killRestore(t, cluster, folder, location)
	for _, args := range [][]string{
		{"serve", "--store", location, "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
			"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0"},
		{"backup", "fund", "--store", location, "--to", "half.backup"},
		{"journal", "verify", "fund", "--store", location},
	} {
		refused(t, folder, "a restore into it was begun and has not ended", args...)
	}
	if err := os.Remove(filepath.Join(folder, "fund.backup")); err != nil {
		t.Fatal(err)
	}
	for _, name := range serviceNames() {
		must(t, folder, "backup", name, "--store", "bolt://data", "--to", name+".backup")
	}
	for _, command := range pageCommands(t, pageCluster, location) {
		must(t, folder, command...)
	}
	for _, name := range serviceNames() {
		same(t, filepath.Join(folder, name+".backup"), filepath.Join(folder, name+".cluster.backup"))
		if name == "access" {
			continue // the story has no use for it, and a store that was only begun may be restored into
		}
		refused(t, folder, "a backup is restored into an empty store", "restore", name, "--from", name+".backup", "--store", location)
	}
	// The suite goes on there, with what it had, and nothing is done twice.
	if got := result(t, must(t, folder, "demo", "--store", location)); got != want {
		t.Errorf("on the cluster the demo goes on with\n%s\non the machine it ended with\n%s", got, want)
	}
	must(t, folder, "backup", "fund", "--store", location, "--to", "again.backup")
	same(t, filepath.Join(folder, "fund.backup"), filepath.Join(folder, "again.backup"))
	// As it was at an earlier revision, and something that does not belong there.
	earlier := cluster.URL("earlier")
	told := must(t, folder, "restore", "town", "--from", "town.backup", "--store", earlier, "--revision", "50")
	if !strings.Contains(told, "whole to revision 50,") {
		t.Errorf("taken back it says %s", told)
	}
	if stdout := must(t, folder, "journal", "verify", "town", "--store", earlier); !strings.Contains(stdout, "from revision 1 to 50,") {
		t.Errorf("the journal is %s", stdout)
	}
	refused(t, folder, "there is nothing in the store", "backup", "town", "--store", cluster.URL("absent"), "--to", "absent.backup")
	if _, err := os.Lstat(filepath.Join(folder, "absent.backup")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a backup of nothing was written")
	}
}

// killRestore kills a restore with SIGKILL when it has begun to write to the cluster.
func killRestore(t *testing.T, cluster *etcdtest.Cluster, folder, location string) {
	t.Helper()
	seen := cluster.Client(t).Watch(t.Context(), "/yizhen/fund/d/", clientv3.WithPrefix())
	cmd := exec.CommandContext(t.Context(), "yizhen", "restore", "fund", "--from", "fund.backup", "--store", location)
	cmd.Dir = folder
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-seen:
	case <-time.After(time.Minute):
		t.Error("in a minute the restore has written nothing")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the restore was done before it was killed")
	}
	o, err := etcd.Parse(location, etcd.Files{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := etcd.Open(t.Context(), o.Below("fund"))
	if err != nil {
		t.Fatal(err)
	}
	if err := backup.Unfinished(t.Context(), s); !errors.Is(err, backup.ErrUnfinished) {
		t.Errorf("what was killed left a store that is %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func same(t *testing.T, one, other string) {
	t.Helper()
	a, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s and %s differ", one, other)
	}
}
