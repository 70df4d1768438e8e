package plan

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// OPA's planner knows no deadline, and plans what follows a reference once for each rule that the reference may mean, and
// each rule once more below each with that replaces a function. So a few lines of policy make a plan that no memory
// holds. It also calls itself for each element of a constant, and the stack of a goroutine has an end that no
// recover survives; and for each statement it counts the characters of the expression's text. The size of a plan is estimated before it is made, rather too large than too small.

// maxPlanned bounds what is planned for one path, in terms. A term is planned by one or two statements. A term of a long
// expression counts as several, one for each bytesPerTerm.
const maxPlanned, bytesPerTerm = 100_000, 500

// sizer estimates the sizes of plans.
type sizer struct {
	compiler *ast.Compiler
	sizes    map[*ast.Rule]int // with what is planned for it below a with; saturated
}

// tooLarge returns an error that wraps [ErrAsk] if the plan of the rules may be larger than maxPlanned.
func (s *sizer) tooLarge(rules map[*ast.Rule]bool) error {
	size := 0
	for rule := range rules {
		if size = more(size, s.rule(rule)); size > maxPlanned {
			return fmt.Errorf("%w: %s: its plan would be too large", ErrAsk, rule.Location)
		}
	}
	return nil
}

// more and times saturate: sizes grow exponentially.
func more(a, b int) int { return min(a+b, maxPlanned+1) }

func times(a, b int) int {
	if b > 0 && a > maxPlanned/b {
		return maxPlanned + 1
	}
	return a * b
}

func (s *sizer) rulesAt(ref ast.Ref) []*ast.Rule {
	return s.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
}

// reachable are the rules and all that they refer to.
func (s *sizer) reachable(from []*ast.Rule) map[*ast.Rule]bool {
	seen := map[*ast.Rule]bool{}
	for left := from; len(left) > 0; {
		rule := left[len(left)-1]
		left = left[:len(left)-1]
		if !seen[rule] {
			seen[rule] = true
			left = append(left, s.referredTo(rule)...)
			// Rules of one name are planned as one function where a head has a variable, whichever part is asked for.
			left = append(left, s.compiler.GetRulesWithPrefix(rule.Ref()[:len(rule.Module.Package.Path)+1])...)
		}
	}
	return seen
}

func (s *sizer) referredTo(x any) (all []*ast.Rule) {
	ast.WalkRefs(x, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) {
			all = append(all, s.rulesAt(ref)...)
		}
		return false
	})
	return all
}

// rule is the size of the plan of one rule with its else branches.
func (s *sizer) rule(rule *ast.Rule) int {
	if size, ok := s.sizes[rule]; ok {
		return size
	}
	s.sizes[rule] = 0 // rules do not recurse; a with may seem to
	size := 0
	for r := rule; r != nil && size <= maxPlanned; r = r.Else {
		// The head is planned within the body, by whose loops it is repeated.
		size = more(size, s.body(r.Body, s.terms(r.Head, weight(r.Location))))
	}
	s.sizes[rule] = size
	return size
}

// body is the size of a body and of what is planned at its end.
func (s *sizer) body(body ast.Body, end int) int {
	size, repeated := 0, 1
	for _, e := range body {
		size = more(size, times(repeated, s.terms(e, weight(e.Location))))
		if replaces(e) {
			for rule := range s.reachable(s.referredTo(e)) {
				size = more(size, times(repeated, s.rule(rule)))
			}
		}
		// What follows is planned for each rule that a reference may mean. Those in comprehensions end with them.
		ast.NewGenericVisitor(func(x any) bool {
			if ref, ok := x.(ast.Ref); ok && ref.HasPrefix(ast.DefaultRootRef) {
				repeated = times(repeated, meanings(s.compiler.RuleTree.Child(ast.DefaultRootDocument.Value), ref[1:]))
			}
			_, every := x.(*ast.Every)
			term, ok := x.(*ast.Term)
			return every || ok && ast.IsComprehension(term.Value)
		}).Walk(e)
		if size > maxPlanned {
			return size
		}
	}
	return more(size, times(repeated, end))
}

func weight(l *ast.Location) int {
	if l == nil {
		return 1
	}
	return 1 + len(l.Text)/bytesPerTerm
}

// terms is the size of an expression or a head by itself, with the bodies in it. weight is that of a term.
func (s *sizer) terms(x any, weight int) int {
	size := 0
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Term:
			size = more(size, weight)
		case *ast.ArrayComprehension:
			size = more(size, s.body(x.Body, s.terms(x.Term, weight)))
			return true
		case *ast.SetComprehension:
			size = more(size, s.body(x.Body, s.terms(x.Term, weight)))
			return true
		case *ast.ObjectComprehension:
			size = more(size, s.body(x.Body, s.terms(x.Key, weight)+s.terms(x.Value, weight)))
			return true
		case *ast.Every:
			size = more(size, s.terms(x.Domain, weight)+s.body(x.Body, 1))
			return true
		}
		return size > maxPlanned
	}).Walk(x)
	return size
}

// meanings is how many rules and places of data a reference may mean, below a node of the tree of rules.
func meanings(node *ast.TreeNode, ref ast.Ref) int {
	if node == nil || len(ref) == 0 || len(node.Values) > 0 {
		return 1
	}
	if _, text := ref[0].Value.(ast.String); text {
		return meanings(node.Child(ref[0].Value), ref[1:])
	}
	all := 1
	for _, child := range node.Children {
		all = more(all, meanings(child, ref[1:]))
	}
	return all
}

// replaces reports whether an expression has a with that may replace a rule or a function.
func replaces(e *ast.Expr) bool {
	for _, w := range e.With {
		if ref, ok := w.Target.Value.(ast.Ref); !ok || !ref.HasPrefix(ast.InputRootRef) {
			return true
		}
	}
	return false
}
