// Package project tracks the projects of specialised towns: how far each has come by its dated milestones and verified
// investment, which investors are in sight, what land, energy and emissions are set aside, which difficulties are open,
// and who owes what by when.
//
// The files:
//
//	server.go        what a server consists of: its tables, the town registry it asks, and how it is registered
//	lifecycle.go     the lives of its resources, as tables, and the step along one
//	faults.go        the errors of this service, each made in one place
//	projects.go, milestones.go, progress_reports.go, leads.go, factors.go, cases.go, action_tasks.go
//	                 the methods, one file a resource; factors.go has pools and the requests on them
//	totals.go        the counts and sums of a division, kept as projects change
//	checks.go        what several resources have to satisfy: divisions, dates, credit codes
//	towns.go         what the town registry says of a town, kept as evidence
//	lights/          the pure rule of green, yellow and red
//	quota/           the pure rule of a pool
//	tally/           the pure rule of the totals
//
// What depends on the day, a light or whether something is overdue, is never stored: a method computes it for whoever
// reads, so that it is right on that day. What it needs for that is kept on the row itself, so that a list of a thousand
// projects reads a thousand rows and no more.
package project
