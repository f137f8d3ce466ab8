package lifecycle_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/yizhen/yizhen/pkg/lifecycle"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

const (
	draft      = townv1.Designation_STATE_DRAFT
	submitted  = townv1.Designation_STATE_SUBMITTED
	designated = townv1.Designation_STATE_DESIGNATED
	withdrawn  = townv1.Designation_STATE_WITHDRAWN
)

type state = townv1.Designation_State

func table() lifecycle.Table[state] {
	return lifecycle.Table[state]{
		Resource: "designation",
		Initial:  draft,
		Steps: []lifecycle.Step[state]{
			{Verb: "submit", From: []state{draft}, To: submitted},
			{Verb: "return", From: []state{submitted}, To: draft},
			{Verb: "designate", From: []state{submitted}, To: designated},
			{Verb: "withdraw", From: []state{draft, submitted}, To: withdrawn},
			{Verb: "withdraw", From: []state{designated}, To: draft}, // one verb may lead elsewhere from elsewhere
		},
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		from      state
		verb      string
		to        state
		permitted []string // where the verb is not
	}{
		{draft, "submit", submitted, nil},
		{submitted, "return", draft, nil},
		{submitted, "designate", designated, nil},
		{draft, "withdraw", withdrawn, nil},
		{submitted, "withdraw", withdrawn, nil},
		{designated, "withdraw", draft, nil},
		{draft, "designate", 0, []string{"submit", "withdraw"}},
		{submitted, "submit", 0, []string{"return", "designate", "withdraw"}},
		{withdrawn, "submit", 0, nil},
		{draft, "", 0, []string{"submit", "withdraw"}},
		{draft, "Submit", 0, []string{"submit", "withdraw"}},
		{state(99), "submit", 0, nil},
	} {
		got, err := table().Next(c.from, c.verb)
		if c.to != 0 {
			if err != nil || got != c.to {
				t.Errorf("%v %s: %v, %v; want %v", c.from, c.verb, got, err, c.to)
			}
			continue
		}
		var not *lifecycle.NotPermittedError
		if !errors.As(err, &not) {
			t.Errorf("%v %s: %v, want a NotPermittedError", c.from, c.verb, err)
			continue
		}
		if got != c.from {
			t.Errorf("%v %s: it is now %v", c.from, c.verb, got)
		}
		if !slices.Equal(not.Permitted, c.permitted) || not.Verb != c.verb || not.Resource != "designation" || not.State != lifecycle.Name(c.from) {
			t.Errorf("%v %s: %+v, want %q to be permitted", c.from, c.verb, not, c.permitted)
		}
	}
}

func TestVerbsAreEachThereOnce(t *testing.T) {
	want := []string{"submit", "return", "designate", "withdraw"}
	if got := table().Verbs(); !slices.Equal(got, want) {
		t.Errorf("the verbs are %q, want %q", got, want)
	}
}

func TestName(t *testing.T) {
	for s, want := range map[state]string{draft: "DRAFT", 0: "UNSPECIFIED", 99: "99"} {
		if got := lifecycle.Name(s); got != want {
			t.Errorf("Name(%d) = %s, want %s", s, got, want)
		}
	}
}

func ExampleTable_Next() {
	t := lifecycle.Table[townv1.Designation_State]{
		Resource: "designation",
		Initial:  townv1.Designation_STATE_DRAFT,
		Steps: []lifecycle.Step[townv1.Designation_State]{
			{Verb: "submit", From: []townv1.Designation_State{townv1.Designation_STATE_DRAFT}, To: townv1.Designation_STATE_SUBMITTED},
		},
	}
	next, err := t.Next(townv1.Designation_STATE_DRAFT, "submit")
	fmt.Println(lifecycle.Name(next), err)
	_, err = t.Next(townv1.Designation_STATE_DRAFT, "warn")
	fmt.Println(err)
	// Output:
	// SUBMITTED <nil>
	// a designation that is DRAFT does not take "warn"; what can be done is: submit
}

func ExampleTable_Mermaid() {
	t := lifecycle.Table[townv1.Designation_State]{
		Initial: townv1.Designation_STATE_DRAFT,
		Steps: []lifecycle.Step[townv1.Designation_State]{
			{Verb: "submit", From: []townv1.Designation_State{townv1.Designation_STATE_DRAFT}, To: townv1.Designation_STATE_SUBMITTED},
			{
				Verb: "withdraw",
				From: []townv1.Designation_State{townv1.Designation_STATE_DRAFT, townv1.Designation_STATE_SUBMITTED},
				To:   townv1.Designation_STATE_WITHDRAWN,
			},
		},
	}
	fmt.Print(t.Mermaid())
	// Output:
	// stateDiagram-v2
	//   [*] --> DRAFT
	//   DRAFT --> SUBMITTED: submit
	//   DRAFT --> WITHDRAWN: withdraw
	//   SUBMITTED --> WITHDRAWN: withdraw
}
