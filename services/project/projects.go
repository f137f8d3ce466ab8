package project

import (
	"context"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/authz"
	"github.com/yizhen/yizhen/pkg/civil"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
	"github.com/yizhen/yizhen/services/project/lights"
)

// projectsByCode finds a project by its national project code.
var projectsByCode = store.Index[*projectv1.Project]{
	Name: "code",
	Keys: func(p *projectv1.Project) []string {
		if p.GetProjectCode() == "" {
			return nil
		}
		return []string{p.GetProjectCode()}
	},
}

// CreateProject implements the ProjectTracking service.
func (s *Server) CreateProject(ctx context.Context, req *projectv1.CreateProjectRequest) (*projectv1.Project, error) {
	if err := checkProject(req.GetProjectId(), req.GetProject()); err != nil {
		return nil, err
	}
	town, err := s.askTown(ctx, req, req.GetProject().GetTown())
	if err != nil {
		return nil, err
	}
	return s.lit(record.Do(ctx, s.db, req, func(tx *journal.Tx) (*projectv1.Project, error) {
		return s.enter(tx, record.New(req.GetProject(), "projects/"+req.GetProjectId()), town)
	}))
}

// checkProject checks what can be said of a new project from its request alone.
func checkProject(id string, p *projectv1.Project) error {
	if err := record.CheckDivision("project.town", p.GetTown(), id); err != nil {
		return err
	}
	return record.CheckCreditCode("project.enterprise_code", p.GetEnterpriseCode())
}

// enter stores a new project of a town that is there, as planned, and counts it.
func (s *Server) enter(tx *journal.Tx, p *projectv1.Project, town *typev1.Evidence) (*projectv1.Project, error) {
	if err := s.checkProjectCode(tx, p); err != nil {
		return nil, err
	}
	p.State, p.TownEvidence = ProjectLifecycle.Initial, town
	p, err := record.Create(tx, s.projects, p)
	if err != nil {
		return nil, err
	}
	return p, s.count(tx, nil, p, "")
}

// checkProjectCode refuses a project code that another project has.
func (s *Server) checkProjectCode(r store.Reader, p *projectv1.Project) error {
	if p.GetProjectCode() == "" {
		return nil
	}
	for other, err := range s.projects.ScanIndex(r, projectsByCode.Name, p.GetProjectCode(), "") {
		if err != nil {
			return err
		}
		if other.GetName() != p.GetName() {
			return projectCodeTaken(p.GetProjectCode(), other.GetName())
		}
	}
	return nil
}

// GetProject implements the ProjectTracking service.
func (s *Server) GetProject(ctx context.Context, req *projectv1.GetProjectRequest) (*projectv1.Project, error) {
	return s.lit(record.Get(ctx, s.db, s.projects, req.GetName()))
}

// ListProjects implements the ProjectTracking service.
func (s *Server) ListProjects(ctx context.Context, req *projectv1.ListProjectsRequest) (*projectv1.ListProjectsResponse, error) {
	today := civil.DateOf(s.db.Now())
	projects, next, err := record.ListWhere(ctx, s.db, s.projects, authz.Rows(ctx, "projects", req.GetDivision()), req, func(p *projectv1.Project) bool {
		s.light(p, today)
		return matches(req.GetTown(), p.GetTown()) && matches(req.GetState(), p.GetState()) && matches(req.GetLight(), p.GetLight())
	})
	if err != nil {
		return nil, err
	}
	return &projectv1.ListProjectsResponse{Projects: projects, NextPageToken: next}, nil
}

// matches tells whether a value is the one asked for; the zero value asks for any.
func matches[T comparable](asked, value T) bool {
	var anything T
	return asked == anything || asked == value
}

// UpdateProject implements the ProjectTracking service.
func (s *Server) UpdateProject(ctx context.Context, req *projectv1.UpdateProjectRequest) (*projectv1.Project, error) {
	return s.lit(record.Patch(ctx, s.db, s.projects, req, req.GetProject(), func(tx *journal.Tx, before, after *projectv1.Project) error {
		if before.GetState() == cancelled {
			return projectCancelled(before.GetName())
		}
		if err := record.CheckCreditCode("project.enterprise_code", after.GetEnterpriseCode()); err != nil {
			return err
		}
		if err := s.checkProjectCode(tx, after); err != nil {
			return err
		}
		return s.count(tx, before, after, "")
	}))
}

// SignProject implements the ProjectTracking service.
func (s *Server) SignProject(ctx context.Context, req *projectv1.SignProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "sign", nil)
}

// ApproveProject implements the ProjectTracking service.
func (s *Server) ApproveProject(ctx context.Context, req *projectv1.ApproveProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "approve", nil)
}

// StartProject implements the ProjectTracking service.
func (s *Server) StartProject(ctx context.Context, req *projectv1.StartProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "start", nil)
}

// CompleteProject implements the ProjectTracking service.
func (s *Server) CompleteProject(ctx context.Context, req *projectv1.CompleteProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "complete", nil)
}

// PutProjectIntoProduction implements the ProjectTracking service.
func (s *Server) PutProjectIntoProduction(ctx context.Context, req *projectv1.PutProjectIntoProductionRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "putIntoProduction", nil)
}

// ReachProjectCapacity implements the ProjectTracking service.
func (s *Server) ReachProjectCapacity(ctx context.Context, req *projectv1.ReachProjectCapacityRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "reachCapacity", func(_, p *projectv1.Project) error {
		if p.GetExpectedOutputFen() == 0 {
			return expectedOutputRequired(p.GetName())
		}
		p.ActualOutputFen = req.GetActualOutputFen()
		p.CapacityBp = lights.ShareBP(p.GetActualOutputFen(), p.GetExpectedOutputFen())
		return nil
	})
}

// SuspendProject implements the ProjectTracking service.
func (s *Server) SuspendProject(ctx context.Context, req *projectv1.SuspendProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "suspend", func(before, p *projectv1.Project) error {
		p.SuspendedState = before.GetState()
		return nil
	})
}

// ResumeProject implements the ProjectTracking service.
func (s *Server) ResumeProject(ctx context.Context, req *projectv1.ResumeProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "resume", func(_, p *projectv1.Project) error {
		p.State, p.SuspendedState = p.GetSuspendedState(), projectv1.Project_STATE_UNSPECIFIED
		return nil
	})
}

// CancelProject implements the ProjectTracking service.
func (s *Server) CancelProject(ctx context.Context, req *projectv1.CancelProjectRequest) (*projectv1.Project, error) {
	return s.stepProject(ctx, req, "cancel", nil)
}

// stepProject takes a step in the life of a project and counts it. What more there is to the step, more does; it sees the
// project before and after.
func (s *Server) stepProject(ctx context.Context, req record.StepRequest, verb string, more func(before, p *projectv1.Project) error) (*projectv1.Project, error) {
	return s.lit(record.Step(ctx, s.db, s.projects, req, func(tx *journal.Tx, p *projectv1.Project) error {
		before := proto.Clone(p).(*projectv1.Project)
		if err := record.Advance(ctx, tx, req, ProjectLifecycle, verb, p); err != nil {
			return err
		}
		if more != nil {
			if err := more(before, p); err != nil {
				return err
			}
		}
		return s.count(tx, before, p, verb)
	}))
}

// going reads a project to which something is to be added, or in which something is to go on.
func (s *Server) going(r store.Reader, name string) (*projectv1.Project, error) {
	p, err := record.Load(r, s.projects, name)
	if err == nil && p.GetState() == cancelled {
		err = projectCancelled(name)
	}
	return p, err
}

// lit gives the answer of a method the light of the day. Lights are not stored.
func (s *Server) lit(p *projectv1.Project, err error) (*projectv1.Project, error) {
	if err != nil {
		return nil, err
	}
	s.light(p, civil.DateOf(s.db.Now()))
	return p, nil
}

func (s *Server) light(p *projectv1.Project, today *date.Date) {
	entered := civil.DateOf(p.GetCreateTime().AsTime())
	p.Light, p.LightCauses = lights.Of(p, today, lights.In(s.editions, entered))
}
