package project

import (
	"context"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

// CreateCase implements the ProjectTracking service.
func (s *Server) CreateCase(ctx context.Context, req *projectv1.CreateCaseRequest) (*projectv1.Case, error) {
	sent := req.GetCase()
	if err := record.CheckDivision("case.town", sent.GetTown(), req.GetCaseId()); err != nil {
		return nil, err
	}
	if err := checkCase(sent); err != nil {
		return nil, err
	}
	return s.watched(record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.Case, error) {
		if sent.GetProject() != "" {
			p, err := record.Refer(tx, s.projects, "case.project", sent.GetProject())
			if err != nil {
				return nil, err
			}
			if p.GetTown() != sent.GetTown() {
				return nil, townMismatch("case.project", p.GetName(), p.GetTown())
			}
		}
		c := record.New(sent, "cases/"+req.GetCaseId())
		c.State, c.Level = CaseLifecycle.Initial, projectv1.Case_LEVEL_COUNTY
		return record.Create(tx, s.cases, c)
	}))
}

// checkCase checks what callers say of a case.
func checkCase(c *projectv1.Case) error {
	if err := record.CheckCreditCode("case.enterprise_code", c.GetEnterpriseCode()); err != nil {
		return err
	}
	return record.CheckDate("case.due_date", c.GetDueDate())
}

// GetCase implements the ProjectTracking service.
func (s *Server) GetCase(ctx context.Context, req *projectv1.GetCaseRequest) (*projectv1.Case, error) {
	return s.watched(record.Get(ctx, s.db, s.cases, req.GetName()))
}

// ListCases implements the ProjectTracking service.
func (s *Server) ListCases(ctx context.Context, req *projectv1.ListCasesRequest) (*projectv1.ListCasesResponse, error) {
	today := civil.DateOf(s.db.Now())
	cases, next, err := record.ListWhere(ctx, s.db, s.cases, authz.Rows(ctx, "cases", req.GetDivision()), req, func(c *projectv1.Case) bool {
		c.Overdue = caseOverdue(c, today)
		return matches(req.GetTown(), c.GetTown()) && matches(req.GetState(), c.GetState()) && matches(req.GetOverdue(), c.GetOverdue())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListCasesResponse{Cases: cases, NextPageToken: next}, nil
}

// UpdateCase implements the ProjectTracking service.
func (s *Server) UpdateCase(ctx context.Context, req *projectv1.UpdateCaseRequest) (*projectv1.Case, error) {
	return s.watched(record.Patch(ctx, s.db, s.cases, req, req.GetCase(), func(_ *journal.Tx, before, after *projectv1.Case) error {
		state := before.GetState()
		if state == resolved || state == confirmed {
			return record.NotEditable(before.GetName(), state)
		}
		if state != raised && !proto.Equal(before.GetDueDate(), after.GetDueDate()) {
			return dueDateFixed(before.GetName(), state)
		}
		return checkCase(after)
	}))
}

// AssignCase implements the ProjectTracking service.
func (s *Server) AssignCase(ctx context.Context, req *projectv1.AssignCaseRequest) (*projectv1.Case, error) {
	return s.stepCase(ctx, req, "assign", func(c *projectv1.Case, today *date.Date) error {
		c.Owner = req.GetOwner()
		if req.GetDueDate() == nil {
			return nil
		}
		return postpone(c, req.GetDueDate(), today)
	})
}

// FollowUpCase implements the ProjectTracking service.
func (s *Server) FollowUpCase(ctx context.Context, req *projectv1.FollowUpCaseRequest) (*projectv1.Case, error) {
	return s.stepCase(ctx, req, "followUp", nil)
}

// ResolveCase implements the ProjectTracking service.
func (s *Server) ResolveCase(ctx context.Context, req *projectv1.ResolveCaseRequest) (*projectv1.Case, error) {
	return s.stepCase(ctx, req, "resolve", func(c *projectv1.Case, _ *date.Date) error {
		c.Resolution = req.GetReason()
		return nil
	})
}

// ConfirmCase implements the ProjectTracking service.
func (s *Server) ConfirmCase(ctx context.Context, req *projectv1.ConfirmCaseRequest) (*projectv1.Case, error) {
	return s.stepCase(ctx, req, "confirm", nil)
}

// ReopenCase implements the ProjectTracking service.
func (s *Server) ReopenCase(ctx context.Context, req *projectv1.ReopenCaseRequest) (*projectv1.Case, error) {
	return s.stepCase(ctx, req, "reopen", func(c *projectv1.Case, _ *date.Date) error {
		c.Resolution = ""
		return nil
	})
}

// EscalateCase implements the ProjectTracking service.
func (s *Server) EscalateCase(ctx context.Context, req *projectv1.EscalateCaseRequest) (*projectv1.Case, error) {
	return s.stepCase(ctx, req, "escalate", func(c *projectv1.Case, today *date.Date) error {
		switch {
		case !caseOverdue(c, today):
			return notOverdue(c.GetName(), c.GetDueDate())
		case c.GetLevel() == projectv1.Case_LEVEL_LEADING_GROUP:
			return topLevel(c.GetName())
		}
		c.Level++ // the enum is in the order of levels
		return postpone(c, req.GetDueDate(), today)
	})
}

// postpone gives a case a new date, which has to lie ahead.
func postpone(c *projectv1.Case, due, today *date.Date) error {
	if err := checkAhead("due_date", due, today); err != nil {
		return err
	}
	c.DueDate = due
	return nil
}

// stepCase takes a step in the life of a case. What more there is to the step, more does.
func (s *Server) stepCase(ctx context.Context, req record.StepRequest, verb string, more func(c *projectv1.Case, today *date.Date) error) (*projectv1.Case, error) {
	return s.watched(record.Follow(ctx, s.db, s.cases, req, CaseLifecycle, verb, func(tx *journal.Tx, c *projectv1.Case) error {
		if more == nil {
			return nil
		}
		return more(c, civil.DateOf(tx.Now()))
	}))
}

// watched says in the answer of a method whether the case is overdue. That is not stored.
func (s *Server) watched(c *projectv1.Case, err error) (*projectv1.Case, error) {
	if err != nil {
		return nil, err
	}
	c.Overdue = caseOverdue(c, civil.DateOf(s.db.Now()))
	return c, nil
}

// caseOverdue tells whether a case that is not resolved is past its date. It is not on the day itself.
func caseOverdue(c *projectv1.Case, today *date.Date) bool {
	state := c.GetState()
	return state != resolved && state != confirmed && civil.Compare(c.GetDueDate(), today) < 0
}
