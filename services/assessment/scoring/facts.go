package scoring

import "slices"

// Units of facts.
const (
	Fen     = "fen"
	Persons = "persons"
	Count   = "count"
	Flag    = "flag" // 1 or 0
)

// Fact is what an expression can use of a town. All facts are whole numbers.
type Fact struct {
	Name, Unit string
	// Source is the service that it is read from.
	Source string
	// Zh and En say what it is.
	Zh, En string
}

// PreviousPrefix stands before the name of a figure of the same period a year earlier.
const PreviousPrefix = "previous_"

// Facts returns the facts, in the order of their names. The comment of FactDefinition in the proto lists them too.
func Facts() []Fact {
	figures := []Fact{
		{"output_value_fen", Fen, "town", "产值", "Output value"},
		{"revenue_fen", Fen, "town", "营业收入", "Operating revenue"},
		{"employees_persons", Persons, "town", "从业人员", "People employed"},
		{"tax_fen", Fen, "town", "税收", "Tax paid"},
		{"exports_fen", Fen, "town", "出口交货值", "Goods delivered for export"},
		{"research_fen", Fen, "town", "研发经费支出", "Expenditure on research and development"},
		{"above_scale_enterprises", Count, "town", "规上企业数", "Enterprises above scale"},
	}
	facts := []Fact{
		{"report_published", Flag, "town", "本期数据已发布", "The period's report is published"},
		{"municipal_held", Flag, "town", "市级专业镇（含警示）", "The municipal designation is held, warned or not"},
		{"municipal_warned", Flag, "town", "市级认定被警示", "The municipal designation is under a warning"},
		{"provincial_held", Flag, "town", "省级专业镇（含警示）", "The provincial designation is held, warned or not"},
		{"provincial_warned", Flag, "town", "省级认定被警示", "The provincial designation is under a warning"},
		{"enterprises", Count, "town", "入驻企业数", "Enterprises in the registry"},
		{"leader_enterprises", Count, "town", "链主企业数", "Enterprises that lead the industry chain"},
		{"cooperatives", Count, "town", "合作社数", "Farmers' cooperatives"},
		{"high_tech_enterprises", Count, "town", "高新技术企业数", "High and new technology enterprises"},
		{"specialised_enterprises", Count, "town", "专精特新企业数", "Specialised enterprises that make new and unique products"},
		{"little_giants", Count, "town", "专精特新“小巨人”企业数", "Little giant enterprises"},
		{"champions", Count, "town", "制造业单项冠军数", "Single-product champions"},
		{"innovation_platforms", Count, "town", "创新平台数", "Platforms for innovation"},
		{"trademarks", Count, "town", "注册商标数", "Registered trademarks"},
		{"geographical_indications", Count, "town", "地理标志数", "Geographical indications"},
		{"standards", Count, "town", "参与制定标准数", "Standards in whose making the town took part"},
		{"certifications", Count, "town", "认证数", "Certifications"},
		{"projects", Count, "project", "项目数", "Projects"},
		{"projects_planned", Count, "project", "谋划项目数", "Projects that are planned"},
		{"projects_signed", Count, "project", "签约项目数", "Projects that are signed"},
		{"projects_approved", Count, "project", "已审批备案项目数", "Projects that are approved"},
		{"projects_started", Count, "project", "开工项目数", "Projects that have started"},
		{"projects_completed", Count, "project", "竣工项目数", "Projects that are completed"},
		{"projects_in_production", Count, "project", "投产项目数", "Projects in production"},
		{"projects_at_capacity", Count, "project", "达效项目数", "Projects at capacity"},
		{"projects_suspended", Count, "project", "暂停项目数", "Projects that are suspended"},
		{"projects_cancelled", Count, "project", "取消项目数", "Projects that were given up"},
		{"planned_investment_fen", Fen, "project", "项目计划总投资（不含取消）", "Planned investment of projects not given up"},
		{"actual_investment_fen", Fen, "project", "项目完成投资（不含取消）", "Actual investment of projects not given up"},
		{"awards", Count, "fund", "立项数", "Awards of the special fund"},
		{"awarded_fen", Fen, "fund", "立项资金（减核减）", "Awarded, less what was cut"},
		{"paid_fen", Fen, "fund", "已拨付资金（减追回）", "Paid, less what was recovered"},
		{"demanded_fen", Fen, "fund", "待追回资金", "Demanded back and not received"},
	}
	for _, f := range figures {
		facts = append(facts, f, Fact{
			Name: PreviousPrefix + f.Name, Unit: f.Unit, Source: f.Source,
			Zh: "上年同期" + f.Zh, En: f.En + " in the same period a year earlier",
		})
	}
	slices.SortFunc(facts, func(a, b Fact) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return facts
}
