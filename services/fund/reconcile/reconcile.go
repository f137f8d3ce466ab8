// Package reconcile compares what a bank lists with what the books have, and names every difference.
//
// A line of the statement is compared with the disbursement that it names, wherever that lies in time; the other way
// round, what was sent or returned within the period has to be on the statement.
package reconcile

import (
	"errors"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/civil"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	"github.com/yizhen/yizhen/services/fund/ledger"
)

// Kinds of lines and differences, for short.
const (
	payment  = fundv1.StatementLine_KIND_PAYMENT
	returned = fundv1.StatementLine_KIND_RETURN

	unknownToBooks = fundv1.Difference_KIND_UNKNOWN_TO_BOOKS
	unknownToBank  = fundv1.Difference_KIND_UNKNOWN_TO_BANK
	amountDiffers  = fundv1.Difference_KIND_AMOUNT
	payeeDiffers   = fundv1.Difference_KIND_PAYEE
	notConfirmed   = fundv1.Difference_KIND_NOT_CONFIRMED
	duplicate      = fundv1.Difference_KIND_DUPLICATE
	outsidePeriod  = fundv1.Difference_KIND_OUTSIDE_PERIOD
)

// Books are the disbursements to compare with.
type Books struct {
	// Named has the disbursements that lines name, by name.
	Named map[string]*fundv1.Disbursement
	// Sent and Returned are those sent and those returned within the period, in the order in which to list them.
	Sent, Returned []*fundv1.Disbursement
}

// Compare fills in what the service says of a statement: how many lines agree, the differences and both sums. It fails
// with ledger.ErrOverflow if a sum does not fit.
func Compare(st *fundv1.Statement, books Books) (err error) {
	listed := map[thing]bool{}
	st.MatchedCount, st.Differences, st.StatementNetFen, st.BookNetFen = 0, nil, 0, 0
	for i, line := range st.GetLines() {
		if st.StatementNetFen, err = ledger.Add(st.GetStatementNetFen(), signed(line.GetKind(), line.GetAmountFen())); err != nil {
			return err
		}
		found := compareLine(st, line, books.Named[line.GetDisbursement()], listed)
		for _, d := range found {
			d.LineNumber = int32(i + 1)
			d.LineKind = line.GetKind()
			d.Disbursement = line.GetDisbursement()
			d.StatementAmountFen = line.GetAmountFen()
		}
		if len(found) == 0 {
			st.MatchedCount++
		}
		st.Differences = append(st.Differences, found...)
	}
	return errors.Join(
		onlyBooks(st, payment, books.Sent, listed),
		onlyBooks(st, returned, books.Returned, listed))
}

// onlyBooks adds up what the books have of a kind, and names what the statement does not list.
func onlyBooks(st *fundv1.Statement, kind fundv1.StatementLine_Kind, rows []*fundv1.Disbursement, listed map[thing]bool) (err error) {
	for _, d := range rows {
		if st.BookNetFen, err = ledger.Add(st.GetBookNetFen(), signed(kind, d.GetAmountFen())); err != nil {
			return err
		}
		if !listed[thing{kind, d.GetName()}] {
			st.Differences = append(st.Differences, &fundv1.Difference{
				Kind: unknownToBank, LineKind: kind, Disbursement: d.GetName(), BookAmountFen: d.GetAmountFen(),
			})
		}
	}
	return nil
}

// thing is what can be on a statement once: a payment or a return, by the disbursement or where the bank names none by
// the bank's own number.
type thing struct {
	kind fundv1.StatementLine_Kind
	id   string
}

// compareLine returns how a line differs from the books, and notes what it lists. The disbursement is nil if the books do
// not know it.
func compareLine(st *fundv1.Statement, line *fundv1.StatementLine, book *fundv1.Disbursement, listed map[thing]bool) []*fundv1.Difference {
	one := func(kind fundv1.Difference_Kind, bookFen int64) []*fundv1.Difference {
		return []*fundv1.Difference{{Kind: kind, BookAmountFen: bookFen}}
	}
	if !within(st, line.GetDate()) {
		return one(outsidePeriod, 0)
	}
	if has(book, line.GetKind()) {
		what := thing{line.GetKind(), book.GetName()}
		if listed[what] {
			return one(duplicate, book.GetAmountFen())
		}
		listed[what] = true
		return compareBoth(line, book)
	}
	what := thing{line.GetKind(), line.GetBankReference()}
	if what.id != "" && listed[what] {
		return one(duplicate, 0)
	}
	listed[what] = true
	return one(unknownToBooks, 0)
}

// compareBoth compares a line with the disbursement that it is about.
func compareBoth(line *fundv1.StatementLine, book *fundv1.Disbursement) (found []*fundv1.Difference) {
	add := func(kind fundv1.Difference_Kind) {
		found = append(found, &fundv1.Difference{Kind: kind, BookAmountFen: book.GetAmountFen()})
	}
	if line.GetAmountFen() != book.GetAmountFen() {
		add(amountDiffers)
	}
	if line.GetPayeeAccount() != "" && line.GetPayeeAccount() != book.GetPayeeAccount() {
		add(payeeDiffers)
	}
	if line.GetKind() == payment && book.GetState() == fundv1.Disbursement_STATE_IN_TRANSIT {
		add(notConfirmed)
	}
	return found
}

// has tells whether the books have it that the disbursement was sent, or was returned.
func has(book *fundv1.Disbursement, kind fundv1.StatementLine_Kind) bool {
	if kind == payment {
		return book.GetSendDate() != nil
	}
	return book.GetReturnDate() != nil
}

func within(st *fundv1.Statement, d *date.Date) bool {
	return civil.Compare(st.GetStartDate(), d) <= 0 && civil.Compare(d, st.GetEndDate()) <= 0
}

func signed(kind fundv1.StatementLine_Kind, fen int64) int64 {
	if kind == returned {
		return -fen
	}
	return fen
}
