package town

import (
	"context"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// defaultTermYears is how long a term lasts if its batch does not say. It is written into the batch, so that a later
// default leaves the terms that have begun alone.
const defaultTermYears = 3

// CreateBatch implements the TownRegistry service.
func (s *Server) CreateBatch(ctx context.Context, req *townv1.CreateBatchRequest) (*townv1.Batch, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*townv1.Batch, error) {
		b := record.New(req.GetBatch(), "batches/"+req.GetBatchId())
		if b.GetTermYears() == 0 {
			b.TermYears = defaultTermYears
		}
		if err := record.CheckDate("batch.effective_date", b.GetEffectiveDate()); err != nil {
			return nil, err
		}
		if err := record.CheckDate("batch.document.issue_date", b.GetDocument().GetIssueDate()); err != nil {
			return nil, err
		}
		return record.Create(tx, s.batches, b)
	})
}

// GetBatch implements the TownRegistry service.
func (s *Server) GetBatch(ctx context.Context, req *townv1.GetBatchRequest) (*townv1.Batch, error) {
	return record.Get(ctx, s.db, s.batches, req.GetName())
}

// ListBatches implements the TownRegistry service.
func (s *Server) ListBatches(ctx context.Context, req *townv1.ListBatchesRequest) (*townv1.ListBatchesResponse, error) {
	batches, next, err := record.List(ctx, s.db, s.batches, "batches/", req)
	if err != nil {
		return nil, err
	}
	return &townv1.ListBatchesResponse{Batches: batches, NextPageToken: next}, nil
}

// UpdateBatch implements the TownRegistry service. The number of the document stands in every designation of the batch,
// so a corrected number is corrected there too.
func (s *Server) UpdateBatch(ctx context.Context, req *townv1.UpdateBatchRequest) (*townv1.Batch, error) {
	return record.Patch(ctx, s.db, s.batches, req, req.GetBatch(), func(tx *journal.Tx, before, after *townv1.Batch) error {
		if err := record.CheckDate("batch.document.issue_date", after.GetDocument().GetIssueDate()); err != nil {
			return err
		}
		number := after.GetDocument().GetNumber()
		if number == before.GetDocument().GetNumber() {
			return nil
		}
		var in []*townv1.Designation
		for d, err := range s.designations.ScanIndex(tx, designationsByBatch.Name, after.GetName(), "") {
			if err != nil {
				return err
			}
			in = append(in, d)
		}
		for _, d := range in {
			d.DocumentNumber = number
			if _, err := record.Save(tx, s.designations, d); err != nil {
				return err
			}
		}
		return nil
	})
}
