// Package fund is the special fund: it sets money aside, grants it, pays it out and takes it back, and can say at any time
// where every fen is.
//
// A budget is appropriated to lines; a call invites applications for the money of a line; an application that is approved
// becomes an award, paid in tranches, each by a disbursement once its condition is proven. What a step does with the money
// is posted in the ledger (package ledger) in the transaction of the step. What a call permits is worked out in package
// grant, and a bank's statement is held against the books in package reconcile.
//
// The words of other services are asked for before a transaction begins and judged in it, so a call that is repeated gets
// its first answer even while they are out of reach.
package fund
