package engine

import (
	"fmt"
	"maps"
	"slices"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// surroundings is what packages that are compiled without others have to know of them.
type surroundings struct {
	rules map[unit.RuleAt]known
	needs map[unit.Key]*needs
}

// known is the rules at one place, compiled.
type known struct {
	export
	rules []*ast.Rule
}

// surroundingsOf takes those out of packages, to be compiled together with what they refer to, that
// need what cannot be told.
func (l *layers) surroundingsOf(packages unit.Set) *surroundings {
	a := &surroundings{rules: map[unit.RuleAt]known{}, needs: map[unit.Key]*needs{}}
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
func (l *layers) lookUp(at unit.RuleAt) (known, bool) {
	p, tree := l.s.packages[at.Package], l.s.trees[at.Package]
	if p == nil {
		p, tree = l.c.before.packages[at.Package], l.c.before.compiler.RuleTree
	}
	if p == nil || p.whole != "" {
		return known{}, false
	}
	e, ok := p.exports[at.Place]
	for _, part := range e.ref {
		if _, isString := part.Value.(ast.String); !isString && part.Value.Compare(ast.DefaultRootDocument.Value) != 0 {
			return known{}, false
		}
	}
	if !ok {
		return known{}, false
	}
	return known{export: e, rules: tree.Find(e.ref).Values}, true
}

// tell makes the compiler stage that tells a compiler of a part what it needs to know of others. It
// has to run before the compiler looks up any name, and after it has set the graph of the rules that
// it compiles, so that others' are not among them.
func (a *surroundings) tell(part unit.Set) ast.CompilerStageDefinition {
	return ast.CompilerStageDefinition{
		Name: "TellOfOthers", MetricName: "tell_of_others", Stage: func(c *ast.Compiler) *ast.Error {
			told := map[unit.RuleAt]known{}
			for key := range part {
				for _, at := range a.needs[key].rules {
					told[at] = a.rules[at]
				}
			}
			if len(told) == 0 {
				return nil
			}
			tree := newTreeEditor(c.RuleTree)
			for _, k := range told {
				tree.at(k.ref, true).Values = k.rules
			}
			c.RuleTree, c.TypeEnv = tree.root, typesOf(slices.Collect(maps.Values(told)))
			return nil
		},
	}
}

// typing is what the type checker takes of the compiler's stages, and itself.
var typing = []ast.StageID{
	ast.StageInitLocalVarGen, ast.StageSetModuleTree, ast.StageSetRuleTree, ast.StageSetGraph, ast.StageCheckTypes,
}

// typesOf makes the type environment in which each of the rules is of its type, by type-checking a stub
// for each: one that gets its value from a builtin declared to give, and to take, what the rule does.
func typesOf(rules []known) *ast.TypeEnv {
	declared := make(map[string]*ast.Builtin, len(rules))
	stubs := &ast.Module{Package: &ast.Package{Path: ast.Ref{ast.DefaultRootDocument}}}
	for i, k := range rules {
		if k.tpe == nil {
			continue
		}
		maker, tpe := fmt.Sprintf("value_%d", i), copyOf(k.tpe)
		decl, isFunction := tpe.(*types.Function)
		if !isFunction {
			decl = types.NewFunction(nil, tpe)
		}
		declared[maker] = &ast.Builtin{Name: maker, Decl: decl}
		stubs.Rules = append(stubs.Rules, stubOf(k.ref, maker, decl.Arity()))
	}
	for _, stub := range stubs.Rules {
		stub.Module = stubs
	}
	skipped := slices.DeleteFunc(ast.AllStages(), func(id ast.StageID) bool { return slices.Contains(typing, id) })
	compiler := newCompiler().WithBuiltins(declared) //nolint:staticcheck // capabilities would take the place of OPA's own builtins
	compiler.WithSkipStages(skipped...)
	compiler.Compile(map[string]*ast.Module{"": stubs})
	return compiler.TypeEnv
}

// stubOf is the rule name(a0, a1) := v if maker(a0, a1, v), in package data.
func stubOf(ref ast.Ref, maker string, arity int) *ast.Rule {
	value := ast.VarTerm("v")
	head := ast.RefHead(append(ast.Ref{ast.VarTerm(nameOf(ref[1]))}, ref[2:]...), value)
	call := []*ast.Term{ast.RefTerm(ast.VarTerm(maker))}
	for i := range arity {
		arg := ast.VarTerm(fmt.Sprintf("a%d", i))
		head.Args, call = append(head.Args, arg), append(call, arg)
	}
	return &ast.Rule{Head: head, Body: ast.NewBody(ast.NewExpr(append(call, value)))}
}
