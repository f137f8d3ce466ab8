package record

import (
	"context"
	"strings"

	"go.einride.tech/aip/fieldbehavior"
	"go.einride.tech/aip/fieldmask"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/store"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

// PatchRequest is a request to update a resource (AIP-134).
type PatchRequest interface {
	Mutation
	GetUpdateMask() *fieldmaskpb.FieldMask
}

// Patch changes the fields that the mask names, or if it names none those that were sent. Fields that callers do not set
// are passed over, so a resource may be sent back as it was read. What results has to satisfy the contract, and then the
// rule, which sees the resource before and after; a nil rule permits everything.
func Patch[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], req PatchRequest, sent T, rule func(tx *journal.Tx, before, after T) error) (T, error) {
	mask, clean, err := settable(req.GetUpdateMask(), sent)
	if err != nil {
		var none T
		return none, err
	}
	return Do(ctx, db, req, func(tx *journal.Tx) (row T, err error) {
		before, err := Load(tx, table, sent.GetName())
		if err != nil {
			return row, err
		}
		if err := CheckETag(before, sent.GetEtag()); err != nil {
			return row, err
		}
		after := proto.Clone(before).(T)
		if len(mask.GetPaths()) > 0 {
			fieldmask.Update(mask, after, proto.Clone(clean)) // it shares lists, which the rule may change
		}
		if err := fieldbehavior.ValidateImmutableFieldsNotChanged(before, after, mask); err != nil {
			return row, maskFault(err.Error())
		}
		if err := Validate(after); err != nil {
			return row, err
		}
		if rule != nil {
			if err := rule(tx, before, after); err != nil {
				return row, err
			}
		}
		return Save(tx, table, after)
	})
}

// settable returns the mask to apply: what was asked, or all that was sent, without the fields that callers do not set;
// and what was sent without them, also where they are inside others.
func settable[T Resource](asked *fieldmaskpb.FieldMask, sent T) (*fieldmaskpb.FieldMask, T, error) {
	clean := proto.Clone(sent).(T)
	if err := fieldmask.Validate(asked, sent); err != nil {
		return nil, clean, maskFault(err.Error())
	}
	fieldbehavior.ClearFields(clean, annotations.FieldBehavior_OUTPUT_ONLY)
	fields := clean.ProtoReflect().Descriptor().Fields()
	paths := asked.GetPaths()
	switch {
	case len(paths) == 1 && paths[0] == "*":
		paths = nil
		for i := range fields.Len() {
			paths = append(paths, string(fields.Get(i).Name()))
		}
	case len(paths) == 0:
		for i := range fields.Len() {
			if clean.ProtoReflect().Has(fields.Get(i)) {
				paths = append(paths, string(fields.Get(i).Name()))
			}
		}
	}
	mask := &fieldmaskpb.FieldMask{}
	for _, p := range paths {
		if p != "name" && p != "etag" && !outputOnly(clean.ProtoReflect().Descriptor(), p) {
			mask.Paths = append(mask.Paths, p)
		}
	}
	return mask, clean, nil
}

// outputOnly tells whether a path leads to, or through, a field that callers do not set.
func outputOnly(m protoreflect.MessageDescriptor, path string) bool {
	for step := range strings.SplitSeq(path, ".") {
		if m == nil {
			return false
		}
		f := m.Fields().ByName(protoreflect.Name(step))
		if f == nil {
			return false
		}
		if fieldbehavior.Has(f, annotations.FieldBehavior_OUTPUT_ONLY) {
			return true
		}
		m = f.Message()
	}
	return false
}

func maskFault(problem string) error {
	return fault.New(codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK,
		"update_mask 有误："+problem, "update_mask: "+problem, fault.Field("update_mask", problem))
}
