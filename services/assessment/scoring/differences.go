package scoring

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	assessmentv1 "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
)

// Differences returns where a stored scorecard differs from a computed one, in the order of the fields: most places at
// the most.
func Differences(stored, computed *assessmentv1.Scorecard, most int) []*assessmentv1.Difference {
	d := &differences{most: most}
	d.message("", stored.ProtoReflect(), computed.ProtoReflect())
	return d.found
}

type differences struct {
	most  int
	found []*assessmentv1.Difference
}

func (d *differences) add(path, stored, computed string) {
	if len(d.found) < d.most {
		d.found = append(d.found, &assessmentv1.Difference{Path: path, Stored: stored, Computed: computed})
	}
}

func (d *differences) message(path string, a, b protoreflect.Message) {
	if proto.Equal(a.Interface(), b.Interface()) {
		return
	}
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := string(f.Name())
		if path != "" {
			at = path + "." + at
		}
		if f.IsList() {
			d.list(at, f, a.Get(f).List(), b.Get(f).List())
			continue
		}
		d.value(at, f, a.Get(f), b.Get(f))
	}
}

func (d *differences) list(path string, f protoreflect.FieldDescriptor, a, b protoreflect.List) {
	if a.Len() != b.Len() {
		d.add(path, fmt.Sprintf("%d entries", a.Len()), fmt.Sprintf("%d entries", b.Len()))
		return
	}
	for i := range a.Len() {
		d.value(fmt.Sprintf("%s[%d]", path, i), f, a.Get(i), b.Get(i))
	}
}

func (d *differences) value(path string, f protoreflect.FieldDescriptor, a, b protoreflect.Value) {
	switch {
	case f.Message() != nil:
		d.message(path, a.Message(), b.Message())
	case !a.Equal(b):
		d.add(path, a.String(), b.String())
	}
}
