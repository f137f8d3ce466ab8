// Package assessment scores the specialised towns every year: it collects the facts from the services that hold them,
// computes each town's points from what it then stored, hears appeals, and tells where the programme's goals stand.
//
// The files:
//
//	server.go        what a server consists of: its tables, its peers and how it is registered
//	lifecycle.go     the lives of indicator sets, campaigns and appeals, as tables
//	faults.go        the errors of this service, each made in one place
//	indicator_sets.go, campaigns.go, scorecards.go, appeals.go, goals.go, facts.go
//	                 the methods, one file a resource; facts.go has the list of facts
//	survey.go        reading the facts from the town, project and fund services, at one point of each journal
//	tally.go         counting and summing what was read, town by town
//	notice.go        how long a public notice runs, by the town service's calendars
//	scoring/         the pure rules: expressions, shares, points, places, tiers, consequences
//
// A collection reads all that it needs before its transaction begins, so it either has everything or changes nothing. A
// score is computed from stored facts alone: years later the same digits come out, and VerifyScorecard shows it.
package assessment
