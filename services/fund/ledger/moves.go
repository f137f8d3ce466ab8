package ledger

// Stage is where money of the fund is. The numbers are those of yizhen.fund.v1.Stage.
type Stage int

// The stages, in the order in which money goes through them.
const (
	Sources Stage = iota + 1
	Appropriation
	Available
	Reserved
	Awarded
	Payable
	InTransit
	Paid
	Recovered
)

// Stages are all of them in order.
var Stages = []Stage{Sources, Appropriation, Available, Reserved, Awarded, Payable, InTransit, Paid, Recovered}

var stageWords = map[Stage]string{
	Sources: "sources", Appropriation: "appropriation", Available: "available", Reserved: "reserved", Awarded: "awarded",
	Payable: "payable", InTransit: "in-transit", Paid: "paid", Recovered: "recovered",
}

// String returns the word that identifiers of accounts end in.
func (s Stage) String() string { return stageWords[s] }

// Place is whose money it is: that of a line of a year's budget, or without a line that of the budget itself.
type Place struct{ Year, Line string }

// At returns the place in which the accounts of a stage are kept: what is not appropriated belongs to no line.
func (p Place) At(s Stage) Place {
	if s <= Appropriation {
		return Place{Year: p.Year}
	}
	return p
}

// Account returns the identifier of the place's account at a stage: `2023-equipment-available`, `2023-appropriation`. No
// word of a stage ends in another one, so no two places share an identifier.
func (p Place) Account(s Stage) string {
	p = p.At(s)
	if p.Line == "" {
		return p.Year + "-" + s.String()
	}
	return p.Year + "-" + p.Line + "-" + s.String()
}

// Move is what a step of the programme does with the money.
type Move struct {
	// Verb begins the identifier of the transfer.
	Verb string
	// From and To are the stages that the money goes between.
	From, To Stage
	// Undoes is the verb of the transfer that it reverses; empty if it reverses none.
	Undoes string
}

// The moves: every step that touches money, and what it does.
var (
	// Adopt takes a budget's total out of its sources.
	Adopt = Move{Verb: "adopt", From: Sources, To: Appropriation}
	// Appropriate sets money aside on a line.
	Appropriate = Move{Verb: "appropriate", From: Appropriation, To: Available}
	// Reserve holds money for an approved application, and Release lets it go when the application is withdrawn.
	Reserve = Move{Verb: "reserve", From: Available, To: Reserved}
	Release = Move{Verb: "release", From: Reserved, To: Available, Undoes: "reserve"}
	// Award commits what was reserved.
	Award = Move{Verb: "award", From: Reserved, To: Awarded}
	// Prove makes a tranche payable.
	Prove = Move{Verb: "prove", From: Awarded, To: Payable}
	// CutPending and CutPayable give up a tranche, before and after its condition was proven.
	CutPending = Move{Verb: "cut", From: Awarded, To: Available}
	CutPayable = Move{Verb: "cut", From: Payable, To: Available}
	// Send hands a payment to the bank, Confirm is its receipt.
	Send    = Move{Verb: "send", From: Payable, To: InTransit}
	Confirm = Move{Verb: "confirm", From: InTransit, To: Paid}
	// ReturnSent and ReturnPaid bring back what the bank returns, before and after it confirmed. The second undoes two
	// transfers, and so is the mirror image of neither.
	ReturnSent = Move{Verb: "return", From: InTransit, To: Payable, Undoes: "send"}
	ReturnPaid = Move{Verb: "return", From: Paid, To: Payable}
	// Recover takes in what was demanded back.
	Recover = Move{Verb: "recover", From: Paid, To: Recovered}
)

// Transfer returns the transfer that makes the move for an amount. What it is made for, such as an application's
// identifier, ends the identifier of the transfer: `reserve-140525-line-2`.
func (m Move) Transfer(p Place, id string, amountFen int64) Transfer {
	t := Transfer{
		ID: m.Verb + "-" + id,
		Legs: []Leg{
			{Account: p.Account(m.To), DebitFen: amountFen},
			{Account: p.Account(m.From), CreditFen: amountFen},
		},
	}
	if m.Undoes != "" {
		t.Reverses = m.Undoes + "-" + id
	}
	return t
}
