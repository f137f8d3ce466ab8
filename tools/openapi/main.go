// Openapi puts right what the merged output of protoc-gen-openapiv3 gets wrong, and adds what it
// cannot know: how the gateway speaks HTTP (edge.go).
//
// The generator names a path parameter after the request field it is bound to, so
// GetTown stands at /v1/towns/{name} and UpdateTown at /v1/towns/{town.name}. To
// OpenAPI these are the same path, and a document that has both is not valid. The
// parameters are therefore renamed to what the resource pattern in the proto calls
// them (/v1/towns/{town}), and the operations of paths that are then equal are put
// under one.
//
// It reads the merged document on standard input and writes the result to standard
// output. Its argument is the image that `buf build` makes of the same protos.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: openapi IMAGE <merged.json >openapi.json")
	}
	image, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	patterns, err := resourcePatterns(image)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	document, err := decode(in)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if err := renameParameters(document, patterns); err != nil {
		return err
	}
	describeEdge(document)
	return encode(out, document)
}

// resourcePatterns returns the google.api.resource patterns that the image declares,
// keyed by their shape: "towns/*/reports/*" to "towns/{town}/reports/{report}".
func resourcePatterns(image []byte) (map[string]string, error) {
	// An image has the wire format of a FileDescriptorSet, with fields of Buf's own added.
	var files descriptorpb.FileDescriptorSet
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(image, &files); err != nil {
		return nil, err
	}
	patterns := map[string]string{}
	add := func(resource *annotations.ResourceDescriptor) {
		for _, pattern := range resource.GetPattern() {
			patterns[shape(pattern)] = pattern
		}
	}
	var addMessages func(messages []*descriptorpb.DescriptorProto)
	addMessages = func(messages []*descriptorpb.DescriptorProto) {
		for _, message := range messages {
			add(proto.GetExtension(message.GetOptions(), annotations.E_Resource).(*annotations.ResourceDescriptor))
			addMessages(message.GetNestedType())
		}
	}
	for _, file := range files.GetFile() {
		for _, resource := range proto.GetExtension(file.GetOptions(), annotations.E_ResourceDefinition).([]*annotations.ResourceDescriptor) {
			add(resource)
		}
		addMessages(file.GetMessageType())
	}
	return patterns, nil
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// shape is a path or pattern without the names of its parameters.
func shape(path string) string { return parameter.ReplaceAllString(path, "*") }

func renameParameters(document *object, patterns map[string]string) error {
	paths, ok := document.get("paths").(*object)
	if !ok {
		return errors.New("the document has no paths")
	}
	renamed := newObject()
	for _, path := range paths.keys {
		operations, ok := paths.get(path).(*object)
		if !ok {
			return fmt.Errorf("%s is not an object", path)
		}
		names := parameterNames(path, patterns)
		target, err := rename(path, operations, names)
		if err != nil {
			return err
		}
		present, ok := renamed.get(target).(*object)
		if !ok {
			renamed.set(target, operations)
			continue
		}
		for _, method := range operations.keys {
			if present.has(method) {
				return fmt.Errorf("%s %s is declared twice", strings.ToUpper(method), target)
			}
			present.set(method, operations.get(method))
		}
	}
	document.set("paths", renamed)
	return nil
}

// part is what a parameter stands for: the last variable of a resource pattern.
type part struct{ name, pattern string }

// parameterNames finds for each parameter of the path what to call it. It looks for the
// longest run of segments that ends with the parameter and is a resource; a parameter that
// no resource explains is called after the segment before it.
func parameterNames(path string, patterns map[string]string) []part {
	var parts []part
	used := map[string]bool{}
	// A custom verb hangs on the last segment: /v1/towns/{name}:rename.
	resource, _, _ := strings.Cut(path, ":")
	segments := strings.Split(strings.Trim(resource, "/"), "/")
	for last, segment := range segments {
		if !parameter.MatchString(segment) {
			continue
		}
		found := part{name: strings.Trim(segment, "{}")}
		if last > 0 {
			found.name = strings.TrimSuffix(segments[last-1], "s")
		}
		for first := range last {
			run := strings.Join(segments[first:last+1], "/")
			if pattern, ok := patterns[shape(run)]; ok {
				variables := parameter.FindAllString(pattern, -1)
				found = part{name: strings.Trim(variables[len(variables)-1], "{}"), pattern: pattern}
				break
			}
		}
		name := found.name
		for n := 2; used[found.name]; n++ {
			found.name = name + strconv.Itoa(n)
		}
		used[found.name] = true
		parts = append(parts, found)
	}
	return parts
}

// rename gives the parameters of the path, in it and in its operations, the names of parts.
func rename(path string, operations *object, parts []part) (string, error) {
	byOldName := map[string]part{}
	next := 0
	target := parameter.ReplaceAllStringFunc(path, func(old string) string {
		if next == len(parts) {
			return old
		}
		byOldName[strings.Trim(old, "{}")] = parts[next]
		next++
		return "{" + parts[next-1].name + "}"
	})
	for _, method := range operations.keys {
		operation, ok := operations.get(method).(*object)
		if !ok {
			continue
		}
		parameters, _ := operation.get("parameters").([]any)
		for _, each := range parameters {
			param, ok := each.(*object)
			if !ok || param.get("in") != "path" {
				continue
			}
			old, _ := param.get("name").(string)
			to, ok := byOldName[old]
			if !ok {
				return "", fmt.Errorf("%s %s: parameter %q is not in the path", strings.ToUpper(method), path, old)
			}
			param.set("name", to.name)
			// The comment of the field speaks of the whole resource name, which is not
			// what a caller puts here.
			if to.pattern != "" {
				param.set("description", fmt.Sprintf("The {%s} of the resource name `%s`.", to.name, to.pattern))
			} else {
				param.set("description", fmt.Sprintf("The id of the %s.", to.name))
			}
		}
	}
	return target, nil
}
