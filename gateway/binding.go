package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// binding is what the edge knows of a method: where in its request the things are that HTTP says in headers.
type binding struct {
	fullMethod string
	verb, path string
	request    protoreflect.MessageDescriptor
	body       string   // the field that the body is, "*" for the whole request, "" for none
	inPath     []string // the fields that the path names

	etag      []protoreflect.FieldDescriptor // the path to the etag; nil if there is none to check
	requestID protoreflect.FieldDescriptor
	mask      protoreflect.FieldDescriptor
}

var pathVariable = regexp.MustCompile(`\{([^=}]+)[^}]*\}`)

// bind reads the binding of a method off its HTTP annotation. A method without one is an error: the edge has REST for
// every RPC.
func bind(m protoreflect.MethodDescriptor) (*binding, error) {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	b := &binding{
		fullMethod: "/" + string(m.Parent().FullName()) + "/" + string(m.Name()),
		request:    m.Input(),
		body:       rule.GetBody(),
	}
	switch {
	case rule.GetGet() != "":
		b.verb, b.path = http.MethodGet, rule.GetGet()
	case rule.GetPost() != "":
		b.verb, b.path = http.MethodPost, rule.GetPost()
	case rule.GetPatch() != "":
		b.verb, b.path = http.MethodPatch, rule.GetPatch()
	case rule.GetDelete() != "":
		b.verb, b.path = http.MethodDelete, rule.GetDelete()
	default:
		return nil, fmt.Errorf("gateway: %s has no GET, POST, PATCH or DELETE binding", b.fullMethod)
	}
	for _, match := range pathVariable.FindAllStringSubmatch(b.path, -1) {
		b.inPath = append(b.inPath, match[1])
	}
	fields := b.request.Fields()
	b.requestID = fields.ByName("request_id")
	b.mask = fields.ByName("update_mask")
	if etag := fields.ByName("etag"); etag != nil {
		b.etag = []protoreflect.FieldDescriptor{etag}
	} else if resource := fields.ByName(protoreflect.Name(b.body)); b.verb == http.MethodPatch && resource != nil {
		// An update carries the etag in the resource; a create carries a resource that has none yet.
		if etag := resource.Message().Fields().ByName("etag"); etag != nil {
			b.etag = []protoreflect.FieldDescriptor{resource, etag}
		}
	}
	return b, nil
}

// apply puts into the request what the headers of the call say.
func (b *binding) apply(c *call, req protoreflect.Message) error {
	if err := b.checkQuery(c.query); err != nil {
		return err
	}
	if b.mask != nil {
		mask := req.Get(b.mask).Message().Interface().(*fieldmaskpb.FieldMask)
		if c.query.Has("updateMask") || c.query.Has("update_mask") {
			b.translateMask(mask)
		} else {
			cleanMask(mask)
		}
	}
	if b.requestID != nil && c.idempotencyKey != "" {
		if !fill(req, b.requestID, c.idempotencyKey) {
			return contradiction("Idempotency-Key", "requestId")
		}
	}
	if c.ifMatch == "" {
		return nil
	}
	if b.etag == nil {
		return notConditional()
	}
	for _, field := range b.etag[:len(b.etag)-1] {
		req = req.Mutable(field).Message()
	}
	if !fill(req, b.etag[len(b.etag)-1], c.ifMatch) {
		return contradiction("If-Match", "etag")
	}
	return nil
}

// fill sets a field that is empty, and tells whether it then has the value.
func fill(m protoreflect.Message, field protoreflect.FieldDescriptor, value string) bool {
	if m.Get(field).String() == "" {
		m.Set(field, protoreflect.ValueOfString(value))
	}
	return m.Get(field).String() == value
}

// cleanMask takes out of a mask that was made from the body what identifies the resource rather than changes it: a
// resource sent back as it was read contains its name and its etag.
func cleanMask(mask *fieldmaskpb.FieldMask) {
	mask.Paths = slices.DeleteFunc(mask.Paths, func(path string) bool { return path == "name" || path == "etag" })
}

// translateMask gives the fields of a mask that stood in the query, where they have JSON's names, those of the proto. One
// that is not there is left for the service to refuse.
func (b *binding) translateMask(mask *fieldmaskpb.FieldMask) {
	resource := b.request.Fields().ByName(protoreflect.Name(b.body))
	if resource == nil {
		return
	}
	for i, path := range mask.GetPaths() {
		if found := lookUp(resource.Message(), path); found != "" {
			mask.Paths[i] = found
		}
	}
}

// checkQuery refuses a query parameter that would be passed over in silence: a misspelt one, or one for a field that the
// path or the body gives.
func (b *binding) checkQuery(query url.Values) error {
	for _, key := range sortedKeys(query) {
		field := lookUp(b.request, key)
		if field == "" || b.body == "*" || field == b.body || strings.HasPrefix(field, b.body+".") && b.body != "" ||
			slices.Contains(b.inPath, field) {
			return unknownParameter(key)
		}
	}
	return nil
}

// lookUp returns the path of a field under its name in the proto, "" if there is no such field. A name in a query may be
// the proto's or JSON's.
func lookUp(message protoreflect.MessageDescriptor, given string) string {
	var path []string
	for name := range strings.SplitSeq(given, ".") {
		if message == nil {
			return ""
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			field = message.Fields().ByJSONName(name)
		}
		if field == nil || field.IsMap() {
			return ""
		}
		path = append(path, string(field.Name()))
		message = field.Message()
	}
	return strings.Join(path, ".")
}
