package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// infallible are the builtins that answer for every operand. Of any other one a type or a value that it
// cannot take is an error, and so may the decision be.
var infallible = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true,
	ast.LessThan.Name: true, ast.LessThanEq.Name: true, ast.GreaterThan.Name: true, ast.GreaterThanEq.Name: true,
	ast.Member.Name: true, ast.MemberWithKey.Name: true,
	ast.IsNumber.Name: true, ast.IsString.Name: true, ast.IsBoolean.Name: true, ast.IsArray.Name: true,
	ast.IsSet.Name: true, ast.IsObject.Name: true, ast.IsNull.Name: true, ast.TypeNameBuiltin.Name: true,
}

// readsTheClock are builtins that know the time, though OPA does not call them nondeterministic.
var readsTheClock = []string{"crypto.x509.", "io.jwt."}

// foresight tells whether what a partial evaluation leaves of a rule decides as the rule does, whatever
// the input. Values it always keeps; what it may lose is errors: it drops a body whose known part cannot
// be true, and with it the call or the conflict that would have failed before that part was reached.
// So nothing that depends on the input may fail.
type foresight struct {
	compiler *ast.Compiler
	facts    map[*ast.Rule]*ruleFacts
	order    []*ast.Rule // as they were found, the rules that were asked about first
}

type ruleFacts struct {
	refersTo []*ast.Rule
	unknown  bool      // depends on the input, or on what differs from one evaluation to the next
	lookups  []ast.Ref // the places in data below which something that varies is looked up
	strange  string    // a construct whose partial evaluation is not relied on; "" for none
}

// foresee looks at the rules of the document at ref, and at all that they refer to.
func (p *policy) foresee(ref ast.Ref) *foresight {
	f := &foresight{compiler: p.compiler, facts: map[*ast.Rule]*ruleFacts{}}
	f.find(p.compiler.GetRules(ref))
	for i := 0; i < len(f.order); i++ { // find adds to it
		f.find(f.facts[f.order[i]].refersTo)
	}
	f.spread()
	return f
}

// whyNotPartial tells why the rules at ref are not to be partially evaluated, "" when they may be; and
// where they look up data by what is not known.
func (f *foresight) whyNotPartial(ref ast.Ref) (lookups []ast.Ref, why string) {
	top := map[*ast.Rule]bool{}
	for _, rule := range f.compiler.GetRulesExact(ref) {
		top[rule] = true
	}
	if len(top) == 0 {
		return nil, "there is no rule"
	}
	for _, rule := range f.order {
		if !f.facts[rule].unknown {
			continue
		}
		if why := f.whyNot(rule, top[rule]); why != "" {
			return nil, why
		}
		lookups = append(lookups, f.facts[rule].lookups...)
	}
	return lookups, ""
}

// known are the places of the rules that depend on the data alone.
func (f *foresight) known() []ast.Ref {
	var places []ast.Ref
	for _, rule := range f.order {
		ref, known := rule.Ref(), true
		for _, other := range f.compiler.GetRules(ref) {
			known = known && f.facts[other] != nil && !f.facts[other].unknown
		}
		if known && ref.IsGround() && !slices.ContainsFunc(places, func(r ast.Ref) bool { return r.Equal(ref) }) {
			places = append(places, ref)
		}
	}
	return places
}

func (f *foresight) find(rules []*ast.Rule) {
	for _, rule := range rules {
		if f.facts[rule] == nil {
			f.facts[rule] = f.look(rule)
			f.order = append(f.order, rule)
		}
	}
}

func (f *foresight) look(rule *ast.Rule) *ruleFacts {
	facts := &ruleFacts{unknown: len(rule.Head.Args) > 0}
	if rule.Else != nil {
		facts.strange = "else"
	}
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			facts.unknown = facts.unknown || isInput(x)
			if x.HasPrefix(ast.DefaultRootRef) {
				if prefix := x.GroundPrefix(); len(prefix) == 1 {
					facts.strange = "a look at all of data"
				} else if len(prefix) < len(x) {
					facts.lookups = append(facts.lookups, prefix)
				}
				facts.refersTo = append(facts.refersTo, rulesAt(f.compiler, x)...)
			}
		case *ast.Expr:
			facts.lookAtExpr(x)
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every, *ast.Not, *ast.TemplateString, ast.Call:
			facts.strange = fmt.Sprintf("a construct that is not relied on, %T", x)
		}
		return false
	}).Walk(rule)
	return facts
}

func (facts *ruleFacts) lookAtExpr(x *ast.Expr) {
	if len(x.With) > 0 {
		facts.unknown, facts.strange = true, "with"
	}
	if !x.IsCall() || x.Operator().HasPrefix(ast.DefaultRootRef) {
		return
	}
	builtin := builtinOf(x)
	if builtin == nil {
		facts.unknown, facts.strange = true, "a builtin that is not OPA's"
		return
	}
	facts.unknown = facts.unknown || builtin.Nondeterministic
	for _, prefix := range readsTheClock {
		if strings.HasPrefix(builtin.Name, prefix) {
			facts.unknown, facts.strange = true, builtin.Name
		}
	}
}

// builtinOf is the builtin that an expression calls, nil when it calls none.
func builtinOf(x *ast.Expr) *ast.Builtin {
	if !x.IsCall() {
		return nil
	}
	return ast.BuiltinMap[x.Operator().String()]
}

// spread calls unknown what refers to something that is.
func (f *foresight) spread() {
	for again := true; again; {
		again = false
		for _, rule := range f.order {
			facts := f.facts[rule]
			if facts.unknown {
				continue
			}
			for _, other := range facts.refersTo {
				facts.unknown = facts.unknown || f.facts[other].unknown
			}
			again = again || facts.unknown
		}
	}
}

// whyNot is about one rule that depends on the input. The rules that are asked about may conflict, since
// nobody goes on after that.
func (f *foresight) whyNot(rule *ast.Rule, top bool) string {
	at := rule.Ref().String()
	if strange := f.facts[rule].strange; strange != "" {
		return at + " has " + strange
	}
	if !rule.Ref().IsGround() {
		return at + " has a name that varies"
	}
	if call := f.mayFail(rule); call != "" {
		return at + " calls " + call
	}
	if !top && f.mayConflict(rule) {
		return at + " may conflict"
	}
	return ""
}

// mayFail names a builtin that the rule calls with operands that depend on the input, and that may fail.
func (f *foresight) mayFail(rule *ast.Rule) string {
	tainted := ast.NewVarSet()
	for _, arg := range rule.Head.Args {
		addVars(tainted, arg)
	}
	for size := -1; size != len(tainted); {
		size = len(tainted)
		for _, expr := range rule.Body {
			if !f.isTainted(expr, tainted) {
				continue
			}
			if b := builtinOf(expr); b != nil && !infallible[b.Name] {
				return b.Name
			}
			addVars(tainted, expr)
		}
	}
	return ""
}

func (f *foresight) isTainted(expr *ast.Expr, tainted ast.VarSet) (found bool) {
	if b := builtinOf(expr); b != nil && b.Nondeterministic {
		return true
	}
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Var:
			found = found || tainted.Contains(x)
		case ast.Ref:
			found = found || isInput(x)
			if x.HasPrefix(ast.DefaultRootRef) {
				for _, rule := range rulesAt(f.compiler, x) {
					found = found || f.facts[rule].unknown
				}
			}
		}
		return found
	}).Walk(expr)
	return found
}

// mayConflict reports whether the rules at the place of this one may have two values at once. They have
// not when they can have but one: it is written down, or there is one rule, which looks up and does not
// search.
func (f *foresight) mayConflict(rule *ast.Rule) bool {
	if rule.Head.RuleKind() == ast.MultiValue {
		return false
	}
	var all []*ast.Rule
	for _, other := range f.compiler.GetRulesExact(rule.Ref()) {
		if !other.Default {
			all = append(all, other)
		}
	}
	constant := true
	for _, other := range all {
		constant = constant && ast.IsConstant(other.Head.Value.Value) && other.Head.Value.Equal(all[0].Head.Value)
	}
	return !constant && (len(all) > 1 || searches(rule))
}

// searches reports whether a body can be true in more than one way.
func searches(rule *ast.Rule) bool {
	bound, found := ast.NewVarSet(), false
	for _, arg := range rule.Head.Args {
		addVars(bound, arg)
	}
	for _, expr := range rule.Body {
		if b := builtinOf(expr); b != nil && b.Relation {
			return true
		}
		ast.WalkRefs(expr, func(ref ast.Ref) bool {
			for _, part := range ref[1:] {
				ast.WalkVars(part, func(v ast.Var) bool {
					found = found || !bound.Contains(v)
					return found
				})
			}
			return found
		})
		addVars(bound, expr)
	}
	return found
}

// rulesAt are the rules that a reference may mean.
func rulesAt(compiler *ast.Compiler, ref ast.Ref) []*ast.Rule {
	return compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
}

func isInput(ref ast.Ref) bool { return ref.HasPrefix(ast.InputRootRef) }

func addVars(to ast.VarSet, x any) {
	ast.WalkVars(x, func(v ast.Var) bool {
		to.Add(v)
		return false
	})
}
