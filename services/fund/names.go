package fund

import (
	"iter"
	"strings"

	"github.com/yizhen/yizhen/services/fund/ledger"
)

// ids returns the identifiers in a name: `140525-line-2` and `1` of `awards/140525-line-2/tranches/1`.
func ids(name string) (out []string) {
	parts := strings.Split(name, "/")
	for i := 1; i < len(parts); i += 2 {
		out = append(out, parts[i])
	}
	return out
}

// lastID returns the last identifier in a name.
func lastID(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// placeOf returns whose accounts the money of a budget or line is in.
func placeOf(name string) ledger.Place {
	p := ledger.Place{}
	switch of := ids(name); len(of) {
	case 1:
		p.Year = of[0]
	case 2:
		p.Year, p.Line = of[0], of[1]
	}
	return p
}

// budgetOf returns the budget of a line.
func budgetOf(line string) string { return "budgets/" + placeOf(line).Year }

// awardOf returns the award of a tranche.
func awardOf(tranche string) string { return "awards/" + ids(tranche)[0] }

// first returns the first row of a scan, or nil if there is none.
func first[T any](rows iter.Seq2[*T, error]) (*T, error) {
	for row, err := range rows {
		return row, err
	}
	return nil, nil
}
