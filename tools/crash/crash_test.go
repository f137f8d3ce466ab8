package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authn"
	"github.com/yizhen/yizhen/pkg/clock"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/rpc/rpctest"
	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/bolt"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
)

// TestKills is the driver itself, for a moment.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	for engine, kills := range map[string]string{"bolt": "3", "etcd": "2"} {
		t.Run(engine, func(t *testing.T) {
			if _, err := etcdtest.Binary(); engine == "etcd" && err != nil && os.Getenv("CI") == "" {
				t.Skip(err)
			}
			var out, problems bytes.Buffer
			if status := run(t.Context(), []string{"-engine", engine, "-kills", kills, "-folder", t.TempDir()}, &out, &problems); status != 0 {
				t.Fatalf("status %d\n%s%s", status, &out, &problems)
			}
			if !strings.Contains(out.String(), "violations    0") {
				t.Error(out.String())
			}
		})
	}
}

// scene is a fund with a few changes that a client made, and the client's record of them.
type scene struct {
	t       *testing.T
	path    string
	history *History
	since   int64
	conn    *grpc.ClientConn
	calls   int
}

// play makes a scene: two applications approved out of the line, one of them with a request that was also sent again. It
// returns with the store closed.
func play(t *testing.T) *scene {
	s := &scene{t: t, path: filepath.Join(t.TempDir(), "fund.db"), history: &History{}}
	t.Run("play", func(t *testing.T) {
		opened, err := bolt.Open(s.path)
		if err != nil {
			t.Fatal(err)
		}
		c := clock.NewManual(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
		db := journal.Open(opened, "fund", c)
		t.Cleanup(func() { db.Close() })
		server := rpctest.Serve(t, db, fundLoad.register(db), authn.Principal{Name: maker, Permissions: []string{"*"}, Division: "140500"})
		s.conn = server.As(maker)
		f := &filler{clock: c, conn: s.conn, applications: 8}
		fillFund(t.Context(), f)
		if f.err != nil {
			t.Fatal(f.err)
		}
		head, err := db.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.since = head.GetRevision()
		for n := range 2 {
			s.send(t.Context(), &fundv1.ApproveApplicationRequest{Name: fmt.Sprintf("applications/140525-old-%d", n)})
		}
		again := s.send(t.Context(), &fundv1.AwardApplicationRequest{Name: "applications/140525-old-0"})
		s.history.send(t.Context(), s.conn, again)
		s.send(t.Context(), &fundv1.AwardApplicationRequest{Name: "applications/140525-old-0"}) // refused: it has one
	})
	return s
}

func (s *scene) send(ctx context.Context, req proto.Message) *Call {
	s.calls++
	setRequestID(req, fmt.Sprintf("call-%d", s.calls))
	method, _, err := methodOf(req)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &Call{Actor: maker, Method: method, RequestID: requestID(req), Request: req}
	s.history.send(ctx, s.conn, c)
	return c
}

func (s *scene) check() string {
	s.t.Helper()
	img, err := ReadImage(s.t.Context(), s.path, fundLoad.schema())
	if err != nil {
		s.t.Fatal(err)
	}
	c := checker{img: img, history: s.history, since: s.since, shapes: fundLoad.shapes, own: fundLoad.own}
	return strings.Join(c.check(), "\n")
}

// damage changes the store behind the journal's back.
func (s *scene) damage(fn func(tx store.Tx) error) {
	s.t.Helper()
	opened, err := bolt.Open(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := opened.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// last returns the last key below a prefix.
func last(tx store.Tx, prefix string) (key, value []byte) {
	for e := range tx.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix)), store.Descending) {
		return bytes.Clone(e.Key), bytes.Clone(e.Value)
	}
	return nil, nil
}

func TestCheckerIsContentWithAWholeStore(t *testing.T) {
	if found := play(t).check(); found != "" {
		t.Error(found)
	}
}

// TestCheckerFinds shows that the checker can fail: each case breaks one promise.
func TestCheckerFinds(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*scene)
		want string
	}{
		"an acknowledged change that is lost": {
			do: func(s *scene) {
				lost := *s.history.calls[0]
				lost.RequestID = "call-lost"
				s.history.calls = append(s.history.calls, &lost)
			},
			want: "call-lost of finance/maker was acknowledged and is lost",
		},
		"a request that was carried out twice": {
			do: func(s *scene) {
				opened, err := bolt.Open(s.path)
				if err != nil {
					s.t.Fatal(err)
				}
				db := journal.Open(opened, "fund", clock.System{})
				lines := store.NewTable[*fundv1.Line]()
				err = db.Update(s.t.Context(), journal.Origin{Actor: maker, Method: "/yizhen.fund.v1.SpecialFund/UpdateLine", RequestID: "call-1"}, func(tx *journal.Tx) error {
					row, err := lines.Get(tx, line)
					if err != nil {
						return err
					}
					row.Purpose = "twice"
					return lines.Update(tx, row)
				})
				if err != nil {
					s.t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					s.t.Fatal(err)
				}
			},
			want: "request call-1 was carried out twice",
		},
		"a refused request that is carried out": {
			do: func(s *scene) {
				s.history.calls[0].Attempts = []Attempt{{Sent: 1, Answered: 2, Outcome: Refused}}
			},
			want: "call-1 of finance/maker was refused and is carried out",
		},
		"a request that nobody sent": {
			do:   func(s *scene) { s.history.calls = s.history.calls[1:] },
			want: `nobody sent request "call-1"`,
		},
		"another content than was acknowledged": {
			do: func(s *scene) {
				a := &s.history.calls[0].Attempts[0]
				a.Answer = proto.Clone(a.Answer)
				a.Answer.(*fundv1.Application).ApprovedFen++
			},
			want: "was acknowledged with another content",
		},
		"half a write: a row without the transfer of its step": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error {
					key, _ := last(tx, "row/Transfer/")
					return tx.Delete(key)
				})
			},
			want: `replay: "row/Transfer/`,
		},
		"half a write: an account without the last step": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error {
					key, value := last(tx, "row/Account/")
					revision, message := store.SplitRow(value)
					a := &fundv1.Account{}
					if err := proto.Unmarshal(message, a); err != nil {
						return err
					}
					a.DebitFen--
					raw, err := proto.Marshal(a)
					if err != nil {
						return err
					}
					return tx.Put(key, store.JoinRow(revision, raw))
				})
			},
			want: "its transfers give",
		},
		"half a write: a change without its receipt": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error { return tx.Delete([]byte("receipt/" + maker + "\x00call-2")) })
			},
			want: "request call-2 is carried out (revision",
		},
		"half a write: a row without its index": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error {
					key, _ := last(tx, "index/Transfer/number/")
					return tx.Delete(key)
				})
			},
			want: `replay: "index/Transfer/number/`,
		},
		"a journal whose end is cut off": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error {
					key, _ := last(tx, "journal/change/")
					return tx.Delete(key)
				})
			},
			want: "half a commit",
		},
		"a journal with a hole": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error { return tx.Delete([]byte("journal/change/\x00\x00\x00\x00\x00\x00\x00\x05")) })
			},
			want: "journal revision 5: is missing",
		},
		"a commit that is not all that the step does": {
			do: func(s *scene) {
				opened, err := bolt.Open(s.path)
				if err != nil {
					s.t.Fatal(err)
				}
				db := journal.Open(opened, "fund", clock.System{})
				applications := store.NewTable[*fundv1.Application]()
				err = db.Update(s.t.Context(), journal.Origin{Actor: maker, Method: "/yizhen.fund.v1.SpecialFund/ApproveApplication", RequestID: "call-9"}, func(tx *journal.Tx) error {
					row, err := applications.Get(tx, "applications/140525-old-7")
					if err != nil {
						return err
					}
					row.State = fundv1.Application_STATE_APPROVED
					return applications.Update(tx, row)
				})
				if err != nil {
					s.t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					s.t.Fatal(err)
				}
			},
			want: "ApproveApplication call-9 is not whole",
		},
		"what was answered before another was sent, after it": {
			do: func(s *scene) {
				a, b := &s.history.calls[0].Attempts[0], &s.history.calls[1].Attempts[0]
				a.Sent, a.Answered, b.Sent, b.Answered = b.Sent, b.Answered, a.Sent, a.Answered
			},
			want: "was sent after",
		},
		"a version that was shown and is not there": {
			do:   func(s *scene) { s.history.saw(line, "0123456789abcdef", 1) },
			want: "somebody was shown version 0123456789abcdef",
		},
		"a change that cannot be read": {
			do: func(s *scene) {
				s.damage(func(tx store.Tx) error {
					return tx.Put([]byte("journal/change/\x00\x00\x00\x00\x00\x00\x00\x05"), []byte{255})
				})
			},
			want: "the journal does not verify",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := play(t)
			s.t = t
			test.do(s)
			if found := s.check(); !strings.Contains(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}
