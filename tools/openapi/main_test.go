package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// image has the resources towns/{town} and towns/{town}/holidayCalendars/{holiday_calendar}.
func image(t *testing.T) string {
	t.Helper()
	resource := func(pattern string) *descriptorpb.DescriptorProto {
		options := &descriptorpb.MessageOptions{}
		proto.SetExtension(options, annotations.E_Resource, &annotations.ResourceDescriptor{Pattern: []string{pattern}})
		return &descriptorpb.DescriptorProto{Options: options}
	}
	text, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		MessageType: []*descriptorpb.DescriptorProto{
			resource("towns/{town}"),
			resource("towns/{town}/holidayCalendars/{holiday_calendar}"),
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.binpb")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{
			name: "equal paths become one, in the order of the document",
			in: `{"paths": {
				"/v1/towns/{name}": {"get": {"parameters": [{"name": "name", "in": "path"}]}},
				"/v1/towns": {"get": {}},
				"/v1/towns/{town.name}": {"patch": {"parameters": [{"name": "town.name", "in": "path"}, {"name": "updateMask", "in": "query"}]}}}}`,
			want: `{"paths": {
				"/v1/towns/{town}": {
					"get": {"parameters": [{"name": "town", "in": "path", "description": "The {town} of the resource name ` + "`towns/{town}`" + `."}]},
					"patch": {"parameters": [{"name": "town", "in": "path", "description": "The {town} of the resource name ` + "`towns/{town}`" + `."}, {"name": "updateMask", "in": "query"}]}},
				"/v1/towns": {"get": {}}}}`,
		},
		{
			name: "each variable has its own name, and a verb stays",
			in: `{"paths": {"/v1/towns/{name}/holidayCalendars/{name_1}:close": {"post": {"parameters": [
				{"name": "name", "in": "path"}, {"name": "name_1", "in": "path"}]}}}}`,
			want: `{"paths": {"/v1/towns/{town}/holidayCalendars/{holiday_calendar}:close": {"post": {"parameters": [
				{"name": "town", "in": "path", "description": "The {town} of the resource name ` + "`towns/{town}`" + `."},
				{"name": "holiday_calendar", "in": "path", "description": "The {holiday_calendar} of the resource name ` + "`towns/{town}/holidayCalendars/{holiday_calendar}`" + `."}]}}}}`,
		},
		{
			name: "what is no resource is called after its collection",
			in:   `{"paths": {"/v1/journals/{name}:head": {"get": {"parameters": [{"name": "name", "in": "path"}]}}}}`,
			want: `{"paths": {"/v1/journals/{journal}:head": {"get": {"parameters": [{"name": "journal", "in": "path", "description": "The id of the journal."}]}}}}`,
		},
		{
			name: "an answer with an etag has a version, and an update may be conditional on it and be partial",
			in: `{"paths": {"/v1/towns/{name}": {
				"get": {"responses": {"default": {}, "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Town"}}}}}},
				"patch": {"parameters": [{"name": "name", "in": "path"}],
					"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Town"}}}},
					"responses": {"200": {}}}}},
				"components": {"schemas": {"google.rpc.Status": {}, "Town": {"properties": {"etag": {}}, "required": ["field"]}}}}`,
			want: `{"paths": {"/v1/towns/{town}": {
				"get": {"responses": {
					"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Town"}}}, "headers": {"ETag": {"$ref": "#/components/headers/ETag"}}},
					"304": {"$ref": "#/components/responses/NotModified"},
					"default": {"$ref": "#/components/responses/Problem"}},
					"parameters": [{"$ref": "#/components/parameters/IfNoneMatch"}]},
				"patch": {"parameters": [{"name": "town", "in": "path", "description": "The {town} of the resource name ` + "`towns/{town}`" + `."},
						{"$ref": "#/components/parameters/IdempotencyKey"}, {"$ref": "#/components/parameters/IfMatch"}],
					"requestBody": {"content": {"application/json": {"schema": {"properties": {"etag": {}}}}}},
					"responses": {"200": {}, "412": {"$ref": "#/components/responses/PreconditionFailed"}, "default": {"$ref": "#/components/responses/Problem"}}}}},
				"components": {"schemas": {"Town": {"properties": {"etag": {}}, "required": ["field"]}}}}`,
		},
		{
			name: "a create has a key but no version, a verb both, a removal the version of its query",
			in: `{"paths": {
				"/v1/towns": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Town"}}}}, "responses": {"200": {}}}},
				"/v1/towns:close": {"post": {"requestBody": {"content": {"application/json": {"schema": {"properties": {"etag": {}}}}}}, "responses": {"200": {}}}},
				"/v1/towns:drop": {"delete": {"parameters": [{"name": "etag", "in": "query"}], "responses": {"200": {}}}}},
				"components": {"schemas": {"Town": {"properties": {"etag": {}}}}}}`,
			want: `{"paths": {
				"/v1/towns": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Town"}}}},
					"responses": {"200": {}, "default": {"$ref": "#/components/responses/Problem"}},
					"parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}]}},
				"/v1/towns:close": {"post": {"requestBody": {"content": {"application/json": {"schema": {"properties": {"etag": {}}}}}},
					"responses": {"200": {}, "412": {"$ref": "#/components/responses/PreconditionFailed"}, "default": {"$ref": "#/components/responses/Problem"}},
					"parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}, {"$ref": "#/components/parameters/IfMatch"}]}},
				"/v1/towns:drop": {"delete": {"parameters": [{"name": "etag", "in": "query"}, {"$ref": "#/components/parameters/IdempotencyKey"}, {"$ref": "#/components/parameters/IfMatch"}],
					"responses": {"200": {}, "412": {"$ref": "#/components/responses/PreconditionFailed"}, "default": {"$ref": "#/components/responses/Problem"}}}}},
				"components": {"schemas": {"Town": {"properties": {"etag": {}}}}}}`,
		},
		{
			name: "a stream is lines of JSON",
			in: `{"paths": {"/v1/journals:watch": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {
				"title": "Stream result of Change", "properties": {"error": {"$ref": "#/components/schemas/google.rpc.Status"}, "result": {}}}}}}}}}}}`,
			want: `{"paths": {"/v1/journals:watch": {"get": {"responses": {"200": {"content": {"application/x-ndjson": {"schema": {
				"title": "Stream result of Change", "properties": {"error": {"$ref": "#/components/schemas/Problem"}, "result": {}},
				"description": "One line of the stream: a message, or as the last line the problem that ended it."}}}},
				"default": {"$ref": "#/components/responses/Problem"}}}}}}`,
		},
		{
			name: "a stream of chunks is a file",
			in: `{"paths": {"/v1/stores:backUp": {"get": {"responses": {"200": {"description": "One message.", "content": {"application/json": {"schema": {
				"title": "Stream result of File", "properties": {"result": {"$ref": "#/components/schemas/File"}}}}}}}}}},
				"components": {"schemas": {"File": {"properties": {"chunk": {}}}}}}`,
			want: `{"paths": {"/v1/stores:backUp": {"get": {"responses": {"200": {"description": "The file.", "content": {"application/octet-stream": {"schema": {}}}},
				"default": {"$ref": "#/components/responses/Problem"}}}}},
				"components": {"schemas": {"File": {"properties": {"chunk": {}}}}}}`,
		},
		{
			name: "scalars stay as they are",
			in:   `{"x": [1.50, 9007199254740993, "<a> & 镇", null, true, {}, []], "paths": {"/": {}}}`,
			want: `{"x": [1.50, 9007199254740993, "<a> & 镇", null, true, {}, []], "paths": {"/": {}}}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, want strings.Builder
			if err := run([]string{image(t)}, strings.NewReader(test.in), &out); err != nil {
				t.Fatal(err)
			}
			document, err := decode(strings.NewReader(test.want))
			if err != nil {
				t.Fatal(err)
			}
			if err := encode(&want, document); err != nil {
				t.Fatal(err)
			}
			if out.String() != want.String() {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want.String())
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"one method of one path twice", `{"paths": {"/v1/towns/{a}": {"get": {}}, "/v1/towns/{b}": {"get": {}}}}`, "GET /v1/towns/{town} is declared twice"},
		{"a parameter that the path lacks", `{"paths": {"/v1/towns": {"get": {"parameters": [{"name": "a", "in": "path"}]}}}}`, `parameter "a" is not in the path`},
		{"no paths", `{}`, "no paths"},
		{"no object", `[]`, "not an object"},
		{"half a document", `{"paths": {`, "EOF"},
		{"two documents", `{"paths": {}} {}`, "follows the document"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := run([]string{image(t)}, strings.NewReader(test.in), &out)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
			if out.Len() > 0 {
				t.Errorf("wrote %q", out.String())
			}
		})
	}
}
