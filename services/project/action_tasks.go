package project

import (
	"context"

	"google.golang.org/genproto/googleapis/type/date"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

// CreateActionTask implements the ProjectTracking service.
func (s *Server) CreateActionTask(ctx context.Context, req *projectv1.CreateActionTaskRequest) (*projectv1.ActionTask, error) {
	name := "actionTasks/" + req.GetActionTaskId()
	if err := checkTask(name, req.GetActionTask()); err != nil {
		return nil, err
	}
	return s.timed(record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.ActionTask, error) {
		t := record.New(req.GetActionTask(), name)
		t.State = ActionTaskLifecycle.Initial
		return record.Create(tx, s.tasks, t)
	}))
}

// checkTask checks what callers say of a task.
func checkTask(name string, t *projectv1.ActionTask) error {
	if t.GetTown() != "" && !covers(authz.DivisionOf(name), authz.DivisionOf(t.GetTown())) {
		return fault.DivisionMismatch("action_task.town", t.GetTown(), name)
	}
	return record.CheckDate("action_task.due_date", t.GetDueDate())
}

// GetActionTask implements the ProjectTracking service.
func (s *Server) GetActionTask(ctx context.Context, req *projectv1.GetActionTaskRequest) (*projectv1.ActionTask, error) {
	return s.timed(record.Get(ctx, s.db, s.tasks, req.GetName()))
}

// ListActionTasks implements the ProjectTracking service.
func (s *Server) ListActionTasks(ctx context.Context, req *projectv1.ListActionTasksRequest) (*projectv1.ListActionTasksResponse, error) {
	today := civil.DateOf(s.db.Now())
	rows := authz.Rows(ctx, "actionTasks", req.GetDivision())
	tasks, next, err := record.ListWhere(ctx, s.db, s.tasks, rows, req, func(t *projectv1.ActionTask) bool {
		t.Overdue = taskOverdue(t, today)
		return matches(req.GetAction(), t.GetAction()) && matches(req.GetState(), t.GetState()) && matches(req.GetOverdue(), t.GetOverdue())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListActionTasksResponse{ActionTasks: tasks, NextPageToken: next}, nil
}

// UpdateActionTask implements the ProjectTracking service.
func (s *Server) UpdateActionTask(ctx context.Context, req *projectv1.UpdateActionTaskRequest) (*projectv1.ActionTask, error) {
	return s.timed(record.Patch(ctx, s.db, s.tasks, req, req.GetActionTask(), func(_ *journal.Tx, before, after *projectv1.ActionTask) error {
		if before.GetState() != taskOpen {
			return record.NotEditable(before.GetName(), before.GetState())
		}
		return checkTask(after.GetName(), after)
	}))
}

// CompleteActionTask implements the ProjectTracking service.
func (s *Server) CompleteActionTask(ctx context.Context, req *projectv1.CompleteActionTaskRequest) (*projectv1.ActionTask, error) {
	return s.stepTask(ctx, req, "complete")
}

// CancelActionTask implements the ProjectTracking service.
func (s *Server) CancelActionTask(ctx context.Context, req *projectv1.CancelActionTaskRequest) (*projectv1.ActionTask, error) {
	return s.stepTask(ctx, req, "cancel")
}

func (s *Server) stepTask(ctx context.Context, req record.StepRequest, verb string) (*projectv1.ActionTask, error) {
	return s.timed(record.Follow(ctx, s.db, s.tasks, req, ActionTaskLifecycle, verb, nil))
}

// timed says in the answer of a method whether the task is overdue. That is not stored.
func (s *Server) timed(t *projectv1.ActionTask, err error) (*projectv1.ActionTask, error) {
	if err != nil {
		return nil, err
	}
	t.Overdue = taskOverdue(t, civil.DateOf(s.db.Now()))
	return t, nil
}

// taskOverdue tells whether a task that is open is past its date. It is not on the day itself.
func taskOverdue(t *projectv1.ActionTask, today *date.Date) bool {
	return t.GetState() == taskOpen && civil.Compare(t.GetDueDate(), today) < 0
}
