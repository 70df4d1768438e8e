package probe

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// valuesFor guesses what a missing place could hold: what the conditions behind it compare it with, what places of its
// name were compared with, and one value of each kind.
func (w *watch) valuesFor(s *site, at place, k *known) []any {
	var all []any
	if v, ok := local(s.expr); ok {
		all = append(all, usesOf(s.body, v, k)...)
	}
	all = append(all, k.named[at.name()]...)
	all = append(all, k.templates(at.name())...)
	if len(all) > 16 {
		all = all[:16]
	}
	return append(all, "x", number(1), true, []any{"x"}, map[string]any{})
}

// local is the variable that a generated condition binds.
func local(expr *ast.Expr) (ast.Var, bool) {
	if !expr.IsEquality() {
		return "", false
	}
	for i := range 2 {
		if v, ok := expr.Operand(i).Value.(ast.Var); ok {
			return v, true
		}
	}
	return "", false
}

func usesOf(body ast.Body, v ast.Var, k *known) (all []any) {
	ast.WalkExprs(body, func(e *ast.Expr) bool {
		terms, ok := e.Terms.([]*ast.Term)
		if !ok {
			return false
		}
		at := slices.IndexFunc(terms[1:], func(t *ast.Term) bool { return t.Value.Compare(v) == 0 })
		if at < 0 {
			return false
		}
		op := terms[0].Value.String()
		for i, t := range terms[1:] {
			if i == at || !t.IsGround() {
				continue
			}
			c, ok := plain(t.Value)
			if !ok {
				continue
			}
			switch text, isText := c.(string); {
			case op == "regex.match" && isText:
				for _, sample := range samplesOfRegex(text) {
					all = append(all, sample)
				}
			case op == "glob.match" && isText:
				for _, sample := range samplesOfGlob(text, []string{"."}) {
					all = append(all, sample)
				}
			case strings.HasPrefix(op, "internal.member"):
				if list, ok := c.([]any); ok {
					all = append(all, list[:min(len(list), 4)]...)
				} else {
					all = append(all, []any{c})
				}
			default:
				all = append(all, c)
				if f, ok := floatOf(c); ok {
					all = append(all, number(f+1), number(f-1))
				}
			}
		}
		switch op {
		case "time.parse_rfc3339_ns":
			all = append(all, "2026-03-04T12:00:00Z")
		case "net.cidr_contains":
			all = append(all, "10.0.0.1")
		}
		return false
	})
	k.prefer(all)
	return all
}
