package eval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// infallible are the builtins that have an answer for every operand. Any other builtin is an error for some
// types or values, and then the decision may be an error. A builtin that a later OPA adds is not in the list,
// so it costs a path its second tier and never an error its place.
var infallible = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true,
	ast.LessThan.Name: true, ast.LessThanEq.Name: true, ast.GreaterThan.Name: true, ast.GreaterThanEq.Name: true,
	ast.Member.Name: true, ast.MemberWithKey.Name: true,
	ast.IsNumber.Name: true, ast.IsString.Name: true, ast.IsBoolean.Name: true, ast.IsArray.Name: true,
	ast.IsSet.Name: true, ast.IsObject.Name: true, ast.IsNull.Name: true, ast.TypeNameBuiltin.Name: true,
}

// readsTheClock are builtins that read the time, though OPA does not call them nondeterministic: they compare
// it with the dates in a certificate or a token. A partial evaluation would keep the answer of one moment.
var readsTheClock = []string{"crypto.x509.", "io.jwt."}

// inspection finds out whether what a partial evaluation leaves of some rules decides as the rules do, for
// every input. A partial evaluation keeps all values, and may lose errors: it drops a body whose part without
// the input is false, and with it the call or the conflict that would have failed before that part was
// reached. So nothing that depends on the input may be able to fail.
type inspection struct {
	compiler *ast.Compiler
	facts    map[*ast.Rule]*ruleFacts
	order    []*ast.Rule // as they were found, those at the path first
}

// ruleFacts is what inspect finds out about one rule by its source alone, but for varies, which spread completes.
type ruleFacts struct {
	refersTo []*ast.Rule
	varies   bool      // depends on the input, or on what differs from one evaluation to the next
	lookups  []ast.Ref // the places in data below which something that varies is looked up
	strange  string    // a construct whose partial evaluation is not relied on; "" for none
}

// inspect looks at the rules of the document at ref, and at all that they refer to. It reads compiled rules, where
// every reference is written in full and calls are expressions of their own; so it need not follow imports.
func inspect(compiler *ast.Compiler, ref ast.Ref) *inspection {
	f := &inspection{compiler: compiler, facts: map[*ast.Rule]*ruleFacts{}}
	f.find(compiler.GetRules(ref))
	// A worklist, not a recursion: chains of rules may be as long as the policy.
	for i := 0; i < len(f.order); i++ { // find adds to it
		f.find(f.facts[f.order[i]].refersTo)
	}
	f.spread()
	return f
}

// whyNotPartial returns why the rules at ref must not be partially evaluated, "" when they may be; and the
// places where they look up data by something that varies.
//
// Rules that do not vary are asked about only where they have no place of their own at which they could be evaluated
// beforehand: see constants, whose errors rule out a partial evaluation too.
func (f *inspection) whyNotPartial(ref ast.Ref) (lookups []ast.Ref, why string) {
	top := map[*ast.Rule]bool{}
	for _, rule := range f.compiler.GetRulesExact(ref) {
		top[rule] = true
	}
	if len(top) == 0 {
		return nil, "there is no rule"
	}
	for _, rule := range f.order {
		if !f.facts[rule].varies {
			if !top[rule] && !rule.Ref().IsGround() && rule.Head.RuleKind() != ast.MultiValue {
				return nil, rule.Ref().String() + " may conflict"
			}
			continue
		}
		if why := f.whyNot(rule, top[rule]); why != "" {
			return nil, why
		}
		lookups = append(lookups, f.facts[rule].lookups...)
	}
	return lookups, ""
}

// constants are the places of the rules that depend on the data alone. All rules that GetRules finds at a place
// count, since the value there is made of all of them.
func (f *inspection) constants() []ast.Ref {
	var places []ast.Ref
	for _, rule := range f.order {
		ref, constant := rule.Ref(), true
		for _, other := range f.compiler.GetRules(ref) {
			constant = constant && f.facts[other] != nil && !f.facts[other].varies
		}
		if constant && ref.IsGround() && !slices.ContainsFunc(places, func(r ast.Ref) bool { return r.Equal(ref) }) {
			places = append(places, ref)
		}
	}
	return places
}

// find adds rules that are new. The order is the one in which a search from the path meets them, so messages name
// the rule that is nearest to it.
func (f *inspection) find(rules []*ast.Rule) {
	for _, rule := range rules {
		if f.facts[rule] == nil {
			f.facts[rule] = f.look(rule)
			f.order = append(f.order, rule)
		}
	}
}

// look gathers the facts of one rule. What it does not rely on is strange, not wrong: a partial evaluation of it may
// be right, which no test shows.
func (f *inspection) look(rule *ast.Rule) *ruleFacts {
	// A function varies with its arguments: it has no value of its own that could be stored.
	facts := &ruleFacts{varies: len(rule.Head.Args) > 0}
	if rule.Else != nil {
		facts.strange = "else"
	}
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			facts.varies = facts.varies || isInput(x)
			if x.HasPrefix(ast.DefaultRootRef) {
				// A reference to all of data reaches every rule, so nothing can be said of it. One with a variable is
				// a lookup, which numberName has to check.
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
		facts.varies, facts.strange = true, "with"
	}
	if !x.IsCall() || x.Operator().HasPrefix(ast.DefaultRootRef) {
		return
	}
	builtin := builtinOf(x)
	if builtin == nil {
		facts.varies, facts.strange = true, "a builtin that is not OPA's"
		return
	}
	facts.varies = facts.varies || builtin.Nondeterministic
	for _, prefix := range readsTheClock {
		if strings.HasPrefix(builtin.Name, prefix) {
			facts.varies, facts.strange = true, builtin.Name
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

// spread marks rules that refer to one that varies, until there are no more. Rego has no recursion, but rules
// are found in no topological order, so one pass is not enough.
func (f *inspection) spread() {
	for again := true; again; {
		again = false
		for _, rule := range f.order {
			facts := f.facts[rule]
			if facts.varies {
				continue
			}
			for _, other := range facts.refersTo {
				facts.varies = facts.varies || f.facts[other].varies
			}
			again = again || facts.varies
		}
	}
}

// whyNot is about one rule that depends on the input. The rules at the path itself (top) may conflict: nothing
// is evaluated after that error, so it cannot be lost.
func (f *inspection) whyNot(rule *ast.Rule, top bool) string {
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

// mayFail names a builtin that the rule calls with operands that depend on the input, and that may fail. A call
// whose operands do not depend on it does the same in every decision. Variables that share an expression with
// a tainted one are tainted, until there are no more: rather too many than one too few.
func (f *inspection) mayFail(rule *ast.Rule) string {
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

// isTainted reports whether an expression depends on the input: it has a tainted variable, a reference to the
// input or to a rule that varies, or a builtin whose answer differs from call to call.
func (f *inspection) isTainted(expr *ast.Expr, tainted ast.VarSet) (found bool) {
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
					found = found || f.facts[rule].varies
				}
			}
		}
		return found
	}).Walk(expr)
	return found
}

// mayConflict reports whether the rules at the place of this one may have two values at once. They cannot if
// all have the same constant value, or if there is one rule and its body does not search. Default rules do not
// count, since their value stands only where no other has one; nor do sets, which take any number of values.
func (f *inspection) mayConflict(rule *ast.Rule) bool {
	if rule.Head.RuleKind() == ast.MultiValue {
		return false
	}
	var all []*ast.Rule
	for _, other := range f.compiler.GetRulesExact(rule.Ref()) {
		if !other.Default {
			all = append(all, other)
		}
	}
	// Rules that agree on one constant cannot conflict, as with allow if ... any number of times.
	constant := true
	for _, other := range all {
		constant = constant && ast.IsConstant(other.Head.Value.Value) && other.Head.Value.Equal(all[0].Head.Value)
	}
	return !constant && (len(all) > 1 || searches(rule))
}

// searches reports whether a body can be true in more than one way: it has a relation, or a reference with a
// variable that nothing before it binds.
func searches(rule *ast.Rule) bool {
	// Variables count as bound once an expression has them. The compiler has put the expressions into an order in
	// which that holds.
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

// indexed are the references into data whose last part is a variable that is bound before, in rules that vary: the input
// may choose it. One that is not bound searches, and finds every member by its own name.
func (f *inspection) indexed() (all []ast.Ref) {
	for _, rule := range f.order {
		if !f.facts[rule].varies {
			continue
		}
		// As in searches: the compiler has put the expressions into an order in which a variable is bound by the first
		// that has it, so what is bound before an expression may have been chosen by the input.
		bound := ast.NewVarSet()
		for _, arg := range rule.Head.Args {
			addVars(bound, arg)
		}
		// Whether the input did choose it is not asked: a lookup by a variable from the data alone costs a path its
		// second tier, if it looks into a list, and no answer.
		take := func(ref ast.Ref) bool {
			for i := 1; i < len(ref) && ref.HasPrefix(ast.DefaultRootRef); i++ {
				// A part that is neither a variable nor a constant, such as a set with the input in it, is chosen as well.
				v, ok := ref[i].Value.(ast.Var)
				if ok && bound.Contains(v) || !ok && !ref[i].IsGround() {
					all = append(all, ref[:i+1])
				}
			}
			return false
		}
		for _, expr := range rule.Body {
			ast.WalkRefs(expr, take)
			addVars(bound, expr)
		}
		ast.WalkRefs(rule.Head, take) // last: the head may use every variable of the body
	}
	return all
}

// rulesAt are the rules that a reference may mean, hidden packages (data.system) included: a rule that is missed
// here would count as one that does not vary.
func rulesAt(compiler *ast.Compiler, ref ast.Ref) []*ast.Rule {
	return compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
}

// isInput holds for input itself and all below it.
func isInput(ref ast.Ref) bool { return ref.HasPrefix(ast.InputRootRef) }

func addVars(to ast.VarSet, x any) {
	ast.WalkVars(x, func(v ast.Var) bool {
		to.Add(v)
		return false
	})
}
