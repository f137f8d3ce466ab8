package project_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/yizhen/yizhen/pkg/civil"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestActionTasks(t *testing.T) {
	w := newWorld(t)
	call := must[*projectv1.ActionTask](t)
	sent := &projectv1.ActionTask{
		Action: typev1.Action_ACTION_QUALITY_AND_BRANDS, Title: "Join two national standards", Owner: "Market regulation",
		DueDate: civil.New(2023, 7, 31), Town: casting,
	}
	task := call(w.as(zezhou).CreateActionTask(t.Context(), &projectv1.CreateActionTaskRequest{ActionTaskId: "140525-standards", ActionTask: sent}))
	whole := call(w.as(city).CreateActionTask(t.Context(), &projectv1.CreateActionTaskRequest{ActionTaskId: "140500-fair", ActionTask: sent}))
	_, err := w.as(zezhou).CreateActionTask(t.Context(), &projectv1.CreateActionTaskRequest{ActionTaskId: "140500-mine", ActionTask: sent})
	refused(t, err, codes.PermissionDenied, "OUTSIDE_DIVISION", "")
	_, err = w.as(gaoping).CreateActionTask(t.Context(), &projectv1.CreateActionTaskRequest{ActionTaskId: "140581-standards", ActionTask: sent})
	refused(t, err, codes.InvalidArgument, "DIVISION_MISMATCH", "action_task.town")

	w.clock.Set(noon(2023, 8, 1))
	overdue := func() int {
		t.Helper()
		list := must[*projectv1.ListActionTasksResponse](t)(w.as(city).ListActionTasks(t.Context(), &projectv1.ListActionTasksRequest{
			Overdue: true, Action: typev1.Action_ACTION_QUALITY_AND_BRANDS,
		}))
		return len(list.GetActionTasks())
	}
	if got := overdue(); got != 2 {
		t.Errorf("%d tasks are overdue, want 2", got)
	}
	moved := call(w.as(city).UpdateActionTask(t.Context(), &projectv1.UpdateActionTaskRequest{ActionTask: &projectv1.ActionTask{Name: whole.GetName(), DueDate: civil.New(2023, 8, 1)}}))
	if moved.GetOverdue() || moved.GetTitle() != sent.GetTitle() {
		t.Errorf("moved to %v", moved)
	}
	done := call(w.as(zezhou).CompleteActionTask(t.Context(), &projectv1.CompleteActionTaskRequest{Name: task.GetName(), Documents: paper()}))
	if done.GetState() != projectv1.ActionTask_STATE_DONE || done.GetOverdue() || len(done.GetDecisions()) != 1 {
		t.Errorf("done as %v", done)
	}
	if got := overdue(); got != 0 {
		t.Errorf("%d tasks are overdue, want none", got)
	}
	_, err = w.as(zezhou).CancelActionTask(t.Context(), &projectv1.CancelActionTaskRequest{Name: task.GetName(), Reason: "x"})
	refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")
	_, err = w.as(zezhou).UpdateActionTask(t.Context(), &projectv1.UpdateActionTaskRequest{ActionTask: &projectv1.ActionTask{Name: task.GetName(), Owner: "x"}})
	refused(t, err, codes.FailedPrecondition, "NOT_EDITABLE", "")
	gone := call(w.as(city).CancelActionTask(t.Context(), &projectv1.CancelActionTaskRequest{Name: whole.GetName(), Reason: "no fair this year"}))
	if gone.GetState() != projectv1.ActionTask_STATE_CANCELLED {
		t.Errorf("cancelled as %v", gone)
	}
}
