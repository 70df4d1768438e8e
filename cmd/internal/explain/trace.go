package explain

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxLines limits an explanation: a condition in a loop over a thousand elements fails a thousand times.
const maxLines = 200

// explainTrace returns the rules that fired and the conditions that failed, in the order of evaluation, with
// the values of their variables. Equal lines appear once.
func explainTrace(trace []*topdown.Event, input ast.Value) []string {
	var lines []string
	seen := map[string]bool{}
	add := func(line string) {
		if !seen[line] && len(lines) < maxLines {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	for _, e := range trace {
		if e.Location == nil || e.Location.File == "" {
			continue // an event of the query, not of a file
		}
		at := terminal.Sprintf("%s:%d", e.Location.File, e.Location.Row)
		switch node := e.Node.(type) {
		case *ast.Rule:
			if e.Op == topdown.ExitOp {
				kind, text := "fired", ruleLine(node.Location)
				if node.Default {
					kind, text = "default", node.Head.String()
				}
				add(fmt.Sprintf("%-8s %s: %s", kind, at, text))
			}
		case *ast.Expr:
			if e.Op == topdown.FailOp {
				add(fmt.Sprintf("failed   %s: %s%s", at, ruleLine(node.Location), values(e, node, input)))
			}
		}
	}
	if len(lines) == maxLines {
		lines = append(lines, "… and more")
	}
	return lines
}

// ruleLine returns the first line of a rule or an expression.
func ruleLine(l *ast.Location) string { return strings.TrimSpace(report.FirstLine(string(l.Text))) }

// values lists the values of the variables and of the parts of the input that an expression names, in
// parentheses; empty when it names none.
func values(e *topdown.Event, expr *ast.Expr, input ast.Value) string {
	var found []string
	add := func(name string, value ast.Value) {
		const maxRunes = 80
		text := []rune(value.String())
		if len(text) > maxRunes {
			text = append(text[:maxRunes], '…')
		}
		if item := name + " = " + string(text); !slices.Contains(found, item) {
			found = append(found, item)
		}
	}
	// The compiler renamed the variables of the expression; its text has the author's names.
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
			if value := inputAt(input, v); value != nil {
				add(v.String(), value)
			} else {
				found = append(found, v.String()+" is undefined")
			}
			return true
		case ast.Var:
			if value := local(e, expr, written, v); value != nil {
				add(string(v), value)
			}
		}
		return false
	})
	if len(found) == 0 {
		return ""
	}
	return "   (" + strings.Join(found, ", ") + ")"
}

// inputAt returns the value of ref, a reference to the input; nil when it is undefined.
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

// local returns the value of the variable with the author's name; nil when it has none yet. The engine's
// compiler does not keep these names, so the variable is found by its position among the operands.
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
