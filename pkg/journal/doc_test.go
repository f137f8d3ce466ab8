package journal_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
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

// TestPage makes the two changes that the page walks through, and holds every byte of the walk against them.
func TestPage(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	c := clock.NewManual(time.Date(2023, 3, 1, 1, 0, 0, 0, time.UTC))
	db := journal.Open(openStore(t), "town", c)
	origin := journal.Origin{Actor: "zezhou/li", Method: "/yizhen.town.v1.TownRegistry/CreateEnterprise", RequestID: "r-1"}
	row := &townv1.Enterprise{}
	if err := prototext.Unmarshal([]byte(block(t, text, "textproto")), row); err != nil {
		t.Fatal(err)
	}
	err = db.Update(context.Background(), origin, func(tx *journal.Tx) error { return enterprises.Create(tx, row) })
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(90 * time.Minute)
	origin = journal.Origin{Actor: "zezhou/li", Method: "/yizhen.town.v1.TownRegistry/DeleteEnterprise"}
	err = db.Update(context.Background(), origin, func(tx *journal.Tx) error { return enterprises.Delete(tx, row.GetName()) })
	if err != nil {
		t.Fatal(err)
	}

	for i, name := range []string{"first", "second"} {
		change := changes(t, db)[i]
		var laidOut strings.Builder
		for line := range strings.Lines(block(t, text, name)) {
			line, _, _ = strings.Cut(line, "#")
			if fields := strings.Fields(line); len(fields) > 1 {
				laidOut.WriteString(strings.Join(fields[1:], ""))
			}
		}
		bytes, err := hex.DecodeString(laidOut.String())
		if err != nil {
			t.Fatalf("block %s: %v", name, err)
		}
		if string(bytes) != string(encode(change)) {
			t.Errorf("block %s lays out\n%x\nthe change is\n%x", name, bytes, encode(change))
		}
		sum := sha256.Sum256(bytes)
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
