package engine

import (
	"fmt"
	"maps"
	"slices"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// surroundings is what packages that are compiled without others have to know of them.
type surroundings struct {
	rules map[unit.RuleAt]export
	needs map[unit.Key]*needs
}

// surroundingsOf takes those out of packages, to be compiled together with what they refer to, that
// need what cannot be told.
func (l *layers) surroundingsOf(packages unit.Set) *surroundings {
	a := &surroundings{rules: map[unit.RuleAt]export{}, needs: map[unit.Key]*needs{}}
	for key := range packages {
		a.needs[key] = l.alone[key]
		for _, at := range l.alone[key].rules {
			k, ok := a.rules[at]
			if !ok {
				k, ok = l.lookUp(at)
			}
			if !ok {
				delete(packages, key)
				delete(l.alone, key)
				l.together[key] = true
				break
			}
			a.rules[at] = k
		}
	}
	return a
}

// lookUp finds what was compiled at a place; it fails when that cannot be declared by name.
func (l *layers) lookUp(at unit.RuleAt) (export, bool) {
	p := l.s.packages[at.Package]
	if p == nil {
		p = l.c.before.packages.Get(at.Package)
	}
	if p == nil || p.whole != "" {
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

// tell makes the compiler stage that tells a compiler of a part what it needs to know of others. It
// has to run before the compiler looks up any name, and after it has set the graph of the rules that
// it compiles, so that others' are not among them.
func (a *surroundings) tell(part unit.Set) ast.CompilerStageDefinition {
	return ast.CompilerStageDefinition{
		Name: "TellOfOthers", MetricName: "tell_of_others", Stage: func(c *ast.Compiler) *ast.Error {
			told := map[unit.RuleAt]export{}
			for key := range part {
				for _, at := range a.needs[key].rules {
					told[at] = a.rules[at]
				}
			}
			if len(told) == 0 {
				return nil
			}
			stubs, types := standIns(slices.Collect(maps.Values(told)))
			tree := newTreeEditor(c.RuleTree)
			for _, stub := range stubs {
				tree.at(stub.Ref(), true).Values = []*ast.Rule{stub}
			}
			c.RuleTree, c.TypeEnv = tree.root, types
			return nil
		},
	}
}

// typing is what the type checker takes of the compiler's stages, and itself.
var typing = []ast.StageID{
	ast.StageInitLocalVarGen, ast.StageSetModuleTree, ast.StageSetRuleTree, ast.StageSetGraph, ast.StageCheckTypes,
}

// standIns makes a stub for the rules at each place, which takes as many arguments, and the type environment
// in which each is of the type of those. The stubs are type-checked for that: each gets its value
// from a builtin declared to give, and to take, what the rules do. No rule that serves is handed to a compiler: it may write into it.
func standIns(rules []export) ([]*ast.Rule, *ast.TypeEnv) {
	declared := make(map[string]*ast.Builtin, len(rules))
	typed := &ast.Module{Package: &ast.Package{Path: ast.Ref{ast.DefaultRootDocument.Copy()}}} // compilers write into it
	stubs := make([]*ast.Rule, 0, len(rules))
	for i, e := range rules {
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
	compiler := dialect.NewCompiler().WithBuiltins(declared) //nolint:staticcheck // capabilities would take the place of OPA's own builtins
	compiler.WithSkipStages(skipped...)
	compiler.Compile(map[string]*ast.Module{"": typed})
	return stubs, compiler.TypeEnv
}

// stubOf is the rule name(a0, a1) := v if maker(a0, a1, v), in package data.
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
