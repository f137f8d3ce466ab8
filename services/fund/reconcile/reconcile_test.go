package reconcile_test

import (
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/civil"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/reconcile"
)

const (
	payment  = fundv1.StatementLine_KIND_PAYMENT
	returned = fundv1.StatementLine_KIND_RETURN
)

// draw makes books of paid and returned disbursements, and the statement of a bank that has the same.
func draw(t *rapid.T) (*fundv1.Statement, reconcile.Books) {
	st := &fundv1.Statement{StartDate: civil.New(2023, 3, 1), EndDate: civil.New(2023, 3, 31)}
	books := reconcile.Books{Named: map[string]*fundv1.Disbursement{}}
	for n := range rapid.IntRange(0, 8).Draw(t, "disbursements") {
		d := &fundv1.Disbursement{
			Name:         fmt.Sprintf("disbursements/140525-%d", n),
			State:        fundv1.Disbursement_STATE_PAID,
			AmountFen:    rapid.Int64Range(1, 1e15).Draw(t, "amount"),
			PayeeAccount: fmt.Sprint(100000 + n),
			SendDate:     civil.New(2023, 3, 1+n),
		}
		line := &fundv1.StatementLine{
			Date: civil.New(2023, 3, 2+n), Kind: payment, AmountFen: d.GetAmountFen(), Disbursement: d.GetName(), PayeeAccount: d.GetPayeeAccount(),
		}
		st.Lines = append(st.Lines, line)
		books.Named[d.GetName()] = d
		books.Sent = append(books.Sent, d)
		if rapid.Bool().Draw(t, "returned") {
			d.State, d.ReturnDate = fundv1.Disbursement_STATE_RETURNED, civil.New(2023, 3, 20)
			back := proto.Clone(line).(*fundv1.StatementLine)
			back.Kind = returned
			st.Lines = append(st.Lines, back)
			books.Returned = append(books.Returned, d)
		}
	}
	st.Lines = rapid.Permutation(st.GetLines()).Draw(t, "lines")
	return st, books
}

func compare(t *rapid.T, st *fundv1.Statement, books reconcile.Books) {
	if err := reconcile.Compare(st, books); err != nil {
		t.Fatal(err)
	}
}

func TestStatementOfTheBooksAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st, books := draw(t)
		compare(t, st, books)
		if len(st.GetDifferences()) != 0 || int(st.GetMatchedCount()) != len(st.GetLines()) || st.GetStatementNetFen() != st.GetBookNetFen() {
			t.Fatalf("a statement of the books differs: %v", st)
		}
	})
}

// One change to a statement that agrees makes the differences that it must, and no others.
func TestOneChangeShows(t *testing.T) {
	type differences = map[fundv1.Difference_Kind]int
	for name, c := range map[string]struct {
		change func(*fundv1.Statement, int)
		want   differences
	}{
		"a line is missing": {func(st *fundv1.Statement, i int) { st.Lines = append(st.Lines[:i], st.Lines[i+1:]...) },
			differences{fundv1.Difference_KIND_UNKNOWN_TO_BANK: 1}},
		"a line is there twice": {func(st *fundv1.Statement, i int) { st.Lines = append(st.Lines, st.Lines[i]) },
			differences{fundv1.Difference_KIND_DUPLICATE: 1}},
		"another amount": {func(st *fundv1.Statement, i int) { st.Lines[i].AmountFen++ },
			differences{fundv1.Difference_KIND_AMOUNT: 1}},
		"another payee": {func(st *fundv1.Statement, i int) { st.Lines[i].PayeeAccount = "999999" },
			differences{fundv1.Difference_KIND_PAYEE: 1}},
		"no payee is no difference": {func(st *fundv1.Statement, i int) { st.Lines[i].PayeeAccount = "" }, differences{}},
		"a day outside the period": {func(st *fundv1.Statement, i int) { st.Lines[i].Date = civil.New(2023, 4, 1) },
			differences{fundv1.Difference_KIND_OUTSIDE_PERIOD: 1, fundv1.Difference_KIND_UNKNOWN_TO_BANK: 1}},
		"a disbursement that the books do not have": {func(st *fundv1.Statement, i int) { st.Lines[i].Disbursement += "-x" },
			differences{fundv1.Difference_KIND_UNKNOWN_TO_BOOKS: 1, fundv1.Difference_KIND_UNKNOWN_TO_BANK: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				st, books := draw(t)
				if len(st.GetLines()) == 0 {
					return
				}
				c.change(st, rapid.IntRange(0, len(st.GetLines())-1).Draw(t, "line"))
				compare(t, st, books)
				got := differences{}
				for _, d := range st.GetDifferences() {
					got[d.GetKind()]++
				}
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Fatalf("got %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestSumsThatDoNotFit(t *testing.T) {
	st := &fundv1.Statement{StartDate: civil.New(2023, 3, 1), EndDate: civil.New(2023, 3, 31)}
	sent := []*fundv1.Disbursement{{Name: "a", AmountFen: math.MaxInt64}, {Name: "b", AmountFen: 1}}
	if err := reconcile.Compare(st, reconcile.Books{Sent: sent}); err == nil {
		t.Errorf("the books' sum is %d", st.GetBookNetFen())
	}
}
