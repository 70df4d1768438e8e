package plan

import (
	"slices"

	"defenseclaw/engine/internal/builtins"

	"github.com/open-policy-agent/opa/v1/ast"
)

// OPA's evaluator makes an index of a comprehension whose body compares with variables from outside, its keys: it
// evaluates the body once, for all values of them. A plan evaluates it for the one value that it has. So the evaluator
// meets errors of other values that the plan is spared, and the plan must not answer where there may be one.

// failing is in which modes an evaluation can end with an error.
type failing int

const (
	never failing = iota
	ifStrict
	always // also where builtins are lenient
)

// failures finds out what may fail, and remembers it of rules.
type failures struct {
	compiler *ast.Compiler
	replaces bool // a function is replaced somewhere, so a builtin may be any function
	rules    map[*ast.Rule]failing
}

func newFailures(compiler *ast.Compiler, rules map[*ast.Rule]bool) *failures {
	f := &failures{compiler: compiler, rules: map[*ast.Rule]failing{}}
	for rule := range rules {
		ast.WalkExprs(rule, func(e *ast.Expr) bool {
			f.replaces = f.replaces || slices.ContainsFunc(e.With, func(w *ast.With) bool { return replacesFunction(compiler, w) })
			return f.replaces
		})
	}
	return f
}

// indexes is what the indexes of a rule's comprehensions may do, and where the worst is.
func (f *failures) indexes(rule *ast.Rule) (may failing, at *ast.Location) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		if index := f.compiler.ComprehensionIndex(t); index != nil {
			if found := f.index(t, index.Keys); found > may {
				may, at = found, t.Location
			}
		}
		return may == always
	})
	return may, at
}

func (f *failures) index(t *ast.Term, keys []*ast.Term) failing {
	var body ast.Body
	var may failing
	switch c := t.Value.(type) {
	case *ast.ArrayComprehension:
		body, may = c.Body, f.of(c.Term)
	case *ast.SetComprehension:
		body, may = c.Body, f.of(c.Term)
	case *ast.ObjectComprehension:
		return always // a key may have two values
	}
	if usesBefore(f.compiler, body, keys) {
		return always
	}
	for _, e := range body[f.untilKey(body, keys):] {
		may = max(may, f.of(e))
	}
	return may
}

// untilKey is how many expressions come before the first that mentions a key. The two evaluate these alike.
func (f *failures) untilKey(body ast.Body, keys []*ast.Term) int {
	mentions := func(e *ast.Expr) (found bool) {
		ast.WalkVars(e, func(v ast.Var) bool {
			found = found || slices.ContainsFunc(keys, func(key *ast.Term) bool { return key.Value.Compare(v) == 0 })
			return found
		})
		return found
	}
	if i := slices.IndexFunc(body, mentions); i >= 0 {
		return i
	}
	return 0
}

// infallible are the builtins that have an answer for all operands.
var infallible = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true,
	ast.LessThan.Name: true, ast.LessThanEq.Name: true, ast.GreaterThan.Name: true, ast.GreaterThanEq.Name: true,
	ast.Member.Name: true, ast.MemberWithKey.Name: true,
	ast.IsNumber.Name: true, ast.IsString.Name: true, ast.IsBoolean.Name: true, ast.IsArray.Name: true,
	ast.IsSet.Name: true, ast.IsObject.Name: true, ast.IsNull.Name: true, ast.TypeNameBuiltin.Name: true,
}

// of is what a part of a rule may do: a builtin fails for some operands, a rule or an object has two values.
func (f *failures) of(x any) (may failing) {
	ast.WalkTerms(x, func(t *ast.Term) bool {
		if _, ok := t.Value.(*ast.ObjectComprehension); ok {
			may = always
		}
		return may == always
	})
	ast.WalkRefs(x, func(ref ast.Ref) bool {
		switch {
		case ref.HasPrefix(ast.DefaultRootRef):
			for _, rule := range f.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true}) {
				may = max(may, f.rule(rule))
			}
		case ast.BuiltinMap[ref.String()] != nil:
			may = max(may, f.builtin(ref.String()))
		}
		return may == always
	})
	return may
}

func (f *failures) builtin(name string) failing {
	switch {
	case f.replaces:
		return always
	case infallible[name]:
		return never
	case builtins.MayEnd(name):
		return always
	default:
		return ifStrict
	}
}

func (f *failures) rule(rule *ast.Rule) failing {
	may, known := f.rules[rule]
	if known {
		return may
	}
	if f.conflicts(rule) {
		may = always
	} else {
		may = f.of(rule)
	}
	f.rules[rule] = may
	return may
}

// conflicts reports whether what a rule is part of may have two values. It has one if all that its rules can give is the
// same constant, or if there is one rule alone, whose branches are tried in turn.
func (f *failures) conflicts(rule *ast.Rule) bool {
	if !rule.Ref().IsGround() {
		return true
	}
	if rule.Head.RuleKind() == ast.MultiValue {
		return false
	}
	all := slices.DeleteFunc(slices.Clone(f.compiler.GetRulesExact(rule.Ref())), func(r *ast.Rule) bool { return r.Default })
	for _, r := range all {
		for branch := r; branch != nil; branch = branch.Else {
			if v := branch.Head.Value; v == nil || !ast.IsScalar(v.Value) || len(all) > 1 && v.Value.Compare(all[0].Head.Value.Value) != 0 {
				return true
			}
		}
	}
	return false
}

// usesBefore reports whether a body calls a builtin with one of the keys before something binds it.
func usesBefore(compiler *ast.Compiler, body ast.Body, keys []*ast.Term) bool {
	unbound := ast.NewVarSet()
	for _, key := range keys {
		if v, ok := key.Value.(ast.Var); ok {
			unbound.Add(v)
		}
	}
	safe := body.Vars(ast.VarVisitorParams{}).Diff(unbound)
	for _, expr := range body {
		safe.Update(ast.OutputVarsFromExpr(compiler, expr, safe))
		if (expr.IsCall() && !expr.IsEquality() || expr.Negated) && len(expr.Vars(ast.VarVisitorParams{}).Intersect(unbound).Diff(safe)) > 0 {
			return true
		}
	}
	return false
}
