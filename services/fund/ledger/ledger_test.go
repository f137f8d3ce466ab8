package ledger_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/services/fund/ledger"
)

var moves = []ledger.Move{
	ledger.Adopt, ledger.Appropriate, ledger.Reserve, ledger.Release, ledger.Award, ledger.Prove, ledger.CutPending,
	ledger.CutPayable, ledger.Send, ledger.Confirm, ledger.ReturnSent, ledger.ReturnPaid, ledger.Recover,
}

// books have the accounts of these places and nothing in them.
func books(places ...ledger.Place) *ledger.Books {
	b := ledger.NewBooks()
	for _, p := range places {
		for _, s := range ledger.Stages {
			b.Accounts[p.Account(s)] = ledger.Account{Year: p.Year, Stage: s}
		}
	}
	return b
}

func clone(b *ledger.Books) *ledger.Books {
	return &ledger.Books{
		Accounts:  maps.Clone(b.Accounts),
		Transfers: maps.Clone(b.Transfers),
		Reversals: maps.Clone(b.Reversals),
	}
}

var (
	equipment = ledger.Place{Year: "2023", Line: "equipment"}
	brands    = ledger.Place{Year: "2023", Line: "brands"}
	nextYear  = ledger.Place{Year: "2024", Line: "equipment"}
)

func mustPost(t testing.TB, b *ledger.Books, transfers ...ledger.Transfer) {
	t.Helper()
	for _, tr := range transfers {
		if err := b.Post(tr); err != nil {
			t.Fatalf("%s: %v", tr.ID, err)
		}
	}
}

// funded are books with a hundred fen available for equipment.
func funded(t testing.TB) *ledger.Books {
	b := books(equipment, brands, nextYear)
	mustPost(t, b, ledger.Adopt.Transfer(equipment, "2023", 100), ledger.Appropriate.Transfer(equipment, "e", 100))
	return b
}

func TestPostRefuses(t *testing.T) {
	available, reserved := equipment.Account(ledger.Available), equipment.Account(ledger.Reserved)
	two := func(debit, credit int64) []ledger.Leg {
		return []ledger.Leg{{Account: reserved, DebitFen: debit}, {Account: available, CreditFen: credit}}
	}
	for name, c := range map[string]struct {
		transfer ledger.Transfer
		problem  string
	}{
		"more than there is":            {ledger.Reserve.Transfer(equipment, "a", 101), "holds 100 fen and not 101"},
		"what does not balance":         {ledger.Transfer{ID: "x", Legs: two(2, 1)}, "debits 2 fen and credits 1"},
		"nothing at all":                {ledger.Reserve.Transfer(equipment, "a", 0), "not either a debit or a credit"},
		"negative amounts":              {ledger.Reserve.Transfer(equipment, "a", -1), "not either a debit or a credit"},
		"both sides in one leg":         {ledger.Transfer{ID: "x", Legs: []ledger.Leg{{available, 1, 1}, {reserved, 1, 1}}}, "not either"},
		"one leg":                       {ledger.Transfer{ID: "x", Legs: two(1, 1)[:1]}, "fewer than two legs"},
		"no identifier":                 {ledger.Transfer{Legs: two(1, 1)}, "no identifier"},
		"an identifier used before":     {ledger.Adopt.Transfer(equipment, "2023", 1), "was posted before"},
		"an account that is not there":  {ledger.Reserve.Transfer(ledger.Place{Year: "2023", Line: "x"}, "a", 1), "not there"},
		"an account twice":              {ledger.Transfer{ID: "x", Legs: []ledger.Leg{{available, 0, 1}, {available, 1, 0}}}, "twice"},
		"a way into another budget":     {ledger.Transfer{ID: "x", Legs: []ledger.Leg{{available, 0, 1}, {nextYear.Account(ledger.Available), 1, 0}}}, "one budget to another"},
		"amounts whose sum overflows":   {ledger.Transfer{ID: "x", Legs: []ledger.Leg{{reserved, math.MaxInt64, 0}, {equipment.Account(ledger.Paid), 1, 0}, {available, 0, 1}}}, "64 bits"},
		"reversal of what was not made": {ledger.Release.Transfer(equipment, "a", 1), "was not posted"},
	} {
		t.Run(name, func(t *testing.T) {
			b := funded(t)
			before := clone(b)
			err := b.Post(c.transfer)
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("got %v, want an error with %q", err, c.problem)
			}
			if !reflect.DeepEqual(b, before) {
				t.Error("a refused transfer changed the books")
			}
		})
	}
}

func TestReversal(t *testing.T) {
	b := funded(t)
	mustPost(t, b, ledger.Reserve.Transfer(equipment, "a", 60))
	for name, amount := range map[string]int64{"less": 59, "more": 61} {
		if err := b.Post(ledger.Release.Transfer(equipment, "a", amount)); err == nil {
			t.Errorf("a reversal of %s than was posted was taken", name)
		}
	}
	mustPost(t, b, ledger.Release.Transfer(equipment, "a", 60))
	again := ledger.Release.Transfer(equipment, "a", 60)
	again.ID = "again"
	if err := b.Post(again); err == nil || !strings.Contains(err.Error(), "release-a has reversed") {
		t.Errorf("a second reversal: %v", err)
	}
	if got := b.Accounts[equipment.Account(ledger.Available)].BalanceFen(); got != 100 {
		t.Errorf("%d fen are available after the reversal", got)
	}
}

func TestPostAtTheEdge(t *testing.T) {
	b := books(equipment)
	mustPost(t, b, ledger.Adopt.Transfer(equipment, "all", math.MaxInt64),
		ledger.Appropriate.Transfer(equipment, "all", math.MaxInt64))
	before := clone(b)
	if err := b.Post(ledger.Adopt.Transfer(equipment, "more", 1)); !errors.Is(err, ledger.ErrOverflow) {
		t.Errorf("one fen more than fits: %v", err)
	}
	if !reflect.DeepEqual(b, before) {
		t.Error("a refused transfer changed the books")
	}
	var trial ledger.Trial
	var err error
	for _, a := range b.Accounts {
		err = errors.Join(err, trial.Add(a))
	}
	if !errors.Is(err, ledger.ErrOverflow) {
		t.Errorf("a trial balance whose sums do not fit: %v", err)
	}
}

func TestAccountsOfAllPlacesDiffer(t *testing.T) {
	seen := map[string]ledger.Place{}
	for _, line := range []string{"a", "in", "a-in", "transit", "a-in-transit", "paid", "a-paid", "appropriation", "sources"} {
		p := ledger.Place{Year: "2023", Line: line}
		for _, s := range ledger.Stages[2:] {
			id := p.Account(s)
			if other, taken := seen[id]; taken {
				t.Errorf("%s is an account of %v and of %v", id, other, p)
			}
			seen[id] = p
		}
	}
	for _, s := range ledger.Stages[:2] {
		if _, taken := seen[equipment.Account(s)]; taken {
			t.Errorf("%s is also an account of a line", equipment.Account(s))
		}
	}
}

// A run of moves, permitted and not, against a model that knows balances alone and counts without bounds.
func TestMovesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := []ledger.Place{equipment, brands, nextYear}
		b := books(places...)
		model := map[string]*big.Int{}
		for id := range b.Accounts {
			model[id] = new(big.Int)
		}
		posted := map[string]ledger.Transfer{}
		reversed := map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m := rapid.SampledFrom(moves).Draw(t, "move")
			p := rapid.SampledFrom(places).Draw(t, "place")
			amount := rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(math.MaxInt64-2, math.MaxInt64)).Draw(t, "amount")
			tr := m.Transfer(p, fmt.Sprint(rapid.IntRange(1, 9).Draw(t, "id")), amount)
			from, to := tr.Legs[1].Account, tr.Legs[0].Account

			want := amount > 0 && posted[tr.ID].ID == "" &&
				(m.From == ledger.Sources || model[from].Cmp(big.NewInt(amount)) >= 0)
			if m.Undoes != "" {
				original := posted[tr.Reverses]
				want = want && original.ID != "" && !reversed[tr.Reverses] &&
					original.Legs[0].Account == from && original.Legs[0].DebitFen == amount
			}
			before := clone(b)
			err := b.Post(tr)
			if errors.Is(err, ledger.ErrOverflow) && want {
				want = false // the model has no bounds; TestPostAtTheEdge is about them
			}
			if (err == nil) != want {
				t.Fatalf("post %+v: %v, and the model says %v", tr, err, want)
			}
			if err != nil {
				if !reflect.DeepEqual(b, before) {
					t.Fatalf("a refused transfer changed the books: %v", err)
				}
				continue
			}
			posted[tr.ID] = tr
			reversed[tr.Reverses] = true
			model[from].Sub(model[from], big.NewInt(amount))
			model[to].Add(model[to], big.NewInt(amount))
			for id, balance := range model {
				if got := b.Accounts[id].BalanceFen(); big.NewInt(got).Cmp(balance) != 0 {
					t.Fatalf("account %s has %d fen, the model %d", id, got, balance)
				}
			}
			if !reflect.DeepEqual(b.Transfers, posted) {
				t.Fatal("a posted transfer changed")
			}
		}
		inOrder(t, b)
	})
}

// inOrder fails unless books keep the rules: they foot, budget by budget, and nothing but sources is overdrawn.
func inOrder(t interface{ Fatalf(string, ...any) }, b *ledger.Books) {
	trials := map[string]*ledger.Trial{}
	for id, a := range b.Accounts {
		if a.BalanceFen() < 0 && a.Stage != ledger.Sources {
			t.Fatalf("account %s is overdrawn by %d fen", id, -a.BalanceFen())
		}
		if trials[a.Year] == nil {
			trials[a.Year] = &ledger.Trial{}
		}
		if err := trials[a.Year].Add(a); err != nil {
			return // sums near the edge are refused, not wrong
		}
	}
	for year, trial := range trials {
		if !trial.Foots() {
			t.Fatalf("budget %s does not foot: %+v", year, trial.Total)
		}
	}
}

// FuzzPost reads transfers of any shape out of bytes: of each transfer the identifier, what it reverses and the number
// of its legs, of each leg the account, the side and the amount.
func FuzzPost(f *testing.F) {
	f.Add([]byte("\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x64\x01\x01\x00\x00\x00\x00\x00\x00\x00\x64"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b := books(equipment, nextYear)
		var ids []string
		for _, p := range []ledger.Place{equipment, nextYear} {
			for _, s := range ledger.Stages {
				ids = append(ids, p.Account(s))
			}
		}
		next := func(n int) []byte {
			out := make([]byte, n)
			in = in[copy(out, in):]
			return out
		}
		for range 64 {
			if len(in) == 0 {
				break
			}
			head := next(3)
			tr := ledger.Transfer{ID: fmt.Sprint(head[0])}
			if head[1] != 0 {
				tr.Reverses = fmt.Sprint(head[1])
			}
			for range head[2] % 5 {
				leg := next(10)
				l := ledger.Leg{Account: ids[int(leg[0])%len(ids)]}
				amount := int64(binary.BigEndian.Uint64(leg[2:]))
				if leg[1]&1 == 0 {
					l.DebitFen = amount
				}
				if leg[1]&3 != 0 {
					l.CreditFen = amount
				}
				tr.Legs = append(tr.Legs, l)
			}
			before := clone(b)
			if err := b.Post(tr); err != nil && !reflect.DeepEqual(b, before) {
				t.Fatalf("a refused transfer changed the books: %v", err)
			}
			inOrder(t, b)
		}
	})
}
