package compile

import (
	"slices"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// CheckPath refuses a path whose last parts cannot exist by the type of the rule that they lead into, as
// OPA's type checker does when it has the types of all rules. The error is [ast.Errors].
func (p *Policy) CheckPath(ref ast.Ref) error {
	if p.whyWhole != "" {
		return nil // its compiler has all types, and checks the query itself
	}
	// The last rule on the way down decides: its type says what can be selected below it.
	node := p.compiler.RuleTree
	var at export
	tail, found := ast.Ref{}, false
	for i, part := range ref {
		if node = node.Child(part.Value); node == nil {
			break
		}
		if len(node.Values) > 0 {
			key, _ := unit.KeyOf(ref[1 : i+1])
			own := unit.PathKey(node.Values[0].Module.Package.Path)
			at, found = p.packages.Get(own).exports[key]
			tail = ref[i+1:]
			if p.packages.Get(own).general {
				return p.checkByClosure(ref, own)
			}
		}
	}
	if !found || at.tpe == nil || selects(at.tpe, tail) {
		return nil
	}
	return compileQuery(compilerWithType(at, p.isReplaced(ref)), ref) // for the words of OPA's error
}

// checkByClosure is CheckPath where one place has the types of several rules: only the type checker joins
// them, so the package is compiled again with everything that it refers to.
func (p *Policy) checkByClosure(ref ast.Ref, own unit.Key) error {
	compiler := dialect.NewCompiler()
	compiler.Compile(p.SyntaxFor(unit.SetOf(own)))
	return compileQuery(compiler, ref)
}

// compileQuery type-checks a reference as a query, with a compiler made for this: see invariant 1.
func compileQuery(compiler *ast.Compiler, ref ast.Ref) error {
	_, err := compiler.QueryCompiler().Compile(ast.NewBody(ast.NewExpr(ast.NewTerm(ref))))
	return err
}

// isReplaced reports whether a with replaces a rule on the way to ref: see [replacedRules].
func (p *Policy) isReplaced(ref ast.Ref) bool {
	key := unit.PathKey(ref)
	return slices.ContainsFunc(p.replaced(), func(place unit.Key) bool { return place.Overlaps(key) })
}

// compilerWithType makes a compiler that has one rule, of the type of e, and if replaced, another that replaces it. The error
// about a path is then OPA's own, word for word, though the policy's compiler has no types of rules (see [Policy.Compiler]).
func compilerWithType(e export, replaced bool) *ast.Compiler {
	value := ast.VarTerm("$value") // no module can have this name
	rule := &ast.Rule{
		Head: ast.RefHead(ast.Ref{ast.VarTerm(dialect.NameOf(e.ref[len(e.ref)-1]))}, value),
		Body: ast.NewBody(ast.NewExpr([]*ast.Term{ast.RefTerm(ast.VarTerm("type_at_place")), value})),
	}
	module := &ast.Module{Package: &ast.Package{Path: e.ref[:len(e.ref)-1]}, Rules: []*ast.Rule{rule}}
	if _, isFunction := e.tpe.(*types.Function); replaced && !isFunction {
		with := &ast.With{Target: ast.NewTerm(e.ref), Value: ast.NewTerm(ast.InputRootRef)}
		module.Rules = append(module.Rules, &ast.Rule{
			Head: ast.RefHead(ast.Ref{ast.VarTerm("$replaces")}, ast.BooleanTerm(true)),
			Body: ast.NewBody(&ast.Expr{Terms: ast.BooleanTerm(true), With: []*ast.With{with}}),
		})
	}
	for _, rule := range module.Rules {
		rule.Module = module
	}
	compiler := dialect.NewCompiler().WithBuiltins(map[string]*ast.Builtin{ //nolint:staticcheck // capabilities would replace OPA's own builtins
		"type_at_place": {Name: "type_at_place", Decl: types.NewFunction(nil, e.tpe)},
	})
	compiler.Compile(map[string]*ast.Module{"": module})
	return compiler
}

// selects reports whether a value of the type can have something at tail. Every path of a decision passes here, so a
// compiler is only made where the answer is no, for the error.
func selects(tpe types.Type, tail ast.Ref) bool {
	for _, part := range tail {
		key, err := ast.JSON(part.Value)
		if err != nil {
			return true // a variable: it may select anything
		}
		if tpe = types.Select(tpe, key); tpe == nil {
			return false
		}
	}
	return true
}
