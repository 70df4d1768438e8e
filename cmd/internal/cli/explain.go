package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func (t tried) print(w io.Writer) error {
	if t.Defined {
		if err := indented(w, t.Result); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(w, "undefined")
	}
	if len(t.Explanation) > 0 {
		fmt.Fprintln(w)
	}
	for _, line := range t.Explanation {
		fmt.Fprintln(w, line)
	}
	if t.Coverage != nil {
		fmt.Fprintln(w)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Coverage)) {
		if lines := t.Coverage[name]; len(lines) > 0 {
			fmt.Fprintf(w, "%s: lines not reached: %s\n", name, strings.Trim(fmt.Sprint(lines), "[]"))
		} else {
			fmt.Fprintf(w, "%s: every line was reached\n", name)
		}
	}
	return nil
}

// mostExplained bounds an explanation: a loop over a thousand things fails a thousand times.
const mostExplained = 200

// explainTrace says in the order of the evaluation which rules fired and which conditions failed,
// each once, with the values that it was so with.
func explainTrace(trace []*topdown.Event, input ast.Value) []string {
	var lines []string
	said := map[string]bool{}
	say := func(line string) {
		if !said[line] && len(lines) < mostExplained {
			said[line] = true
			lines = append(lines, line)
		}
	}
	for _, e := range trace {
		if e.Location == nil || e.Location.File == "" {
			continue // the query
		}
		at := fmt.Sprintf("%s:%d", e.Location.File, e.Location.Row)
		switch node := e.Node.(type) {
		case *ast.Rule:
			if e.Op == topdown.ExitOp {
				kind, text := "fired", ruleLine(node.Location)
				if node.Default {
					kind, text = "default", node.Head.String()
				}
				say(fmt.Sprintf("%-8s %s: %s", kind, at, text))
			}
		case *ast.Expr:
			if e.Op == topdown.FailOp {
				say(fmt.Sprintf("failed   %s: %s%s", at, ruleLine(node.Location), values(e, node, input)))
			}
		}
	}
	if len(lines) == mostExplained {
		lines = append(lines, "… and more")
	}
	return lines
}

func ruleLine(l *ast.Location) string {
	line, _, _ := strings.Cut(string(l.Text), "\n")
	return strings.TrimSpace(line)
}

// values are the variables and the parts of the input that an expression speaks of.
func values(e *topdown.Event, expr *ast.Expr, input ast.Value) string {
	var known []string
	note := func(name string, value ast.Value) {
		const longest = 80
		text := []rune(value.String())
		if len(text) > longest {
			text = append(text[:longest], '…')
		}
		if item := name + " = " + string(text); !slices.Contains(known, item) {
			known = append(known, item)
		}
	}
	// The compiler took the expression apart; its text has the names that the author knows.
	written := expr
	if body, err := ast.ParseBody(string(expr.Location.Text)); err == nil && len(body) == 1 {
		written = body[0]
	}
	ast.WalkTerms(written, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Ref:
			if !v.HasPrefix(ast.InputRootRef) || !v.IsGround() {
				return false
			}
			if found := inputAt(input, v); found != nil {
				note(v.String(), found)
			} else {
				known = append(known, v.String()+" is undefined")
			}
			return true
		case ast.Var:
			if bound := local(e, expr, written, v); bound != nil {
				note(string(v), bound)
			}
		}
		return false
	})
	if len(known) == 0 {
		return ""
	}
	return "   (" + strings.Join(known, ", ") + ")"
}

// inputAt is nil where the input has nothing.
func inputAt(input ast.Value, ref ast.Ref) ast.Value {
	if input == nil {
		return nil
	}
	found, err := input.Find(ref[1:])
	if err != nil {
		return nil
	}
	return found
}

// local is the value of a variable that the author named so, nil when it has none yet. The engine's
// compiler keeps no names, so that the place of an operand must tell which variable it became.
func local(e *topdown.Event, compiled, written *ast.Expr, name ast.Var) ast.Value {
	operands := compiled.Operands()
	if e.Locals == nil || len(operands) != len(written.Operands()) {
		return nil
	}
	for i, operand := range written.Operands() {
		if v, ok := operands[i].Value.(ast.Var); ok && operand.Value.Compare(name) == 0 {
			return e.Locals.Get(v)
		}
	}
	return nil
}
