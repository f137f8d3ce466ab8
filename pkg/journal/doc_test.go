package journal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// page is where the journal is explained to those who verify it in another language.
const page = "../../docs/journal.md"

// block returns the text of the page's fenced block of a name.
func block(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "```"+name+"\n")
	body, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("%s has no block %s", page, name)
	}
	return body
}

// laidOut returns the hexadecimal digits of a block, without what is written around them.
func laidOut(t *testing.T, text, name string) string {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(block(t, text, name)) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 {
			digits.WriteString(strings.Join(fields[1:], ""))
		}
	}
	return digits.String()
}

// TestPage makes the two changes that the page walks through, and holds every byte of the walk against them.
func TestPage(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	db, row := pageJournal(t, text)
	for i, name := range []string{"first", "second"} {
		change := changes(t, db)[i]
		laid, err := hex.DecodeString(laidOut(t, text, name))
		if err != nil {
			t.Fatalf("block %s: %v", name, err)
		}
		if string(laid) != string(encode(change)) {
			t.Errorf("block %s lays out\n%x\nthe change is\n%x", name, laid, encode(change))
		}
		sum := sha256.Sum256(laid)
		if string(sum[:]) != string(change.GetHash()) {
			t.Errorf("block %s has the hash %x, the change has %x", name, sum, change.GetHash())
		}
		if !strings.Contains(text, hex.EncodeToString(change.GetHash())) {
			t.Errorf("the page does not say %x", change.GetHash())
		}
	}
	stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(stored)
	if !strings.Contains(text, hex.EncodeToString(digest[:])) {
		t.Errorf("the page does not say the digest of the row, %x", digest)
	}
}

// pageJournal makes the two changes that the page walks through.
func pageJournal(t *testing.T, text string) (*journal.DB, *townv1.Enterprise) {
	t.Helper()
	c := clock.NewManual(time.Date(2023, 3, 1, 1, 0, 0, 0, time.UTC))
	db := journal.Open(openStore(t), "town", c)
	origin := journal.Origin{Actor: "zezhou/li", Method: "/yizhen.town.v1.TownRegistry/CreateEnterprise", RequestID: "r-1"}
	row := &townv1.Enterprise{}
	if err := prototext.Unmarshal([]byte(block(t, text, "textproto")), row); err != nil {
		t.Fatal(err)
	}
	err := db.Update(context.Background(), origin, func(tx *journal.Tx) error { return enterprises.Create(tx, row) })
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(90 * time.Minute)
	origin = journal.Origin{Actor: "zezhou/li", Method: "/yizhen.town.v1.TownRegistry/DeleteEnterprise"}
	err = db.Update(context.Background(), origin, func(tx *journal.Tx) error { return enterprises.Delete(tx, row.GetName()) })
	if err != nil {
		t.Fatal(err)
	}
	return db, row
}

// TestPageProgram runs the program of the page on the changes that it walks through, where there is a Python.
func TestPageProgram(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no Python")
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	db, _ := open(t)
	putTowns(t, db, "铸造", "towns/a")
	update(t, db, func(tx *journal.Tx) error { return towns.Delete(tx, "towns/a") })
	for _, c := range changes(t, db) {
		program := block(t, string(raw), "python") + fmt.Sprintf(`
from types import SimpleNamespace as Message
print(change_hash(Message(
    previous_hash=bytes.fromhex("%x"), revision=%d, commit_revision=%d,
    commit_time=Message(seconds=%d, nanos=%d), type=%d,
    service=%q, actor=%q, method=%q, request_id=%q, resource=%q, before_digest=bytes.fromhex("%x"),
    after=Message(type_url=%q, value=bytes.fromhex("%x")))).hex())
`, c.GetPreviousHash(), c.GetRevision(), c.GetCommitRevision(), c.GetCommitTime().GetSeconds(), c.GetCommitTime().GetNanos(),
			c.GetType(), c.GetService(), c.GetActor(), c.GetMethod(), c.GetRequestId(), c.GetResource(), c.GetBeforeDigest(),
			c.GetAfter().GetTypeUrl(), c.GetAfter().GetValue())
		out, err := exec.Command(python, "-c", program).CombinedOutput()
		if got, want := strings.TrimSpace(string(out)), hex.EncodeToString(c.GetHash()); err != nil || got != want {
			t.Errorf("revision %d: %v, it prints %s, want %s", c.GetRevision(), err, got, want)
		}
	}
}

// TestVerifierInPython has the program beside the page, which shares nothing with this one, verify what this one writes: the two
// changes of the page, of which it lays out the same bytes; a longer journal in several files, with checkpoints, also with SM3; and
// damaged files, of which it names the same revision.
func TestVerifierInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no Python")
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	expect := func(shows, want string, good bool, args ...string) {
		t.Run(shows, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(python, append([]string{"../../docs/journal_verify.py"}, args...)...).CombinedOutput()
			if (err == nil) != good || !strings.Contains(string(out), want) {
				t.Errorf("%v\n%swant %q", err, out, want)
			}
		})
	}

	db, _ := pageJournal(t, string(raw))
	two := write("two", segmentOf(t, changes(t, db)))
	for revision, name := range map[string]string{"1": "first", "2": "second"} {
		expect("the bytes of revision "+revision, laidOut(t, string(raw), name)+"\n", true, two, "--bytes", revision)
	}
	_, second, _ := strings.Cut(string(raw), "Its hash is `")
	second, _, _ = strings.Cut(second, "`")
	expect("the changes of the page", "journals/town is whole from revision 1 to 2, hash "+second, true, two)

	db, _ = open(t)
	signer, _ := newSigner(t, 1)
	var lines []byte
	sign := func() {
		c, err := db.Checkpoint(t.Context(), signer)
		if err != nil {
			t.Fatal(err)
		}
		line, err := journal.CheckpointLine(c)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(append(lines, line[:9]...), " #cut off\n"...), append(line, '\n')...)
	}
	mixed(t, db)
	sign()
	putTowns(t, db, "陶瓷", "towns/last")
	sign()
	all, signed := changes(t, db), write("signed", lines)
	a, b, short := write("a", segmentOf(t, all[:9])), write("b", segmentOf(t, all[9:])), write("short", segmentOf(t, all[9:31]))
	expect("several files", "whole from revision 1 to 32", true, a, b)
	expect("an end alone", "whole from revision 10 to 32", true, b)
	expect("checkpoints", "held against 2 checkpoints", true, a, b, "--checkpoints", signed)
	expect("an end cut off", "revision 32: is missing, and 32 was signed", false, a, short, "--checkpoints", signed)
	expect("a beginning that is missing", "revision 10: ", false, a, a)
	other, _ := open(t)
	names := make([]string, 32)
	for i := range names {
		names[i] = fmt.Sprintf("towns/%d", i)
	}
	putTowns(t, other, "other", names...)
	expect("a journal made anew", "revision 31: is not what was signed", false, write("other", segmentOf(t, changes(t, other))), "--checkpoints", signed)

	file := segmentOf(t, all[:9])
	for _, at := range []int{len(file) - 40, len(file) / 2, len(file) / 3} {
		bad := bytes.Clone(file)
		bad[at] ^= 0x10
		_, err := follow(bad)
		_, where, found := strings.Cut(err.Error(), "revision ")
		where, _, _ = strings.Cut(where, ":")
		if !found {
			t.Fatalf("byte %d: %v names no revision", at, err)
		}
		name := fmt.Sprintf("byte %d is wrong", at)
		expect(name, "revision "+where+":", false, write(name, bad))
	}
	expect("a checksum that is wrong", "checksum", false, write("sum", append(file[:len(file)-1:len(file)-1], file[len(file)-1]^1)))

	if exec.Command(python, "-c", "import hashlib; hashlib.new('sm3')").Run() != nil {
		t.Skip("this Python's OpenSSL has no SM3; the rest is verified")
	}
	db = journal.Open(openStore(t), "town", clock.NewManual(march), journal.WithHash(journal.SM3))
	mixed(t, db)
	all = changes(t, db)
	var sm3 bytes.Buffer
	s := journal.Segment{Service: "town", Algorithm: journal.SM3, First: 1, Last: 31, PreviousHash: all[0].GetPreviousHash(), Hash: all[30].GetHash()}
	if err := journal.WriteSegment(&sm3, s, each(all)); err != nil {
		t.Fatal(err)
	}
	expect("SM3", "whole from revision 1 to 31", true, write("sm3", sm3.Bytes()))
}
