package record

import (
	"errors"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/yizhen/yizhen/proto/yizhen/assessment/v1"
	_ "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	_ "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
	_ "github.com/yizhen/yizhen/proto/yizhen/project/v1"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

// TestEveryRuleIsSaidInChinese looks at every field of the contract: a rule that no field had before needs a phrase.
func TestEveryRuleIsSaidInChinese(t *testing.T) {
	seen := map[string]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "yizhen.") {
			collectRules(file.Messages(), seen)
		}
		return true
	})
	if len(seen) < 8 {
		t.Fatalf("only %v were found: the search does not see the contract", seen)
	}
	for rule := range seen {
		if rulesZH[rule] == "" {
			t.Errorf("the contract uses the rule %q, which rulesZH has no phrase for", rule)
		}
	}
}

func collectRules(messages protoreflect.MessageDescriptors, seen map[string]bool) {
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			rules, _ := proto.GetExtension(m.Fields().Get(j).Options(), validate.E_Field).(*validate.FieldRules)
			if rules != nil {
				collectSet(rules.ProtoReflect(), seen)
			}
		}
		collectRules(m.Messages(), seen)
	}
}

// collectSet notes the rules that are set. Those of a type (string, int64, repeated, …) are in a message of their own, and
// those of a list's items in another.
func collectSet(rules protoreflect.Message, seen map[string]bool) {
	rules.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() != nil && !f.IsList():
			collectSet(v.Message(), seen)
		case f.Name() != "example":
			seen[string(f.Name())] = true
		}
		return true
	})
}

func TestRulesInChinese(t *testing.T) {
	err := protovalidate.Validate(&townv1.Town{
		Division: "1405", IndustryCodes: []string{"3391", "3391"}, Field: 9, TitleZh: strings.Repeat("镇", 61), TitleEn: "x",
	})
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("a town that breaks five rules is answered with %v", err)
	}
	var got []string
	for _, v := range invalid.Violations {
		got = append(got, protovalidate.FieldPathString(v.Proto.GetField())+" "+ruleZH(v))
	}
	want := "division 须符合格式 ^[0-9]{6}$; industry_codes 不得重复; field 不是接口约定的取值; title_zh 至多 60 个字符"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
