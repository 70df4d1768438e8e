package schema

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Guard refuses a candidate whose data is not as the schema of the default pack says, where that schema applies. A section
// may be missing if no rule refers to it. What is as it was in data that passed is not compared again, so an edit costs
// what it changes. The zero value is ready. Safe for concurrent use.
type Guard struct {
	mu   sync.Mutex
	good ast.Object // the data that passed last; nil before the first
}

// Check is the guard as the engine runs it. A policy of an earlier run has served, and is not asked.
func (g *Guard) Check() engine.Check {
	return engine.Check{Name: "data schema", FilesOnly: true, Run: func(_ context.Context, candidate, _ *engine.Generation) error {
		return g.Refuse(candidate)
	}}
}

// Refuse returns an [*engine.Refused] with every problem and its place, or nil.
func (g *Guard) Refuse(candidate *engine.Generation) error {
	if !Applies(candidate) {
		return nil
	}
	compiled, err := compiledSchema()
	if err != nil {
		return err
	}
	data := candidate.Data()
	g.mu.Lock()
	good := g.good
	g.mu.Unlock()
	// Without a section, the answer depends on the rules too.
	lacks := slices.ContainsFunc(compiled.Required, func(section string) bool { return data.Get(ast.StringTerm(section)) == nil })
	if data != good || lacks {
		if err := compareWith(compiled, candidate, good); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.good = data
	return nil
}

func compareWith(compiled *rules, candidate *engine.Generation, good ast.Object) (err error) {
	part := map[string]any{}
	for section := range compiled.Properties {
		if v := candidate.Data().Get(ast.StringTerm(section)); v != nil {
			var was ast.Value
			if good != nil {
				was = valueAt(good, ast.StringTerm(section))
			}
			if part[section], err = changed(v.Value, was); err != nil {
				return fmt.Errorf("compare the data with the schema: %w", err)
			}
		}
	}
	needed := func(section string) bool { return candidate.Refers(engine.Path{section}) }
	if len(diagnose(candidate, compiled.mistakes(part), needed)) == 0 {
		return nil
	}
	// What is wrong is reported with its place in the whole.
	whole, err := ast.JSON(candidate.Data())
	if err != nil {
		return fmt.Errorf("compare the data with the schema: %w", err)
	}
	return &engine.Refused{Stage: engine.StageCheck, Diagnostics: diagnose(candidate, compiled.mistakes(whole), needed)}
}

// changed is a value as JSON, without the elements of lists that are as they were in a value that passed: the schema says
// the same of each element, and nothing of how many there are.
func changed(now, was ast.Value) (any, error) {
	switch now := now.(type) {
	case ast.Object:
		members := make(map[string]any, now.Len())
		before, _ := was.(ast.Object)
		err := now.Iter(func(k, v *ast.Term) error {
			name, ok := k.Value.(ast.String)
			if !ok {
				return nil // data has none
			}
			var old ast.Value
			if before != nil {
				old = valueAt(before, k)
			}
			member, err := changed(v.Value, old)
			members[string(name)] = member
			return err
		})
		return members, err
	case *ast.Array:
		elements := []any{}
		before, _ := was.(*ast.Array)
		from, to := between(now, before)
		for i := from; i < to; i++ {
			element, err := changed(now.Elem(i).Value, nil)
			if err != nil {
				return nil, err
			}
			elements = append(elements, element)
		}
		return elements, nil
	default:
		return ast.JSON(now)
	}
}

func valueAt(o ast.Object, k *ast.Term) ast.Value {
	if v := o.Get(k); v != nil {
		return v.Value
	}
	return nil
}

// between is where two lists differ: what is before from is at the head of both, what is at to and after it at the end.
func between(now, before *ast.Array) (from, to int) {
	to = now.Len()
	if before == nil {
		return 0, to
	}
	if now == before {
		return to, to
	}
	for from < min(to, before.Len()) && same(now.Elem(from), before.Elem(from)) {
		from++
	}
	for end := before.Len(); to > from && end > from && same(now.Elem(to-1), before.Elem(end-1)); end-- {
		to--
	}
	return from, to
}

// same is identity for objects and lists, which documents share as long as they do not change.
func same(a, b *ast.Term) bool {
	switch a.Value.(type) {
	case ast.Object, *ast.Array, ast.String, ast.Number, ast.Boolean, ast.Null:
		return a == b || a.Value == b.Value
	default:
		return false
	}
}
