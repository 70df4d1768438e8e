package explain

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

const (
	maxValueRunes = 80
	maxValueBytes = 4096 // a longer one is described, not written
	maxLineRunes  = 400
	maxValues     = 20 // of one condition
)

// firstLine is the first line of a rule or a condition.
func firstLine(l *ast.Location) string {
	line, _, _ := strings.Cut(string(l.Text), "\n")
	return short(strings.TrimSpace(line))
}

// short is a text that a page has room for.
func short(text string) string { return cut(text, maxLineRunes) }

func cut(text string, most int) string {
	n := 0
	for i := range text {
		if n == most {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

// textOf is a value as Rego writes it, or what it is where that would be long. It takes no time for what is not shown.
func textOf(v ast.Value) string {
	if engine.TextBytes(v, maxValueBytes) <= maxValueBytes {
		return cut(v.String(), maxValueRunes)
	}
	switch v := v.(type) {
	case ast.String:
		return cut(v[:min(len(v), 4*maxValueRunes)].String(), maxValueRunes-1) + "…"
	case ast.Object:
		return fmt.Sprintf("{… %d keys}", v.Len())
	case *ast.Array:
		return fmt.Sprintf("[… %d elements]", v.Len())
	case ast.Set:
		return fmt.Sprintf("{… %d elements}", v.Len())
	default:
		return "…"
	}
}

// values lists the values of the variables and of the parts of the input that a condition names.
func (t *trace) values(e *topdown.Event, condition *ast.Expr) (found []Value) {
	add := func(v Value) {
		if len(found) < maxValues && !slices.Contains(found, v) {
			found = append(found, v)
		}
	}
	// The compiler renamed the variables of the condition; its text has the author's names.
	written := condition
	if body, err := ast.ParseBody(string(condition.Location.Text)); err == nil && len(body) == 1 {
		written = body[0]
	}
	ast.WalkTerms(written, func(term *ast.Term) bool {
		switch v := term.Value.(type) {
		case ast.Ref:
			if !v.HasPrefix(ast.InputRootRef) || !v.IsGround() {
				return false
			}
			if value := inputAt(e, t.input, v); value != nil {
				add(Value{short(v.String()), textOf(value)})
			} else {
				add(Value{Name: short(v.String())})
			}
			return true
		case ast.Var:
			if value := local(e, condition, written, v); value != nil {
				add(Value{short(string(v)), textOf(value)})
			}
		}
		return false
	})
	return found
}

// inputAt is the value of ref, a reference to the input as it is for a condition: `with` may replace it. nil: undefined.
func inputAt(e *topdown.Event, input ast.Value, ref ast.Ref) ast.Value {
	if now := e.Input(); now != nil {
		input = now.Value
	}
	if input == nil {
		return nil
	}
	found, err := input.Find(ref[1:])
	if err != nil {
		return nil
	}
	return found
}

// local is the value of the variable with the author's name; nil where it has none yet. The engine's compiler does not keep
// these names, so the variable is found by its position among the operands.
func local(e *topdown.Event, compiled, written *ast.Expr, name ast.Var) ast.Value {
	operands, names := compiled.Operands(), written.Operands()
	if len(operands) != len(names) {
		return nil
	}
	for i, operand := range names {
		if v, ok := operands[i].Value.(ast.Var); ok && operand.Value.Compare(name) == 0 {
			if bound := e.Plug(ast.NewTerm(v)); bound.IsGround() {
				return bound.Value
			}
		}
	}
	return nil
}
