package probe

import (
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Hints are the gaps that can be told from the text of the rules alone, without an input: in rules named deny, violation or
// the like, a negated condition that is undefined without a field; in rules named allow or the like, one that is true without
// it. The field is named nowhere else in the clause. [Open] shows which gaps there really are.
func Hints(g *engine.Generation) []Gap {
	var found []Gap
	for _, f := range g.Files() {
		m := g.Module(f.Path)
		if m == nil {
			continue
		}
		lines := strings.Split(string(f.Bytes), "\n")
		for _, rule := range m.Rules {
			for _, h := range hintsOf(rule) {
				if h.Row <= len(lines) {
					h.Text = lines[h.Row-1]
				}
				h.File = f.Path
				found = append(found, h)
			}
		}
	}
	return found
}

var (
	denyingRules  = []string{"deny", "denied", "block", "blocked", "violation", "violations"}
	allowingRules = []string{"allow", "allowed", "permit", "permitted"}
)

func hintsOf(rule *ast.Rule) (found []Gap) {
	name := nameOf(rule)
	denies, allows := slices.Contains(denyingRules, name), slices.Contains(allowingRules, name)
	if !denies && !allows {
		return nil
	}
	fields := fieldsIn(rule.Body)
	for i, expr := range rule.Body {
		not, isNot := expr.Terms.(*ast.Not)
		if !isNot && !expr.Negated {
			continue
		}
		var missing string
		switch {
		case denies:
			missing = fields.before(rule.Body[:i], expr)
		case isNot:
			missing = fields.within(rule.Body, i, not.Body)
		default:
			missing = fields.within(rule.Body, i, ast.NewBody(expr))
		}
		if missing == "" || expr.Location == nil {
			continue
		}
		h := Gap{Path: name, Missing: missing, Row: expr.Location.Row, Column: expr.Location.Col, Hint: hintUndefined}
		if allows {
			h.Hint = "ask for the field first, by a condition of its own such as is_string(" + missing + ")"
		}
		found = append(found, h)
	}
	return found
}

const hintUndefined = "write the condition as a rule of its own, such as known if …, and negate that: not known is true without the field"

// inputFields tells which variables of a body hold what part of the input.
type inputFields map[ast.Var]string

// fieldsIn follows assignments of parts of the input, also of elements of its lists.
func fieldsIn(body ast.Body) inputFields {
	fields := inputFields{}
	for _, expr := range body {
		if v, ok := local(expr); ok {
			for i := range 2 {
				if ref, isRef := expr.Operand(i).Value.(ast.Ref); isRef {
					if name := fields.name(ref); name != "" {
						fields[v] = name
					}
				}
			}
		}
	}
	return fields
}

// name is a reference as one into the input; empty if it is none.
func (f inputFields) name(ref ast.Ref) string {
	head, ok := ref[0].Value.(ast.Var)
	if !ok {
		return ""
	}
	name := "input"
	if head.Compare(ast.InputRootDocument.Value) != 0 {
		if name = f[head]; name == "" {
			return ""
		}
	}
	for _, t := range ref[1:] {
		switch v := t.Value.(type) {
		case ast.String:
			name += referenceOf(place{string(v)})
		default:
			name += "[_]"
		}
	}
	if len(ref) == 1 {
		return ""
	}
	return name
}

// before is the field that was assigned just for a negated call: without it, the clause does not hold, whatever the call
// would say.
func (f inputFields) before(body ast.Body, negated *ast.Expr) string {
	for _, expr := range body {
		v, ok := local(expr)
		if !ok || !expr.Generated || f[v] == "" || !mentions(negated, v) || asksForKind(negated, v) {
			continue
		}
		others := 0
		for _, other := range body {
			if w, ok := local(other); ok && w != v && f[w] == f[v] {
				others++
			}
		}
		if others == 0 {
			return f[v]
		}
	}
	return ""
}

// within is the field of a negated comparison with a constant: without it, the comparison fails, and its negation holds.
func (f inputFields) within(body ast.Body, at int, negated ast.Body) string {
	for _, expr := range negated {
		if !expr.IsEquality() {
			continue
		}
		for i := range 2 {
			ref, isRef := expr.Operand(i).Value.(ast.Ref)
			if !isRef || !expr.Operand(1-i).IsGround() || ast.IsConstant(expr.Operand(i).Value) {
				continue
			}
			if name := f.name(ref); name != "" && !f.named(body, at, name) {
				return name
			}
		}
	}
	return ""
}

// named reports whether other conditions of a body look at a field.
func (f inputFields) named(body ast.Body, but int, field string) bool {
	found := false
	for i, expr := range body {
		if i == but {
			continue
		}
		ast.WalkRefs(expr, func(ref ast.Ref) bool {
			found = found || f.name(ref) == field
			return found
		})
	}
	return found
}

// asksForKind reports whether a negated expression is is_string or the like: it has thought of a lack of the field.
func asksForKind(negated *ast.Expr, v ast.Var) bool {
	found := false
	ast.WalkExprs(negated, func(e *ast.Expr) bool {
		if terms, ok := e.Terms.([]*ast.Term); ok && strings.HasPrefix(terms[0].Value.String(), "is_") && mentions(e, v) {
			found = true
		}
		return found
	})
	return found
}
