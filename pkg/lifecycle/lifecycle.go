// Package lifecycle holds the lives of resources as tables: from which states which verb leads where.
// Handlers ask the table; the diagrams in the docs are drawn from it.
package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Step is one line of a table: the verb leads from each of the states From to the state To.
type Step[S protoreflect.Enum] struct {
	Verb string
	From []S
	To   S
}

// Table is the life of one kind of resource.
type Table[S protoreflect.Enum] struct {
	// Resource is what lives, for messages and titles: "designation".
	Resource string
	// Initial is the state in which a life begins.
	Initial S
	// Steps are the lines of the table.
	Steps []Step[S]
}

// Next returns the state that the verb leads to, or a NotPermittedError that says what is permitted instead.
func (t Table[S]) Next(from S, verb string) (S, error) {
	var permitted []string
	for _, s := range t.Steps {
		if !has(s.From, from) {
			continue
		}
		if s.Verb == verb {
			return s.To, nil
		}
		permitted = append(permitted, s.Verb)
	}
	return from, &NotPermittedError{Resource: t.Resource, State: Name(from), Verb: verb, Permitted: permitted}
}

// NotPermittedError says that a resource's state does not permit a verb.
type NotPermittedError struct {
	Resource, State, Verb string
	// Permitted are the verbs that the state does permit.
	Permitted []string
}

func (e *NotPermittedError) Error() string {
	instead := "nothing more can be done with it"
	if len(e.Permitted) > 0 {
		instead = "what can be done is: " + strings.Join(e.Permitted, ", ")
	}
	return fmt.Sprintf("a %s that is %s does not take %q; %s", e.Resource, e.State, e.Verb, instead)
}

// Verbs returns the verbs of the table, each once, in the order of the lines.
func (t Table[S]) Verbs() []string {
	var out []string
	for _, s := range t.Steps {
		if !slices.Contains(out, s.Verb) {
			out = append(out, s.Verb)
		}
	}
	return out
}

// Mermaid draws the table as a state diagram in the Mermaid language.
func (t Table[S]) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	fmt.Fprintf(&b, "  [*] --> %s\n", Name(t.Initial))
	for _, s := range t.Steps {
		for _, from := range s.From {
			fmt.Fprintf(&b, "  %s --> %s: %s\n", Name(from), Name(s.To), s.Verb)
		}
	}
	return b.String()
}

// Name returns a state's name without the prefix of its enum: DESIGNATED for STATE_DESIGNATED.
func Name(state protoreflect.Enum) string {
	v := state.Descriptor().Values().ByNumber(state.Number())
	if v == nil {
		return fmt.Sprint(state.Number())
	}
	return strings.TrimPrefix(string(v.Name()), "STATE_")
}

func has[S protoreflect.Enum](states []S, s S) bool {
	return slices.ContainsFunc(states, func(x S) bool { return x.Number() == s.Number() })
}
