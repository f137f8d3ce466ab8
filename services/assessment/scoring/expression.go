package scoring

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Limits of an expression. It has no loops, so what it can cost follows from its length.
const (
	maxExpressionBytes = 1000
	maxDepth           = 50
)

// Language compiles expressions: CEL over whole numbers and yes or no.
type Language struct{ env *cel.Env }

// NewLanguage makes a language whose variables are the facts.
func NewLanguage() (*Language, error) {
	options := []cel.EnvOption{
		cel.ClearMacros(), // no loops
		cel.ParserExpressionSizeLimit(maxExpressionBytes),
		cel.ParserRecursionLimit(maxDepth),
		number("ratio_ppm", ratio),
		number("smaller", func(a, b types.Int) ref.Val { return min(a, b) }),
		number("larger", func(a, b types.Int) ref.Val { return max(a, b) }),
	}
	for _, f := range Facts() {
		options = append(options, cel.Variable(f.Name, cel.IntType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("language of indicators: %w", err)
	}
	return &Language{env: env}, nil
}

func number(name string, of func(a, b types.Int) ref.Val) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_int_int", []*cel.Type{cel.IntType, cel.IntType}, cel.IntType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val { return of(a.(types.Int), b.(types.Int)) })))
}

// ratio is a / b in parts per million, rounded down, also below 0.
func ratio(a, b types.Int) ref.Val {
	if b == 0 {
		return types.NewErr("division by zero")
	}
	n := new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(whole))
	d := big.NewInt(int64(b))
	if d.Sign() < 0 {
		n.Neg(n)
		d.Neg(d)
	}
	n.Div(n, d) // Euclidean, which rounds down for a divisor above 0
	if !n.IsInt64() {
		return types.NewErr("integer overflow")
	}
	return types.Int(n.Int64())
}

// ExpressionError says what is wrong with an expression, and where: line and column count from 1.
type ExpressionError struct {
	// Item is what the expression belongs to: `indicators/output-growth`.
	Item         string
	Line, Column int
	Problem      string
}

func (e *ExpressionError) Error() string {
	return fmt.Sprintf("%s, line %d, column %d: %s", e.Item, e.Line, e.Column, e.Problem)
}

// Expression is a compiled expression.
type Expression struct {
	program cel.Program
	truth   bool
	facts   []string
}

// Facts are the names of the facts it uses, in the order of the alphabet.
func (e *Expression) Facts() []string { return e.facts }

// IsTruth tells whether it gives yes or no rather than a number.
func (e *Expression) IsTruth() bool { return e.truth }

// Compile compiles and type-checks an expression. What is wrong with it is an ExpressionError.
func (l *Language) Compile(text string) (*Expression, error) {
	ast, issues := l.env.Compile(text)
	if errs := issues.Errors(); len(errs) > 0 {
		at := errs[0].Location
		return nil, &ExpressionError{Line: max(1, at.Line()), Column: max(0, at.Column()) + 1, Problem: errs[0].Message}
	}
	if err := checkTypes(ast.NativeRep()); err != nil {
		return nil, err
	}
	program, err := l.env.Program(ast)
	if err != nil {
		return nil, &ExpressionError{Line: 1, Column: 1, Problem: err.Error()}
	}
	return &Expression{program: program, truth: ast.OutputType().Kind() == types.BoolKind, facts: factsIn(ast.NativeRep())}, nil
}

// checkTypes refuses all but whole numbers and yes or no. A fraction would let the rounding of a machine decide; of the
// places where one occurs the first is named.
func checkTypes(ast *celast.AST) error {
	var found *ExpressionError
	for id, t := range ast.TypeMap() {
		if t.Kind() == types.IntKind || t.Kind() == types.BoolKind {
			continue
		}
		at := ast.SourceInfo().GetStartLocation(id)
		e := &ExpressionError{
			Line: max(1, at.Line()), Column: max(0, at.Column()) + 1,
			Problem: "only whole numbers and yes or no are permitted, not " + cel.FormatCELType(t),
		}
		if found == nil || e.Line < found.Line || e.Line == found.Line && e.before(found) {
			found = e
		}
	}
	if found == nil {
		return nil
	}
	return found
}

// before orders two errors of one line; two at one place by what they say, so that the answer is always the same.
func (e *ExpressionError) before(other *ExpressionError) bool {
	if e.Column != other.Column {
		return e.Column < other.Column
	}
	return e.Problem < other.Problem
}

func factsIn(ast *celast.AST) []string {
	var names []string
	for _, r := range ast.ReferenceMap() {
		if len(r.OverloadIDs) == 0 && r.Value == nil && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Number evaluates an expression that gives a number. If it gives none the problem says why.
func (e *Expression) Number(facts map[string]int64) (value int64, problem string) {
	v, problem := e.evaluate(facts)
	n, _ := v.(types.Int)
	return int64(n), problem
}

// Truth evaluates an expression that gives yes or no. If it gives neither the problem says why.
func (e *Expression) Truth(facts map[string]int64) (holds bool, problem string) {
	v, problem := e.evaluate(facts)
	b, _ := v.(types.Bool)
	return bool(b), problem
}

// evaluate gives a value or a problem. A fact that is missing is one also where the expression could do without it, so
// that what is said does not depend on the order in which it is evaluated.
func (e *Expression) evaluate(facts map[string]int64) (ref.Val, string) {
	var missing []string
	values := make(map[string]any, len(e.facts))
	for _, name := range e.facts {
		v, ok := facts[name]
		if !ok {
			missing = append(missing, name)
		}
		values[name] = v
	}
	if len(missing) > 0 {
		return nil, "missing: " + strings.Join(missing, ", ")
	}
	v, _, err := e.program.Eval(values)
	if err != nil {
		return nil, problemOf(err)
	}
	return v, ""
}

// problemOf says in our words why an evaluation failed. Scorecards keep them, and the library's may change.
func problemOf(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "by zero"):
		return "division by zero"
	case strings.Contains(text, "overflow"):
		return "beyond 64 bits"
	}
	return "cannot be computed"
}
