package project_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	projectv1 "github.com/yizhen/yizhen/proto/yizhen/project/v1"
)

func (w *world) lead(id string) *projectv1.Lead {
	w.t.Helper()
	return must[*projectv1.Lead](w.t)(w.as(zezhou).CreateLead(w.t.Context(), &projectv1.CreateLeadRequest{LeadId: id, Lead: &projectv1.Lead{
		Town: casting, Title: "Moulding sand", Investor: "A firm from Ningbo", IntendedInvestmentFen: 50_000_000_00,
	}}))
}

func (w *world) signLead(name string) *projectv1.Lead {
	w.t.Helper()
	must[*projectv1.Lead](w.t)(w.as(zezhou).ContactLead(w.t.Context(), &projectv1.ContactLeadRequest{Name: name}))
	must[*projectv1.Lead](w.t)(w.as(zezhou).NegotiateLead(w.t.Context(), &projectv1.NegotiateLeadRequest{Name: name}))
	return must[*projectv1.Lead](w.t)(w.as(zezhou).SignLead(w.t.Context(), &projectv1.SignLeadRequest{Name: name, Documents: paper()}))
}

func TestLeadBecomesAProject(t *testing.T) {
	w := newWorld(t)
	l := w.lead("140525-sand")
	convert := &projectv1.ConvertLeadRequest{Name: l.GetName(), ProjectId: "140525-sand-works", Project: line2(t), RequestId: "land", Reason: "contract 7"}
	_, err := w.as(zezhou).ConvertLead(t.Context(), convert)
	refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")

	signed := w.signLead(l.GetName())
	for name, c := range map[string]struct {
		change func(*projectv1.ConvertLeadRequest)
		code   codes.Code
		reason string
		field  string
	}{
		"another town of the division": {func(r *projectv1.ConvertLeadRequest) { r.Project.Town = ceramics }, codes.InvalidArgument, "TOWN_MISMATCH", "project.town"},
		"a town that is not there":     {func(r *projectv1.ConvertLeadRequest) { r.Project.Town = "towns/140525-moon" }, codes.FailedPrecondition, "REFERENCE_NOT_FOUND", "project.town"},
		"a project of another county":  {func(r *projectv1.ConvertLeadRequest) { r.ProjectId = "140581-sand" }, codes.InvalidArgument, "DIVISION_MISMATCH", "project_id"},
		"a lead that has changed":      {func(r *projectv1.ConvertLeadRequest) { r.Etag = l.GetEtag() }, codes.Aborted, "STALE_ETAG", ""},
	} {
		t.Run(name, func(t *testing.T) {
			req := proto.Clone(convert).(*projectv1.ConvertLeadRequest)
			req.RequestId = ""
			c.change(req)
			_, err := w.as(city).ConvertLead(t.Context(), req)
			refused(t, err, c.code, c.reason, c.field)
			got := must[*projectv1.Lead](t)(w.as(reader).GetLead(t.Context(), &projectv1.GetLeadRequest{Name: l.GetName()}))
			same(t, got, signed) // nothing half done
		})
	}

	p := must[*projectv1.Project](t)(w.as(zezhou).ConvertLead(t.Context(), convert))
	same(t, must[*projectv1.Project](t)(w.as(zezhou).ConvertLead(t.Context(), convert)), p)
	if p.GetState() != projectv1.Project_STATE_SIGNED || p.GetLead() != l.GetName() || p.GetTownEvidence().GetResource() != casting ||
		len(p.GetDecisions()) != 1 || p.GetDecisions()[0].GetReason() != "contract 7" {
		t.Errorf("became %v", p)
	}
	same(t, w.get("projects/140525-sand-works"), p)
	got := must[*projectv1.Lead](t)(w.as(reader).GetLead(t.Context(), &projectv1.GetLeadRequest{Name: l.GetName()}))
	if got.GetState() != projectv1.Lead_STATE_LANDED || got.GetProject() != p.GetName() {
		t.Errorf("the lead is %v", got)
	}
	sum := must[*projectv1.SummarizeProjectsResponse](t)(w.as(city).SummarizeProjects(t.Context(), &projectv1.SummarizeProjectsRequest{}))
	if s := sum.GetSum(); s.GetProjectCount() != 1 || s.GetYears()[0].GetSignedCount() != 1 || s.GetStages()[0].GetState() != projectv1.Project_STATE_SIGNED {
		t.Errorf("counted as %v", s)
	}
	_, err = w.as(zezhou).LoseLead(t.Context(), &projectv1.LoseLeadRequest{Name: l.GetName(), Reason: "too late"})
	refused(t, err, codes.FailedPrecondition, "TRANSITION_NOT_PERMITTED", "")
	_, err = w.as(zezhou).UpdateLead(t.Context(), &projectv1.UpdateLeadRequest{Lead: &projectv1.Lead{Name: l.GetName(), Note: "x"}})
	refused(t, err, codes.FailedPrecondition, "NOT_EDITABLE", "")
}

func TestLeadIsLostFromAnyOpenState(t *testing.T) {
	w := newWorld(t)
	_, err := w.as(zezhou).LoseLead(t.Context(), &projectv1.LoseLeadRequest{Name: w.lead("140525-x").GetName()})
	refused(t, err, codes.InvalidArgument, "INVALID_FIELD", "reason")
	for id, on := range map[string]func(name string){
		"140525-a": func(string) {},
		"140525-b": func(name string) {
			must[*projectv1.Lead](t)(w.as(zezhou).ContactLead(t.Context(), &projectv1.ContactLeadRequest{Name: name}))
		},
		"140525-c": func(name string) { w.signLead(name) },
	} {
		name := w.lead(id).GetName()
		on(name)
		l := must[*projectv1.Lead](t)(w.as(zezhou).LoseLead(t.Context(), &projectv1.LoseLeadRequest{Name: name, Reason: "went to Henan"}))
		if l.GetState() != projectv1.Lead_STATE_LOST {
			t.Errorf("%s is %v", id, l.GetState())
		}
	}
	lost := must[*projectv1.ListLeadsResponse](t)(w.as(city).ListLeads(t.Context(), &projectv1.ListLeadsRequest{State: projectv1.Lead_STATE_LOST}))
	if len(lost.GetLeads()) != 3 {
		t.Errorf("lost are %v", lost.GetLeads())
	}
	_, err = w.as(city).CreateLead(t.Context(), &projectv1.CreateLeadRequest{LeadId: "140581-x", Lead: &projectv1.Lead{Town: casting, Title: "x", Investor: "y"}})
	refused(t, err, codes.InvalidArgument, "DIVISION_MISMATCH", "lead.town")
}
