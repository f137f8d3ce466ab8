package project_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/yizhen/yizhen/pkg/lifecycle"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project"
)

// verbsOf returns the verbs that the methods of a collection carry out, by the permissions that they declare.
func verbsOf(t *testing.T, collection string) []string {
	t.Helper()
	var verbs []string
	methods := projectv1.File_yizhen_project_v1_project_tracking_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		access := proto.GetExtension(methods.Get(i).Options(), typev1.E_Access).(*typev1.Access)
		verb, found := strings.CutPrefix(access.GetPermission(), "project."+collection+".")
		if found && !slices.Contains([]string{"create", "get", "list", "update", "summarize"}, verb) {
			verbs = append(verbs, verb)
		}
	}
	slices.Sort(verbs)
	return verbs
}

// Every verb of a table has its method and every method its verb, and every state can be reached.
func check[S protoreflect.Enum](t *testing.T, collection string, life lifecycle.Table[S], states protoreflect.EnumDescriptor) {
	t.Run(collection, func(t *testing.T) {
		verbs := life.Verbs()
		if i := slices.Index(verbs, "land"); i >= 0 {
			verbs[i] = "convert" // the method is named for what it makes of the lead
		}
		slices.Sort(verbs)
		if methods := verbsOf(t, collection); !slices.Equal(verbs, methods) {
			t.Errorf("the table has the verbs %v, the service %v", verbs, methods)
		}
		reached := map[protoreflect.EnumNumber]bool{life.Initial.Number(): true}
		for range life.Steps {
			for _, step := range life.Steps {
				for _, from := range step.From {
					if reached[from.Number()] {
						reached[step.To.Number()] = true
					}
				}
			}
		}
		for i := range states.Values().Len() {
			if n := states.Values().Get(i).Number(); n != 0 && !reached[n] {
				t.Errorf("nothing leads to %v", states.Values().Get(i).Name())
			}
		}
	})
}

func TestLifecycles(t *testing.T) {
	check(t, "projects", project.ProjectLifecycle, projectv1.Project_State(0).Descriptor())
	check(t, "milestones", project.MilestoneLifecycle, projectv1.Milestone_State(0).Descriptor())
	check(t, "progressReports", project.ProgressReportLifecycle, projectv1.ProgressReport_State(0).Descriptor())
	check(t, "leads", project.LeadLifecycle, projectv1.Lead_State(0).Descriptor())
	check(t, "factorRequests", project.FactorRequestLifecycle, projectv1.FactorRequest_State(0).Descriptor())
	check(t, "cases", project.CaseLifecycle, projectv1.Case_State(0).Descriptor())
	check(t, "actionTasks", project.ActionTaskLifecycle, projectv1.ActionTask_State(0).Descriptor())
}
