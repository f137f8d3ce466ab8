package jincheng

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// show reads back what came of the year, as the audit office would, and prints it. It fails if any figure does not foot.
func (s *story) show(ctx context.Context) error {
	var problems []error
	for _, show := range []func(context.Context) error{
		s.showTotals, s.showProjects, s.showFund, s.showRanking, s.showGoals, s.showJournals,
	} {
		problems = append(problems, show(ctx))
	}
	err := errors.Join(problems...)
	if err == nil {
		fmt.Fprintf(s.w, "\nAll figures foot, to the fen: %d calls over REST.\n", s.rest.calls)
	}
	return err
}

// foot compares a figure with what it has to be.
func foot(what string, got, want int64) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s does not foot: it is %d and should be %d", what, got, want)
}

func (s *story) showTotals(ctx context.Context) error {
	answer := &townv1.SummarizeReportsResponse{}
	if err := s.rest.get(ctx, auditOffice, "/v1/reports:summarize?period=2022", answer); err != nil {
		return err
	}
	t := &table{
		title: "Figures of 2022 by county and field (2022年主要指标): output and revenue in 亿元; shares of single towns are made up",
		head:  []string{"county", "field", "towns", "output", "revenue", "employees"},
		right: []bool{false, false, true, true, true, true},
	}
	var output, revenue, employees int64
	for _, total := range answer.GetTotals() {
		f := total.GetFigures()
		t.add(s.countyTitle(total.GetDivision()), fieldTitle(total.GetField()), fmt.Sprint(total.GetTownCount()),
			yiYuan(f.GetOutputValueFen()), yiYuan(f.GetRevenueFen()), thousands(f.GetEmployeesPersons()))
		output += f.GetOutputValueFen()
		revenue += f.GetRevenueFen()
		employees += f.GetEmployeesPersons()
	}
	published := s.Totals2022
	t.foot = []string{"all", "", fmt.Sprint(answer.GetTownCount()), yiYuan(output), yiYuan(revenue), thousands(employees)}
	t.print(s.w)
	fmt.Fprintf(s.w, "published: %s and %s 亿元, %s people\n",
		yiYuan(published.OutputValueFen), yiYuan(published.RevenueFen), thousands(published.EmployeesPersons))
	sum := answer.GetSum()
	return errors.Join(
		foot("the number of towns", int64(answer.GetTownCount()), int64(len(s.Towns))),
		foot("output value in fen", output, published.OutputValueFen),
		foot("revenue in fen", revenue, published.RevenueFen),
		foot("employees", employees, published.EmployeesPersons),
		foot("the registry's sum of output value", sum.GetOutputValueFen(), output),
		foot("the registry's sum of revenue", sum.GetRevenueFen(), revenue),
		foot("the registry's sum of employees", sum.GetEmployeesPersons(), employees),
	)
}

func (s *story) countyTitle(code string) string {
	for _, c := range s.Counties {
		if c.Code == code {
			return c.TitleZH + " " + c.TitleEN
		}
	}
	return code
}

func fieldTitle(f townv1.Field) string {
	switch f {
	case townv1.Field_FIELD_MANUFACTURING:
		return "先进制造 manufacturing"
	case townv1.Field_FIELD_SPECIALTY_AGRICULTURE:
		return "特色农业 specialty agriculture"
	case townv1.Field_FIELD_LIGHT_INDUSTRY_AND_CRAFTS:
		return "轻工工艺 light industry and crafts"
	}
	return f.String()
}

func (s *story) showProjects(ctx context.Context) error {
	t := &table{
		title: "Projects (重点项目): investment in 万元, verified; the light is that of the day",
		head:  []string{"project", "", "state", "light", "planned", "invested"},
		right: []bool{false, false, false, false, true, true},
	}
	var planned, invested, wantPlanned, wantInvested int64
	for _, v := range ventures() {
		p := &projectv1.Project{}
		if err := s.rest.get(ctx, auditOffice, "/v1/projects/"+v.id, p); err != nil {
			return err
		}
		t.add(v.id, p.GetTitleZh(), strings.TrimPrefix(p.GetState().String(), "STATE_"), strings.TrimPrefix(p.GetLight().String(), "LIGHT_"),
			thousands(p.GetPlannedInvestmentFen()/fenPerWanYuan), thousands(p.GetActualInvestmentFen()/fenPerWanYuan))
		planned += p.GetPlannedInvestmentFen()
		invested += p.GetActualInvestmentFen()
		wantPlanned += v.planned * fenPerWanYuan
		for _, m := range v.monthly {
			wantInvested += m * fenPerWanYuan
		}
	}
	t.foot = []string{"all", "", "", "", thousands(planned / fenPerWanYuan), thousands(invested / fenPerWanYuan)}
	t.print(s.w)
	return errors.Join(foot("planned investment in fen", planned, wantPlanned), foot("verified investment in fen", invested, wantInvested))
}

func (s *story) showFund(ctx context.Context) error {
	answer := &fundv1.ComputeTrialBalanceResponse{}
	if err := s.rest.get(ctx, auditOffice, "/v1/accounts:computeTrialBalance?budget="+url.QueryEscape(budget), answer); err != nil {
		return err
	}
	t := &table{
		title: "Special fund by stage (专项资金各环节余额): yuan",
		head:  []string{"stage", "", "debit", "credit", "balance"},
		right: []bool{false, false, true, true, true},
	}
	var debit, credit, balance int64
	at := map[fundv1.Stage]int64{}
	for _, row := range answer.GetRows() {
		t.add(stageTitle(row.GetStage()), strings.ToLower(strings.TrimPrefix(row.GetStage().String(), "STAGE_")),
			yuan(row.GetDebitFen()), yuan(row.GetCreditFen()), yuan(row.GetBalanceFen()))
		debit += row.GetDebitFen()
		credit += row.GetCreditFen()
		balance += row.GetBalanceFen()
		at[row.GetStage()] = row.GetBalanceFen()
	}
	t.foot = []string{"all", "", yuan(debit), yuan(credit), yuan(balance)}
	t.print(s.w)
	return errors.Join(
		foot("credits", credit, debit),
		foot("the balance of the ledger", balance, 0),
		foot("the ledger's own sum of debits", answer.GetDebitFen(), debit),
		foot("the ledger's own sum of credits", answer.GetCreditFen(), credit),
		s.footFund(ctx, at),
	)
}

// footFund holds the stages against the budget, and against the awards and tranches that make them up.
func (s *story) footFund(ctx context.Context, at map[fundv1.Stage]int64) error {
	b := &fundv1.Budget{}
	if err := s.rest.get(ctx, auditOffice, "/v1/"+budget, b); err != nil {
		return err
	}
	var sources int64
	for _, source := range b.GetSources() {
		sources += source.GetAmountFen()
	}
	var awarded, paid int64
	for _, v := range awardees() {
		a := &fundv1.Award{}
		if err := s.rest.get(ctx, auditOffice, "/v1/awards/"+v.id, a); err != nil {
			return err
		}
		awarded += a.GetAmountFen()
		paid += a.GetPaidFen()
	}
	return errors.Join(
		foot("what the budget has given", -at[fundv1.Stage_STAGE_SOURCES], sources),
		foot("what is awarded and not proven", at[fundv1.Stage_STAGE_AWARDED], awarded-paid),
		foot("what is payable", at[fundv1.Stage_STAGE_PAYABLE], 0),
		foot("what is in transit", at[fundv1.Stage_STAGE_IN_TRANSIT], 0),
		foot("what is paid", at[fundv1.Stage_STAGE_PAID], paid),
	)
}

func stageTitle(stage fundv1.Stage) string {
	switch stage {
	case fundv1.Stage_STAGE_SOURCES:
		return "资金来源"
	case fundv1.Stage_STAGE_APPROPRIATION:
		return "预算未下达"
	case fundv1.Stage_STAGE_AVAILABLE:
		return "指标可用"
	case fundv1.Stage_STAGE_RESERVED:
		return "已批待立项"
	case fundv1.Stage_STAGE_AWARDED:
		return "已立项"
	case fundv1.Stage_STAGE_PAYABLE:
		return "待拨付"
	case fundv1.Stage_STAGE_IN_TRANSIT:
		return "在途"
	case fundv1.Stage_STAGE_PAID:
		return "已拨付"
	case fundv1.Stage_STAGE_RECOVERED:
		return "已追回"
	}
	return stage.String()
}

func (s *story) showRanking(ctx context.Context) error {
	answer := &assessmentv1.RankScorecardsResponse{}
	if err := s.rest.get(ctx, auditOffice, "/v1/"+campaign+"/scorecards:rank", answer); err != nil {
		return err
	}
	t := &table{
		title: "Ranking of 2022 by field (2022年度考核排名): points; the scores rest on the made-up shares",
		head:  []string{"field", "rank", "town", "", "points", "tier"},
		right: []bool{false, true, false, false, true, false},
	}
	var ranked int64
	var problems []error
	for _, ranking := range answer.GetRankings() {
		for _, town := range ranking.GetTowns() {
			t.add(fieldTitle(ranking.GetField()), fmt.Sprint(town.GetRank()), town.GetTitleZh(), town.GetTitleEn(),
				fmt.Sprintf("%d.%02d", town.GetTotalHundredths()/100, town.GetTotalHundredths()%100), town.GetTier())
			ranked++
			problems = append(problems, s.verifyScorecard(ctx, town.GetTown()))
		}
	}
	t.print(s.w)
	fmt.Fprintln(s.w, "every score was computed again from its stored facts")
	return errors.Join(append(problems, foot("the number of ranked towns", ranked, int64(len(s.Towns))))...)
}

func (s *story) verifyScorecard(ctx context.Context, town string) error {
	answer := &assessmentv1.VerifyScorecardResponse{}
	path := "/v1/" + campaign + "/scorecards/" + strings.TrimPrefix(town, "towns/") + ":verify"
	if err := s.rest.get(ctx, auditOffice, path, answer); err != nil {
		return err
	}
	if !answer.GetEqual() {
		return fmt.Errorf("the scorecard of %s, computed again, differs in %d places", town, len(answer.GetDifferences()))
	}
	return nil
}

func (s *story) showGoals(ctx context.Context) error {
	t := &table{
		title: "Goals for 2025 (2025年目标)",
		head:  []string{"goal", "", "target", "now", "attained"},
		right: []bool{false, false, true, true, true},
	}
	var problems []error
	for _, goal := range []struct {
		name      string
		now, goal int64
	}{
		{"goals/2025-municipal-towns", int64(len(s.Towns)), s.Goals2025.MunicipalTowns},
		{"goals/2025-provincial-towns", 0, s.Goals2025.ProvincialTowns},
	} {
		answer := &assessmentv1.EvaluateGoalResponse{}
		if err := s.rest.get(ctx, auditOffice, "/v1/"+goal.name+":evaluate", answer); err != nil {
			return err
		}
		g := answer.GetGoal()
		t.add(g.GetTitleZh(), g.GetTitleEn(), fmt.Sprint(g.GetTargetValue()), fmt.Sprint(answer.GetCurrentValue()),
			fmt.Sprintf("%d %%", answer.GetAttainmentBp()/100))
		problems = append(problems,
			foot("the target of "+goal.name, g.GetTargetValue(), goal.goal),
			foot("the count of "+goal.name, answer.GetCurrentValue(), goal.now))
	}
	t.print(s.w)
	return errors.Join(problems...)
}

func (s *story) showJournals(ctx context.Context) error {
	t := &table{
		title: "Journals (日志链): every hash was computed again",
		head:  []string{"journal", "changes", "hash of the head"},
		right: []bool{false, true, false},
	}
	for _, name := range []string{"town", "project", "fund", "assessment"} {
		head, whole := &journalv1.Head{}, &journalv1.VerifyRangeResponse{}
		if err := s.rest.get(ctx, auditOffice, "/v1/journals/"+name+":head", head); err != nil {
			return err
		}
		if err := s.rest.get(ctx, auditOffice, "/v1/journals/"+name+":verifyRange", whole); err != nil {
			return err
		}
		if string(whole.GetHash()) != string(head.GetHash()) {
			return fmt.Errorf("the journal of %s ends with %s, and its head says %s", name,
				hex.EncodeToString(whole.GetHash()), hex.EncodeToString(head.GetHash()))
		}
		t.add(name, fmt.Sprint(head.GetRevision()), hex.EncodeToString(whole.GetHash()))
	}
	t.print(s.w)
	return nil
}
