// Openapicheck fails unless its argument is a valid OpenAPI 3.1 document.
//
// The JSON Schema of the specification says what a document may look like; it leaves the
// schemas in the document to the meta-schema of JSON Schema, which is asked for each. What
// the specification says in words only is checked as well: every reference leads
// somewhere, no two paths are the same but for the names of their parameters, the
// parameters of a path are those in its template, operation ids are unique, and tags and
// security schemes that are used are declared.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pb33f/jsonschema/v6"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: openapicheck FILE")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(os.Stderr, "%s: %s\n", os.Args[1], line)
		}
		os.Exit(1)
	}
}

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return err
	}
	if version := document.GetVersion(); !strings.HasPrefix(version, "3.1.") {
		return fmt.Errorf("is OpenAPI %q, not 3.1", version)
	}
	// The model is built first: it follows every reference.
	model, err := document.BuildV3Model()
	if err != nil {
		return err
	}
	checker, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if valid, findings := checker.ValidateDocument(); !valid {
		for _, finding := range findings {
			errs = append(errs, fmt.Errorf("%s: %s", finding.Message, finding.Reason))
			for _, detail := range finding.SchemaValidationErrors {
				errs = append(errs, fmt.Errorf("line %d: %s: %s", max(detail.Line, 1), cmp.Or(detail.FieldPath, "the document"), detail.Reason))
			}
		}
		return errors.Join(errs...)
	}
	return errors.Join(append(schemas(text), wording(&model.Model)...)...)
}

// schemas compiles every schema in the document, which holds it against the meta-schema.
func schemas(text []byte) []error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return []error{err}
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	const name = "file:///openapi.json"
	if err := compiler.AddResource(name, document); err != nil {
		return []error{err}
	}
	var errs []error
	compile := func(pointer string) {
		if _, err := compiler.Compile(name + "#" + url.PathEscape(pointer)); err != nil {
			errs = append(errs, err)
		}
	}
	var walk func(node any, pointer string)
	walk = func(node any, pointer string) {
		switch node := node.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(node)) {
				at := pointer + "/" + escape.Replace(key)
				if key == "schema" || pointer == "/components/schemas" {
					compile(at)
				} else {
					walk(node[key], at)
				}
			}
		case []any:
			for i, element := range node {
				walk(element, fmt.Sprintf("%s/%d", pointer, i))
			}
		}
	}
	walk(document, "")
	return errs
}

// escape makes a key a segment of a JSON pointer.
var escape = strings.NewReplacer("~", "~0", "/", "~1")

var parameter = regexp.MustCompile(`\{([^}]*)\}`)

// wording checks the rules that stand in the text of the specification.
func wording(document *v3.Document) []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if document.Paths == nil || document.Paths.PathItems.Len() == 0 {
		fail("has no paths")
		return errs
	}
	tags := map[string]bool{}
	for _, tag := range document.Tags {
		tags[tag.Name] = true
	}
	checkSecurity := func(where string, scheme string) {
		if document.Components == nil || document.Components.SecuritySchemes == nil || document.Components.SecuritySchemes.GetOrZero(scheme) == nil {
			fail("%s: security scheme %q is not declared", where, scheme)
		}
	}
	for _, requirement := range document.Security {
		for scheme := range requirement.Requirements.KeysFromOldest() {
			checkSecurity("the document", scheme)
		}
	}
	shapes, operations := map[string]string{}, map[string]string{}
	for path, item := range document.Paths.PathItems.FromOldest() {
		shape := parameter.ReplaceAllString(path, "{}")
		if other, ok := shapes[shape]; ok {
			fail("%s and %s are the same path", other, path)
		}
		shapes[shape] = path
		var inTemplate []string
		for _, match := range parameter.FindAllStringSubmatch(path, -1) {
			if slices.Contains(inTemplate, match[1]) {
				fail("%s has {%s} twice", path, match[1])
			}
			inTemplate = append(inTemplate, match[1])
		}
		for method, operation := range item.GetOperations().FromOldest() {
			where := strings.ToUpper(method) + " " + path
			if other, ok := operations[operation.OperationId]; ok {
				fail("%s and %s have one operation id, %s", other, where, operation.OperationId)
			}
			operations[operation.OperationId] = where
			var declared []string
			for _, param := range slices.Concat(item.Parameters, operation.Parameters) {
				if param.In == "path" {
					declared = append(declared, param.Name)
				}
			}
			for _, name := range inTemplate {
				if !slices.Contains(declared, name) {
					fail("%s: the parameter {%s} is not declared", where, name)
				}
			}
			for _, name := range declared {
				if !slices.Contains(inTemplate, name) {
					fail("%s: the parameter %q is not in the path", where, name)
				}
			}
			for _, tag := range operation.Tags {
				if !tags[tag] {
					fail("%s: tag %q is not declared", where, tag)
				}
			}
			for _, requirement := range operation.Security {
				for scheme := range requirement.Requirements.KeysFromOldest() {
					checkSecurity(where, scheme)
				}
			}
		}
	}
	return errs
}
