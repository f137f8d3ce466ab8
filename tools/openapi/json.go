package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// object is a JSON object that keeps the order of its members: encoding/json's maps are
// written sorted, and readers of the document want fields in the order of the proto.
type object struct {
	keys   []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) get(key string) any { return o.values[key] }

func (o *object) has(key string) bool { _, ok := o.values[key]; return ok }

func (o *object) set(key string, value any) {
	if !o.has(key) {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

func (o *object) remove(key string) {
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
	delete(o.values, key)
}

func decode(in io.Reader) (*object, error) {
	decoder := json.NewDecoder(in)
	decoder.UseNumber()
	value, err := decodeValue(decoder)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	document, ok := value.(*object)
	if !ok {
		return nil, errors.New("the document is not an object")
	}
	return document, nil
}

func decodeValue(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		members := newObject()
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := decodeValue(decoder)
			if err != nil {
				return nil, err
			}
			members.set(key.(string), value)
		}
		_, err := decoder.Token()
		return members, err
	case json.Delim('['):
		elements := []any{}
		for decoder.More() {
			value, err := decodeValue(decoder)
			if err != nil {
				return nil, err
			}
			elements = append(elements, value)
		}
		_, err := decoder.Token()
		return elements, err
	}
	return token, nil
}

func encode(out io.Writer, document *object) error {
	var text strings.Builder
	if err := encodeValue(&text, document, "\n"); err != nil {
		return err
	}
	text.WriteByte('\n')
	_, err := io.WriteString(out, text.String())
	return err
}

// encodeValue writes the value; indent is what begins a line at its depth.
func encodeValue(text *strings.Builder, value any, indent string) error {
	switch value := value.(type) {
	case *object:
		if len(value.keys) == 0 {
			text.WriteString("{}")
			return nil
		}
		for i, key := range value.keys {
			text.WriteString(opening(i, "{") + indent + "  ")
			if err := encodeScalar(text, key); err != nil {
				return err
			}
			text.WriteString(": ")
			if err := encodeValue(text, value.values[key], indent+"  "); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		text.WriteString(indent + "}")
		return nil
	case []any:
		if len(value) == 0 {
			text.WriteString("[]")
			return nil
		}
		for i, element := range value {
			text.WriteString(opening(i, "[") + indent + "  ")
			if err := encodeValue(text, element, indent+"  "); err != nil {
				return err
			}
		}
		text.WriteString(indent + "]")
		return nil
	}
	return encodeScalar(text, value)
}

func opening(i int, bracket string) string {
	if i == 0 {
		return bracket
	}
	return ","
}

func encodeScalar(text *strings.Builder, value any) error {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	// The document is served as JSON; < and > in comments may stay readable.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	text.WriteString(strings.TrimSuffix(line.String(), "\n"))
	return nil
}
