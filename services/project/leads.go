package project

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// CreateLead implements the ProjectTracking service.
func (s *Server) CreateLead(ctx context.Context, req *projectv1.CreateLeadRequest) (*projectv1.Lead, error) {
	if err := record.CheckDivision("lead.town", req.GetLead().GetTown(), req.GetLeadId()); err != nil {
		return nil, err
	}
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.Lead, error) {
		l := record.New(req.GetLead(), "leads/"+req.GetLeadId())
		l.State = LeadLifecycle.Initial
		return record.Create(tx, s.leads, l)
	})
}

// GetLead implements the ProjectTracking service.
func (s *Server) GetLead(ctx context.Context, req *projectv1.GetLeadRequest) (*projectv1.Lead, error) {
	return record.Get(ctx, s.db, s.leads, req.GetName())
}

// ListLeads implements the ProjectTracking service.
func (s *Server) ListLeads(ctx context.Context, req *projectv1.ListLeadsRequest) (*projectv1.ListLeadsResponse, error) {
	leads, next, err := record.ListWhere(ctx, s.db, s.leads, authz.Rows(ctx, "leads", req.GetDivision()), req, func(l *projectv1.Lead) bool {
		return matches(req.GetTown(), l.GetTown()) && matches(req.GetState(), l.GetState())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListLeadsResponse{Leads: leads, NextPageToken: next}, nil
}

// UpdateLead implements the ProjectTracking service.
func (s *Server) UpdateLead(ctx context.Context, req *projectv1.UpdateLeadRequest) (*projectv1.Lead, error) {
	return record.Patch(ctx, s.db, s.leads, req, req.GetLead(), func(_ *journal.Tx, before, _ *projectv1.Lead) error {
		if state := before.GetState(); state == landed || state == lost {
			return record.NotEditable(before.GetName(), state)
		}
		return nil
	})
}

// ContactLead implements the ProjectTracking service.
func (s *Server) ContactLead(ctx context.Context, req *projectv1.ContactLeadRequest) (*projectv1.Lead, error) {
	return s.stepLead(ctx, req, "contact")
}

// NegotiateLead implements the ProjectTracking service.
func (s *Server) NegotiateLead(ctx context.Context, req *projectv1.NegotiateLeadRequest) (*projectv1.Lead, error) {
	return s.stepLead(ctx, req, "negotiate")
}

// SignLead implements the ProjectTracking service.
func (s *Server) SignLead(ctx context.Context, req *projectv1.SignLeadRequest) (*projectv1.Lead, error) {
	return s.stepLead(ctx, req, "sign")
}

// LoseLead implements the ProjectTracking service.
func (s *Server) LoseLead(ctx context.Context, req *projectv1.LoseLeadRequest) (*projectv1.Lead, error) {
	return s.stepLead(ctx, req, "lose")
}

func (s *Server) stepLead(ctx context.Context, req record.StepRequest, verb string) (*projectv1.Lead, error) {
	return record.Follow(ctx, s.db, s.leads, req, LeadLifecycle, verb, nil)
}

// ConvertLead implements the ProjectTracking service.
func (s *Server) ConvertLead(ctx context.Context, req *projectv1.ConvertLeadRequest) (*projectv1.Project, error) {
	if err := record.CheckDivision("project_id", req.GetName(), req.GetProjectId()); err != nil {
		return nil, err
	}
	if err := checkProject(req.GetProjectId(), req.GetProject()); err != nil {
		return nil, err
	}
	town, err := s.askTown(ctx, req, req.GetProject().GetTown())
	if err != nil {
		return nil, err
	}
	return s.lit(record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.Project, error) {
		l, err := s.land(ctx, tx, req)
		if err != nil {
			return nil, err
		}
		return s.enterSigned(ctx, tx, l, req, town)
	}))
}

// land takes the last step of a lead, which from then on names its project.
func (s *Server) land(ctx context.Context, tx *journal.Tx, req *projectv1.ConvertLeadRequest) (*projectv1.Lead, error) {
	l, err := record.Load(tx, s.leads, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := record.CheckETag(l, req.GetEtag()); err != nil {
		return nil, err
	}
	if err := record.Advance(ctx, tx, req, LeadLifecycle, "land", l); err != nil {
		return nil, err
	}
	if req.GetProject().GetTown() != l.GetTown() {
		return nil, townMismatch("project.town", l.GetName(), l.GetTown())
	}
	l.Project = "projects/" + req.GetProjectId()
	return record.Save(tx, s.leads, l)
}

// enterSigned enters the project that a lead becomes. As the contract is signed already, so is the project.
func (s *Server) enterSigned(ctx context.Context, tx *journal.Tx, l *projectv1.Lead, req *projectv1.ConvertLeadRequest, town *typev1.Evidence) (*projectv1.Project, error) {
	p := record.New(req.GetProject(), l.GetProject())
	p.Lead = l.GetName()
	p, err := s.enter(tx, p, town)
	if err != nil {
		return nil, err
	}
	before := proto.Clone(p).(*projectv1.Project)
	if err := record.Advance(ctx, tx, req, ProjectLifecycle, "sign", p); err != nil {
		return nil, err
	}
	if err := s.count(tx, before, p, "sign"); err != nil {
		return nil, err
	}
	return record.Save(tx, s.projects, p)
}
