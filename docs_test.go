package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/yizhen/yizhen/pkg/lifecycle"
	"github.com/yizhen/yizhen/services/access"
	"github.com/yizhen/yizhen/services/assessment"
	"github.com/yizhen/yizhen/services/fund"
	"github.com/yizhen/yizhen/services/project"
	"github.com/yizhen/yizhen/services/town"
)

var update = flag.Bool("update", false, "write the pages of docs/ that are made from the code")

// TestLifecyclePage holds docs/lifecycles.md against the tables that the handlers ask.
func TestLifecyclePage(t *testing.T) {
	var page strings.Builder
	page.WriteString(lifecyclesHead)
	drawn := map[protoreflect.FullName]bool{}
	for _, s := range lives() {
		fmt.Fprintf(&page, "\n## %s\n", s.title)
		for _, l := range s.lives {
			fmt.Fprintf(&page, "\n### %s\n\n%s\n\n```mermaid\n%s```\n", l.title, l.about, l.mermaid)
			drawn[l.of] = true
		}
	}
	for _, state := range states() {
		if !drawn[state] {
			t.Errorf("%s is a life that the page does not draw: add its table to lives", state)
		}
	}
	hold(t, filepath.Join("docs", "lifecycles.md"), page.String())
}

const lifecyclesHead = `# Lifecycles

Made from the tables in ` + "`services/*/lifecycle.go`" + ` by ` + "`make docs`" + `; a test fails when they differ. Do not edit.

Each arrow is a verb, and nearly each verb an RPC, over REST ` + "`POST /v1/{name}:{verb}`" + `; where a step of another resource
takes it, the text says so. A verb that the state does not permit is refused with ` + "`TRANSITION_NOT_PERMITTED`" + `, and the
refusal names the verbs that it does permit. Every step taken is kept in the resource, in ` + "`decisions`" + `: who took it, when,
why, and on which documents.
`

// section is what the page says of one service.
type section struct {
	title string
	lives []life
}

// life is one lifecycle as the page shows it.
type life struct {
	of                    protoreflect.FullName
	title, about, mermaid string
}

func draw[S protoreflect.Enum](title, about string, table lifecycle.Table[S]) life {
	return life{of: table.Initial.Descriptor().FullName(), title: title, about: about, mermaid: table.Mermaid()}
}

// lives are all lifecycles of the suite.
func lives() []section {
	return []section{
		{"Town registry", []life{
			draw("Designation (认定)", "A town at one level, municipal or provincial, from its application to the end of its term. "+
				"`designate` waits until the public notice has run, `lapse` until the term has.", town.DesignationLifecycle),
			draw("Report (统计报表)", "A town's figures of one period. What was published is never overwritten: `revise` "+
				"publishes other figures beside it.", town.ReportLifecycle),
		}},
		{"Project tracking", []life{
			draw("Project (项目)", "From planning to capacity. `resume` leads back to the state in which the project was suspended.",
				project.ProjectLifecycle),
			draw("Milestone (节点)", "What has to be reached by a day. The county reports it, an inspection accepts or rejects it, and whoever reported "+
				"one cannot accept it; the fund pays on accepted ones.", project.MilestoneLifecycle),
			draw("Progress report (月报)", "A month's investment. Verified, it counts in the project's figures.", project.ProgressReportLifecycle),
			draw("Lead (招商线索)", "An investor in sight. `convert` makes a project of a signed lead, and so takes the step `land`.", project.LeadLifecycle),
			draw("Factor request (要素申请)", "Land, energy or emissions that a project needs, taken from a pool that never goes below zero.",
				project.FactorRequestLifecycle),
			draw("Case (把脉问诊)", "A difficulty of an enterprise that somebody has to solve by a day.", project.CaseLifecycle),
			draw("Action task (行动任务)", "A piece of the six actions, with an owner and a day.", project.ActionTaskLifecycle),
		}},
		{"Special fund", []life{
			draw("Budget (年度预算)", "A year's money. Only under an adopted budget is money appropriated and approved.", fund.BudgetLifecycle),
			draw("Call (申报通知)", "The rules of one round of applications, fixed when it opens.", fund.CallLifecycle),
			draw("Application (申报)", "`approve` reserves the amount on the line, and `award` makes an award with its tranches.",
				fund.ApplicationLifecycle),
			draw("Tranche (分期)", "One payment of an award. `prove` needs the project service's word that the milestone was accepted; `send`, "+
				"`confirm` and `return` are steps of its disbursement, which it follows.", fund.TrancheLifecycle),
			draw("Disbursement (拨付)", "One attempt to pay a tranche. Whoever prepares, checks and sends it are three different principals.",
				fund.DisbursementLifecycle),
			draw("Recovery (追回)", "A demand for money that was paid.", fund.RecoveryLifecycle),
		}},
		{"Assessment", []life{
			draw("Indicator set (指标体系)", "What is measured, and how a figure becomes points. An adopted one does not change.",
				assessment.IndicatorSetLifecycle),
			draw("Campaign (考核)", "The assessment of all designated towns for one period. `collect` pins the journals that it reads; `score` "+
				"computes from what was collected alone.", assessment.CampaignLifecycle),
			draw("Appeal (申诉)", "An objection to a scorecard while the result is on notice.", assessment.AppealLifecycle),
		}},
		{"Access control", []life{
			draw("Principal (主体)", "A person or a system that calls. It is never deleted, since the journals name it.", access.PrincipalLifecycle),
			draw("API key (密钥)", "What a system calls with. `rotate` makes another key; the old one is accepted until the overlap is over.",
				access.APIKeyLifecycle),
			draw("Binding (授权)", "A role for a principal, for a place and a time. That it begins and expires is no step.", access.BindingLifecycle),
		}},
	}
}

// states returns every enum named State in the protos of the suite.
func states() (found []protoreflect.FullName) {
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "yizhen.") {
			return true
		}
		for i := range f.Messages().Len() {
			if e := f.Messages().Get(i).Enums().ByName("State"); e != nil {
				found = append(found, e.FullName())
			}
		}
		return true
	})
	slices.Sort(found)
	return found
}

// TestErrorsPage holds the list of reasons in docs/errors.md against the protos, which describe them, and against the
// gateway's own.
func TestErrorsPage(t *testing.T) {
	const begin, end = "<!-- reasons: made by `make docs` from the protos -->\n", "<!-- end of reasons -->\n"
	path := filepath.Join("docs", "errors.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no section between %q and %q", path, begin, end)
	}
	var list strings.Builder
	for _, service := range []string{"type", "town", "project", "fund", "assessment", "access", "maintenance"} {
		fmt.Fprintf(&list, "\n### `%s.yizhen`\n\n| reason | gRPC | HTTP | when, and what to do |\n|---|---|---|---|\n", service)
		for _, r := range reasons(t, service) {
			fmt.Fprintf(&list, "| `%s` | `%s` | %s | %s |\n", r.name, r.code, r.http, r.text)
		}
	}
	list.WriteString("\n")
	hold(t, path, before+begin+list.String()+end+after)

	source, err := os.ReadFile(filepath.Join("gateway", "faults.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range regexp.MustCompile(`reason: "([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(string(page), "`"+own[1]+"`") {
			t.Errorf("%s says nothing of the gateway's reason %s", path, own[1])
		}
	}
}

type reason struct{ name, code, http, text string }

var (
	reasonLine = regexp.MustCompile(`^REASON_([A-Z0-9_]+) = [1-9][0-9]*;$`)
	withCode   = regexp.MustCompile(`^([A-Z_]+): (.*)$`)
)

// reasons reads the enum Reason of a package: each value with the comment above it, which begins with the gRPC code.
func reasons(t *testing.T, service string) (found []reason) {
	t.Helper()
	file := "reasons.proto"
	if service == "type" {
		file = "errors.proto"
	}
	source, err := os.ReadFile(filepath.Join("proto", "yizhen", service, "v1", file))
	if err != nil {
		t.Fatal(err)
	}
	var comment []string
	for line := range strings.SplitSeq(string(source), "\n") {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "// "); ok {
			comment = append(comment, text)
			continue
		}
		if match := reasonLine.FindStringSubmatch(line); match != nil {
			told := withCode.FindStringSubmatch(strings.Join(comment, " "))
			if told == nil {
				t.Fatalf("%s: the comment of %s does not begin with a gRPC code", service, match[1])
			}
			found = append(found, reason{match[1], told[1], httpStatus(t, match[1], told[1]), capital(told[2])})
		}
		comment = nil
	}
	if len(found) == 0 {
		t.Fatalf("%s: there are no reasons", service)
	}
	return found
}

// httpStatus is what the gateway makes of a code.
func httpStatus(t *testing.T, reason, code string) string {
	t.Helper()
	var c codes.Code
	if err := c.UnmarshalJSON([]byte(`"` + code + `"`)); err != nil {
		t.Fatalf("%s: %v", reason, err)
	}
	switch reason {
	case "STALE_ETAG":
		return "412 if sent in `If-Match`, else 409"
	case "STORE_FULL", "NO_ROOM_FOR_BACKUP":
		return "507"
	case "CHANGE_TOO_LARGE":
		return "413"
	}
	return fmt.Sprint(runtime.HTTPStatusFromCode(c))
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// hold compares a page with what the code says, or with -update writes it.
func hold(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("%s is not what the code says: run `make docs` and look at the difference", path)
	}
}

// TestReadmeSession types the first session of each README into a shell, against a suite of its own.
func TestReadmeSession(t *testing.T) {
	for _, program := range []string{"bash", "curl", "awk"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	for _, readme := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(readme, func(t *testing.T) {
			page, err := os.ReadFile(readme)
			if err != nil {
				t.Fatal(err)
			}
			var session strings.Builder
			for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
				if strings.Contains(block[1], "api ") {
					session.WriteString(block[1])
				}
			}
			for _, refused := range regexp.MustCompile(`(?m)^\$ (api .*)$`).FindAllStringSubmatch(string(page), -1) {
				session.WriteString(refused[1] + "\n")
			}
			p := start(t,
				"serve", "--store", "bolt://"+t.TempDir(), "--listen", "127.0.0.1:0", "--town-listen", "127.0.0.1:0",
				"--project-listen", "127.0.0.1:0", "--fund-listen", "127.0.0.1:0", "--assessment-listen", "127.0.0.1:0", "--access-listen", "127.0.0.1:0",
			)
			url, token := p.await(`^REST +(\S+)`), p.await(`^admin token for this run: (\S+)`)
			typed := regexp.MustCompile(`(?m)^URL=\S+ TOKEN=.*$`).ReplaceAllString(session.String(), "URL="+url+" TOKEN="+token)
			out, err := exec.Command("bash", "-euo", "pipefail", "-c", typed).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, typed, out)
			}
			p.stop()
			for _, want := range []string{
				"Zezhou precision casting", "泽州铸造", "STALE_ETAG", "journals/town/changes/4", "TOWN_NOT_DESIGNATED", "尚无有效认定",
			} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the session shows no %s:\n%s", want, out)
				}
			}
			if n := strings.Count(string(out), `"status":`); n != 2 {
				t.Errorf("%d requests of the session are refused, and not the 2 that are meant to be:\n%s", n, out)
			}
		})
	}
}

// TestLinks follows the links between the pages.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "docs/guides/*.md", "deploy/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, path := range pages {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range link.FindAllStringSubmatch(string(page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), to[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, to[1])
			}
		}
	}
}
