package jincheng

import (
	"github.com/yizhen/yizhen/pkg/authn"
)

// CityOffice is the office in charge of the programme. It may do everything but touch the fund.
const CityOffice = "city/town-office"

// The other offices that act in the story.
const (
	fundOffice   = "city/fund-office"
	maker        = "finance/chen"
	checker      = "finance/guo"
	payer        = "finance/ren"
	auditOffice  = "audit/office"
	countyPrefix = "county/"
)

// Offices are the callers of the story, without their tokens. No office can do another's part.
func Offices() ([]authn.Principal, error) {
	p, err := readProgramme()
	if err != nil {
		return nil, err
	}
	offices := []authn.Principal{
		{Name: CityOffice, Division: cityDivision, Permissions: []string{"town.*", "project.*", "assessment.*"}},
		{Name: fundOffice, Division: cityDivision, Permissions: []string{
			"fund.budgets.*", "fund.lines.*", "fund.calls.*", "fund.applications.*", "fund.awards.*", "fund.tranches.*",
		}},
		{Name: maker, Division: cityDivision, Permissions: []string{"fund.disbursements.create", "*.get", "*.list"}},
		{Name: checker, Division: cityDivision, Permissions: []string{"fund.disbursements.check", "*.get", "*.list"}},
		{Name: payer, Division: cityDivision, Permissions: []string{
			"fund.disbursements.send", "fund.disbursements.confirm", "fund.disbursements.return", "*.get", "*.list",
		}},
		{Name: auditOffice, Division: cityDivision, Permissions: []string{
			"*.get", "*.list", "*.summarize", "*.rank", "*.evaluate", "*.verify", "fund.accounts.computeTrialBalance", "journal.*",
		}},
	}
	for _, county := range p.Counties {
		offices = append(offices, authn.Principal{
			Name: countyPrefix + county.Code, Division: county.Code, Permissions: []string{
				"town.towns.*", "town.designations.create", "town.designations.submit", "town.designations.recommend",
				"town.enterprises.*", "town.reports.create", "town.reports.submit", "town.reports.verify", "town.policies.*",
				"town.assets.*", "project.*", "fund.applications.create", "fund.applications.submit", "fund.applications.check",
			},
		})
	}
	return offices, nil
}
