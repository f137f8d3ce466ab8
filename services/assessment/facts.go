package assessment

import (
	"context"
	"slices"
	"strings"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/page"
	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	"github.com/yizhen/yizhen/services/assessment/scoring"
)

// GetFactDefinition implements the Assessment service.
func (s *Server) GetFactDefinition(_ context.Context, req *assessmentv1.GetFactDefinitionRequest) (*assessmentv1.FactDefinition, error) {
	for _, d := range definitions() {
		if d.GetName() == req.GetName() {
			return d, nil
		}
	}
	return nil, fault.NotFound(req.GetName())
}

// ListFactDefinitions implements the Assessment service.
func (s *Server) ListFactDefinitions(_ context.Context, req *assessmentv1.ListFactDefinitionsRequest) (*assessmentv1.ListFactDefinitionsResponse, error) {
	start, err := page.Start(req)
	if err != nil {
		return nil, err
	}
	all := definitions()
	first, _ := slices.BinarySearchFunc(all, start, func(d *assessmentv1.FactDefinition, name string) int {
		return strings.Compare(d.GetName(), name)
	})
	res := &assessmentv1.ListFactDefinitionsResponse{FactDefinitions: all[first:]}
	if size := page.Size(req); len(res.FactDefinitions) > size {
		res.NextPageToken = page.Token(req, res.FactDefinitions[size].GetName())
		res.FactDefinitions = res.FactDefinitions[:size]
	}
	return res, nil
}

func definitions() (all []*assessmentv1.FactDefinition) {
	for _, f := range scoring.Facts() {
		all = append(all, &assessmentv1.FactDefinition{
			Name: "factDefinitions/" + f.Name, Unit: f.Unit, Source: f.Source, DescriptionZh: f.Zh, DescriptionEn: f.En,
		})
	}
	return all
}
