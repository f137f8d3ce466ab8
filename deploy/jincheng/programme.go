// Package jincheng is Jincheng's programme: what was published of it, and a year of it as a story that can be told to any
// suite over REST. The demo tells it to a suite of its own. It shows how the parts work together, in the order in which
// offices would call them, and it is a test: its figures have to foot.
//
// Everything that was not published is made up and says so: the shares of single towns, enterprises, projects and money.
package jincheng

import (
	_ "embed"
	"encoding/json"
)

//go:embed programme.json
var programmeJSON []byte

// programme is what was published of Jincheng's programme.
type programme struct {
	City     division   `json:"city"`
	Counties []division `json:"counties"`
	Towns    []struct {
		ID            string   `json:"id"`
		TitleZH       string   `json:"title_zh"`
		TitleEN       string   `json:"title_en"`
		Field         string   `json:"field"`
		IndustryCodes []string `json:"industry_codes"`
	} `json:"towns"`
	Totals2022 struct {
		OutputValueFen   int64 `json:"output_value_fen"`
		RevenueFen       int64 `json:"revenue_fen"`
		EmployeesPersons int64 `json:"employees_persons"`
	} `json:"totals_2022"`
	Goals2025 struct {
		MunicipalTowns  int64 `json:"municipal_towns"`
		ProvincialTowns int64 `json:"provincial_towns"`
	} `json:"goals_2025"`
}

type division struct {
	Code    string `json:"code"`
	TitleZH string `json:"title_zh"`
	TitleEN string `json:"title_en"`
}

func readProgramme() (*programme, error) {
	p := &programme{}
	return p, json.Unmarshal(programmeJSON, p)
}

const cityDivision = "140500"
