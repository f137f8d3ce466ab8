// Package town is the registry of specialised towns: it knows what each town is, at which level it is designated and
// since when, which enterprises and assets it has, what it has promised, and the figures it reports. Whoever else needs
// to know asks it, or follows its journal.
//
// The files:
//
//	server.go        what a server consists of: its tables and how it is registered
//	lifecycle.go     the lives of designations and reports, as tables
//	faults.go        the errors of this service, each made in one place
//	towns.go, designations.go, enterprises.go, reports.go, assets.go, policies.go, batches.go, reference.go
//	                 the methods, one file a resource; reference.go has divisions and holiday calendars
//	totals.go        the sums of published figures, kept as reports are published
//	dates.go         days of the calendar: whether they exist, and how long a notice runs
//	totals/          the pure rule of what a sum is
//
// A method reads its request, asks the rule, and writes its rows in one transaction of package record, which also puts
// them in the journal and remembers the answer for the request id. What the contract's own rules refuse never gets
// here: the server validates requests first.
package town
