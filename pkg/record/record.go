// Package record carries out the standard methods of the API on journalled tables: get, list, create, patch, and the
// steps of a life. It is what makes a mutation safe to repeat: the answer to a request id is stored in the transaction
// that made it.
package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"

	"go.einride.tech/aip/fieldbehavior"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/fault"
	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/page"
	"github.com/yizhen/yizhen/pkg/store"
)

// Resource is a row that callers see: it has a name and an etag, and may have a create_time and an update_time.
type Resource interface {
	store.Row
	GetEtag() string
}

// Get reads one resource.
func Get[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], name string) (row T, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		row, err = Load(r, table, name)
		return err
	})
	return row, err
}

// Load reads one resource within a transaction; if it is not there, the fault says so.
func Load[T Resource](r store.Reader, table *store.Table[T], name string) (T, error) {
	row, err := table.Get(r, name)
	if errors.Is(err, store.ErrNotFound) {
		return row, fault.NotFound(name)
	}
	return row, err
}

// Refer reads a resource that a field of the request names; if it is not there, the fault names the field.
func Refer[T Resource](r store.Reader, table *store.Table[T], field, name string) (T, error) {
	row, err := table.Get(r, name)
	if errors.Is(err, store.ErrNotFound) {
		return row, fault.ReferenceNotFound(field, name)
	}
	return row, err
}

// Bounds of one answer: the bytes of its rows, under the size that a message may have, and the rows that are read for it.
// A page may be short of the size asked for, even empty, and still have a next one (AIP-158).
const (
	maxListBytes = 3 << 20
	maxListReads = 5000
)

// List reads a page of the resources whose names begin with prefix, and the token of the next page.
func List[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], prefix string, req page.Request) ([]T, string, error) {
	return ListWhere(ctx, db, table, prefix, req, nil)
}

// ListWhere is List of those resources that keep holds for; a nil keep holds for all.
func ListWhere[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], prefix string, req page.Request, keep func(T) bool) (rows []T, next string, err error) {
	return list(ctx, db, req, keep, func(r store.Reader, start string) iter.Seq2[T, error] { return table.Scan(r, prefix, start) })
}

// ListIndex is List of those resources that an index finds under a value.
func ListIndex[T Resource](ctx context.Context, db *journal.DB, table *store.Table[T], index, value string, req page.Request) (rows []T, next string, err error) {
	return list(ctx, db, req, nil, func(r store.Reader, start string) iter.Seq2[T, error] {
		return table.ScanIndex(r, index, value, start)
	})
}

// list reads a page of what scan yields, which is in the order of the names.
func list[T Resource](ctx context.Context, db *journal.DB, req page.Request, keep func(T) bool, scan func(r store.Reader, start string) iter.Seq2[T, error]) (rows []T, next string, err error) {
	start, err := page.Start(req)
	if err != nil {
		return nil, "", err
	}
	err = db.View(ctx, func(r store.Reader) error {
		rows, next = nil, ""
		size, reads := 0, 0
		for row, err := range scan(r, start) {
			if err != nil {
				return err
			}
			if reads++; reads > maxListReads {
				next = page.Token(req, row.GetName())
				return nil
			}
			if keep != nil && !keep(row) {
				continue
			}
			size += proto.Size(row)
			if len(rows) == page.Size(req) || size > maxListBytes && len(rows) > 0 {
				next = page.Token(req, row.GetName())
				return nil
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, next, err
}

// New returns a copy of what a caller sent, under the name it gets, without the fields that callers do not set.
func New[T Resource](sent T, name string) T {
	row := proto.Clone(sent).(T)
	fieldbehavior.ClearFields(row, annotations.FieldBehavior_OUTPUT_ONLY)
	setText(row, "name", name)
	return row
}

// Create stores a new resource and stamps it.
func Create[T Resource](tx *journal.Tx, table *store.Table[T], row T) (T, error) {
	has, err := table.Has(tx, row.GetName())
	if err != nil {
		return row, err
	}
	if has {
		return row, fault.Exists(row.GetName())
	}
	setTime(row, "create_time", tx)
	return row, save(tx, table.Create, row)
}

// Save stores a changed resource and stamps it.
func Save[T Resource](tx *journal.Tx, table *store.Table[T], row T) (T, error) {
	return row, save(tx, table.Update, row)
}

func save[T Resource](tx *journal.Tx, write func(store.Recorder, T) error, row T) error {
	setTime(row, "update_time", tx)
	setText(row, "etag", "")
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(row)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	setText(row, "etag", hex.EncodeToString(sum[:8]))
	return write(tx, row)
}

// CheckETag refuses a mutation that was decided on an older state of the resource. An empty etag checks nothing.
func CheckETag(stored Resource, etag string) error {
	if etag != "" && etag != stored.GetEtag() {
		return fault.StaleETag(stored.GetName(), stored.GetEtag())
	}
	return nil
}

func setText(m proto.Message, field protoreflect.Name, value string) {
	r := m.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByName(field), protoreflect.ValueOfString(value))
}

func setTime(m proto.Message, field protoreflect.Name, tx *journal.Tx) {
	r := m.ProtoReflect()
	if f := r.Descriptor().Fields().ByName(field); f != nil {
		r.Set(f, protoreflect.ValueOfMessage(timestamppb.New(tx.Now()).ProtoReflect()))
	}
}
