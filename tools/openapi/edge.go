package main

import "strings"

// describeEdge says of every operation what the gateway makes of it over HTTP, which the protos do not say: errors are
// problem documents, versions stand in ETag and If-Match, the key to repeat a call in a header, and a stream is a line of
// JSON for each message. What is referred to stands in head.json.
func describeEdge(document *object) {
	paths, _ := document.get("paths").(*object)
	for _, path := range paths.keys {
		operations, _ := paths.get(path).(*object)
		for _, method := range operations.keys {
			operation, ok := at(operations, method)
			if !ok {
				continue
			}
			if responses, ok := at(operation, "responses"); ok && responses.has("200") {
				operation.set("responses", describe(document, method, operation, responses))
			}
		}
	}
	// Nothing refers to gRPC's own error any more.
	if schemas, ok := at(document, "components", "schemas"); ok {
		schemas.remove("google.rpc.Status")
	}
}

// describe adds the headers of an operation, and returns its responses in the order in which one reads them.
func describe(document *object, method string, operation, responses *object) *object {
	described := newObject()
	success, _ := at(responses, "200")
	schema, _ := at(success, "content", "application/json", "schema")
	describeStream(document, success, schema)
	described.set("200", success)

	versioned := hasProperty(document, schema, "etag")
	if versioned {
		headers := newObject()
		headers.set("ETag", reference("headers", "ETag"))
		success.set("headers", headers)
	}
	if method == "patch" {
		describePatch(document, operation)
	}
	if method == "get" {
		if versioned {
			addParameter(operation, "IfNoneMatch")
			described.set("304", reference("responses", "NotModified"))
		}
	} else {
		addParameter(operation, "IdempotencyKey")
		if checksVersion(document, method, operation) {
			addParameter(operation, "IfMatch")
			described.set("412", reference("responses", "PreconditionFailed"))
		}
	}
	for _, status := range responses.keys {
		if !described.has(status) && status != "default" {
			described.set(status, responses.get(status))
		}
	}
	described.set("default", reference("responses", "Problem"))
	return described
}

// describePatch takes back what the resource's schema requires: an update sends the fields that change.
func describePatch(document, operation *object) {
	media, ok := at(operation, "requestBody", "content", "application/json")
	if !ok {
		return
	}
	whole, _ := at(media, "schema")
	part := newObject()
	for _, key := range resolve(document, whole).keys {
		if key != "required" {
			part.set(key, resolve(document, whole).get(key))
		}
	}
	media.set("schema", part)
}

// describeStream turns the generator's description of one message of a stream into that of the stream. One whose messages have
// chunks is sent as the file that the chunks make.
func describeStream(document, success, schema *object) {
	title, _ := schema.get("title").(string)
	if !strings.HasPrefix(title, "Stream result of ") {
		return
	}
	if result, ok := at(schema, "properties", "result"); ok && hasProperty(document, result, "chunk") {
		media := newObject()
		media.set("schema", newObject())
		content := newObject()
		content.set("application/octet-stream", media)
		success.set("description", "The file.")
		success.set("content", content)
		return
	}
	schema.set("description", "One line of the stream: a message, or as the last line the problem that ended it.")
	if properties, ok := at(schema, "properties"); ok {
		properties.set("error", reference("schemas", "Problem"))
	}
	media := newObject()
	media.set("schema", schema)
	content := newObject()
	content.set("application/x-ndjson", media)
	success.set("content", content)
}

// checksVersion tells whether the request has an etag: that of the resource in an update, else one of its own.
func checksVersion(document *object, method string, operation *object) bool {
	parameters, _ := operation.get("parameters").([]any)
	for _, each := range parameters {
		if parameter, ok := each.(*object); ok && parameter.get("name") == "etag" {
			return true
		}
	}
	body, _ := at(operation, "requestBody", "content", "application/json", "schema")
	// A create sends a resource that has no version yet; a verb has its fields in the body itself.
	if method == "post" && body.has("$ref") {
		return false
	}
	return hasProperty(document, body, "etag")
}

// hasProperty tells whether a schema, or the one that it refers to, has a property.
func hasProperty(document, schema *object, name string) bool {
	properties, _ := at(resolve(document, schema), "properties")
	return properties.has(name)
}

// resolve returns what a schema refers to, or the schema itself.
func resolve(document, schema *object) *object {
	if target, ok := schema.get("$ref").(string); ok {
		schema, _ = at(document, strings.Split(strings.TrimPrefix(target, "#/"), "/")...)
	}
	return schema
}

func addParameter(operation *object, name string) {
	parameters, _ := operation.get("parameters").([]any)
	operation.set("parameters", append(parameters, reference("parameters", name)))
}

func reference(kind, name string) *object {
	o := newObject()
	o.set("$ref", "#/components/"+kind+"/"+name)
	return o
}

// at returns the object at the end of a path of keys; an empty one if there is none.
func at(o *object, keys ...string) (*object, bool) {
	for _, key := range keys {
		next, ok := o.get(key).(*object)
		if !ok {
			return newObject(), false
		}
		o = next
	}
	return o, true
}
