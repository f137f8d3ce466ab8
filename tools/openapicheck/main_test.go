package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// document is valid; each case below breaks it in one place.
const document = `{
  "openapi": "3.1.0",
  "info": {"title": "Towns", "version": "v1"},
  "paths": {
    "/v1/towns/{town}": {
      "get": {
        "operationId": "GetTown",
        "tags": ["Towns"],
        "parameters": [{"name": "town", "in": "path", "required": true, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "The town.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Town"}}}}}
      }
    },
    "/v1/towns": {
      "get": {"operationId": "ListTowns", "responses": {"200": {"description": "The towns."}}}
    }
  },
  "components": {
    "schemas": {"Town": {"type": "object", "properties": {"name": {"type": "string"}}}},
    "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}
  },
  "security": [{"bearer": []}],
  "tags": [{"name": "Towns"}]
}`

func TestCheck(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"the document as it is", "", "", ""},
		{"not JSON", `"paths": {`, `"paths": `, "parse"},
		{"another version", "3.1.0", "3.0.3", "not 3.1"},
		{"no title", `"title": "Towns", `, "", "title"},
		{"an unknown member", `"operationId": "GetTown",`, `"operationId": "GetTown", "foo": 1,`, "foo"},
		{"a parameter in no place", `"in": "path"`, `"in": "pth"`, "must be one of"},
		{"a reference to nothing", "schemas/Town", "schemas/Village", "schemas/Village"},
		{"a component that is no schema", `"type": "object"`, `"type": "objekt"`, "metaschema"},
		{"a parameter whose schema is none", `"schema": {"type": "string"}`, `"schema": {"type": 1}`, "metaschema"},
		{"the same path twice", `"/v1/towns": {`, `"/v1/towns/{name}": {`, "are the same path"},
		{"the same operation id twice", `"ListTowns"`, `"GetTown"`, "have one operation id"},
		{"a parameter that is not declared", `"/v1/towns": {`, `"/v1/cities/{city}": {`, "{city} is not declared"},
		{"a parameter that is not in the path", `/v1/towns/{town}`, `/v1/towns/all`, `"town" is not in the path`},
		{"a tag that is not declared", `"tags": [{"name": "Towns"}]`, `"tags": []`, `tag "Towns" is not declared`},
		{"a security scheme that is not declared", `"security": [{"bearer"`, `"security": [{"key"`, `security scheme "key" is not declared`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(document, test.old) {
				t.Fatalf("the document does not have %s", test.old)
			}
			path := filepath.Join(t.TempDir(), "openapi.json")
			if err := os.WriteFile(path, []byte(strings.Replace(document, test.old, test.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			err := check(path)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v", err)
			case test.want != "" && err == nil:
				t.Errorf("found nothing, want %q", test.want)
			case test.want != "" && !strings.Contains(err.Error(), test.want):
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}
