package compile

import (
	"fmt"
	"maps"
	"slices"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// stubs stand in for the rules of other packages while packages are compiled without those. A stub has the
// rule's place, arity and type, and a body that means nothing: it is never evaluated.
type stubs struct {
	rules map[unit.RuleAt]export
	needs map[unit.Key]*needs
}

// stubsFor collects the rules that packages refer to. Packages that refer to one that cannot be a stub are
// moved to o.together, which takes them out of packages as well: next compiles those with their closure later.
func (o *order) stubsFor(packages unit.Set) *stubs {
	s := &stubs{rules: map[unit.RuleAt]export{}, needs: map[unit.Key]*needs{}}
	for key := range packages {
		s.needs[key] = o.againstStubs[key]
		for _, at := range o.againstStubs[key].rules {
			e, ok := s.rules[at]
			if !ok {
				e, ok = o.lookUp(at)
			}
			if !ok {
				delete(packages, key)
				delete(o.againstStubs, key)
				o.withClosure[key] = true
				break
			}
			s.rules[at] = e
		}
	}
	return s
}

// lookUp returns the export at a place, as compiled in this edit, or else as it was, which is still true of a
// settled package (invariant 4). It is not ok if nothing is there, or if it cannot be declared by name.
func (o *order) lookUp(at unit.RuleAt) (export, bool) {
	p := o.s.packages[at.Package]
	if p == nil {
		p = o.c.before.packages.Get(at.Package)
	}
	if p == nil || p.whyWhole != "" {
		return export{}, false
	}
	e, ok := p.exports[at.Place]
	for _, part := range e.ref {
		if _, isString := part.Value.(ast.String); !isString && part.Value.Compare(ast.DefaultRootDocument.Value) != 0 {
			return export{}, false
		}
	}
	return e, ok
}

// stage is the compiler stage that gives a compiler the stubs that the packages of a part need. It must run
// before the compiler looks up any name, and after it has made its graph of rules: stubs must not be rules
// that it compiles.
func (s *stubs) stage(part unit.Set) ast.CompilerStageDefinition {
	return ast.CompilerStageDefinition{
		Name: "AddStubs", MetricName: "add_stubs", Stage: func(c *ast.Compiler) *ast.Error {
			needed := map[unit.RuleAt]export{}
			for key := range part {
				for _, at := range s.needs[key].rules {
					needed[at] = s.rules[at]
				}
			}
			if len(needed) == 0 {
				return nil
			}
			rules, types := makeStubs(slices.Collect(maps.Values(needed)))
			tree := newTreeEditor(c.RuleTree)
			for _, rule := range rules {
				tree.at(rule.Ref(), true).Values = []*ast.Rule{rule}
			}
			c.RuleTree, c.TypeEnv = tree.root, types
			return nil
		},
	}
}

// typing lists the compiler stages that type checking needs. Stubs are made for every part of a wave, so the cost of
// the other stages would be paid often, and for nothing: a stub has nothing to rewrite or refuse.
var typing = []ast.StageID{
	ast.StageInitLocalVarGen, ast.StageSetModuleTree, ast.StageSetRuleTree, ast.StageSetGraph, ast.StageCheckTypes,
}

// makeStubs makes a stub for each export, and a type environment in which each has the export's type.
//
// The environment cannot be filled from outside of package ast, so the stubs are type-checked: each takes
// its value from a builtin that is declared with the wanted type. Rules that serve are never handed to a
// compiler, since it may write into them, and decisions read them at the same time (invariant 1).
//
// A rule that has no type gets a stub without one: the checker gives any to what it does not find.
func makeStubs(exports []export) ([]*ast.Rule, *ast.TypeEnv) {
	declared := make(map[string]*ast.Builtin, len(exports))
	typed := &ast.Module{Package: &ast.Package{Path: ast.Ref{ast.DefaultRootDocument.Copy()}}} // a copy, since compilers write into it
	stubs := make([]*ast.Rule, 0, len(exports))
	for i, e := range exports {
		maker := fmt.Sprintf("value_%d", i)
		stub := stubOf(e.ref, maker, e.arity)
		stub.Module = typed
		stubs = append(stubs, stub)
		if e.tpe == nil {
			continue
		}
		tpe := copyOf(e.tpe)
		decl, isFunction := tpe.(*types.Function)
		if !isFunction {
			decl = types.NewFunction(nil, tpe)
		}
		declared[maker] = &ast.Builtin{Name: maker, Decl: decl}
		typed.Rules = append(typed.Rules, stub)
	}
	skipped := slices.DeleteFunc(ast.AllStages(), func(id ast.StageID) bool { return slices.Contains(typing, id) })
	compiler := dialect.NewCompiler().WithBuiltins(declared) //nolint:staticcheck // capabilities would replace OPA's own builtins
	compiler.WithSkipStages(skipped...)
	compiler.Compile(map[string]*ast.Module{"": typed})
	return stubs, compiler.TypeEnv
}

// stubOf makes a rule in which nothing but its place, its arity and the type of maker's value can matter to others:
// it is the rule name(a0, a1) := v if maker(a0, a1, v), in package data.
func stubOf(ref ast.Ref, maker string, arity int) *ast.Rule {
	value := ast.VarTerm("v")
	head := ast.RefHead(append(ast.Ref{ast.VarTerm(dialect.NameOf(ref[1]))}, ref[2:].Copy()...), value)
	call := []*ast.Term{ast.RefTerm(ast.VarTerm(maker))}
	for i := range arity {
		arg := ast.VarTerm(fmt.Sprintf("a%d", i))
		head.Args, call = append(head.Args, arg), append(call, arg)
	}
	return &ast.Rule{Head: head, Body: ast.NewBody(ast.NewExpr(append(call, value)))}
}
