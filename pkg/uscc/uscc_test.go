package uscc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/yizhen/yizhen/pkg/uscc"
)

// published is the code that explanations of GB 32100 commonly compute as their example.
const published = "91350100M000100Y43"

const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, code string
		want       error
	}{
		{"the published example", published, nil},
		{"nothing", "", uscc.ErrForm},
		{"one character less", published[:17], uscc.ErrForm},
		{"one character more", published + "0", uscc.ErrForm},
		{"small letters", strings.ToLower(published), uscc.ErrForm},
		{"the letter O for a nought", "9135O100M000100Y43", uscc.ErrForm},
		{"the letter I for a one", "9I350100M000100Y43", uscc.ErrForm},
		{"a space", "91350100 M000100Y4", uscc.ErrForm},
		{"digits of full width", "９１３５０１", uscc.ErrForm},
		{"another organisation code under the same check", "91350100M000101Y43", uscc.ErrOrganisationCheck},
		{"another check of the organisation code", "91350100M000100Y53", uscc.ErrOrganisationCheck},
		{"another check of the whole", "91350100M000100Y44", uscc.ErrCheck},
		{"another division", "91350200M000100Y43", uscc.ErrCheck},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := uscc.Check(c.code); !errors.Is(err, c.want) {
				t.Errorf("Check(%q) = %v, want %v", c.code, err, c.want)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	if got, err := uscc.Complete(published[:16]); err != nil || got != published {
		t.Errorf("Complete(%q) = %q, %v", published[:16], got, err)
	}
	for _, bad := range []string{"", published, published[:15], "9135O100M000100Y", "91350100m000100Y"} {
		if got, err := uscc.Complete(bad); err == nil {
			t.Errorf("Complete(%q) = %q", bad, got)
		}
	}
}

// code draws a well-formed code.
func code(t *rapid.T) string {
	first16 := rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 16, 16, 16).Draw(t, "first 16")
	whole, err := uscc.Complete(first16)
	if err != nil {
		t.Fatal(err)
	}
	if err := uscc.Check(whole); err != nil {
		t.Fatalf("Check(%q) of what was completed: %v", whole, err)
	}
	return whole
}

// TestEveryChangeOfOneCharacterIsNoticed: the weights are no multiples of 31, and 31 is a prime.
func TestEveryChangeOfOneCharacterIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := code(t)
		for i := range whole {
			for _, c := range []byte(alphabet) {
				changed := whole[:i] + string(c) + whole[i+1:]
				if changed != whole && uscc.Check(changed) == nil {
					t.Fatalf("%s and %s are both right", whole, changed)
				}
			}
		}
	})
}

// TestEverySwapIsNoticedButOne: the weights differ from one another, save those of the first character and of the
// check character, which are both 1. Two neighbours are never swapped unnoticed.
func TestEverySwapIsNoticedButOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := code(t)
		for i := range whole {
			for j := range i {
				swapped := []byte(whole)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				if s := string(swapped); s != whole && uscc.Check(s) == nil && (j != 0 || i != 17) {
					t.Fatalf("%s and %s are both right", whole, s)
				}
			}
		}
	})
}

// FuzzCheck: what is right is of the form, and completed anew from its first 16 characters gives itself.
func FuzzCheck(f *testing.F) {
	f.Add(published)
	f.Add("91350100M000100Y4３")
	f.Fuzz(func(t *testing.T, code string) {
		if uscc.Check(code) != nil {
			return
		}
		again, err := uscc.Complete(code[:16])
		if err != nil || again != code {
			t.Errorf("%q is right, and completed it is %q, %v", code, again, err)
		}
	})
}

func ExampleCheck() {
	fmt.Println(uscc.Check("91350100M000100Y43"))
	fmt.Println(uscc.Check("91350100M000100Y44"))
	// Output:
	// <nil>
	// the 18th character does not check the first 17 (GB 32100)
}
