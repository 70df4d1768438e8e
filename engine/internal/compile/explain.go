package compile

import (
	"context"
	"errors"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// explain lists what is wrong, as compiling everything would. It compiles the packages that can have an
// error: those that changed, those that refer to a place whose signature is not what it was, and so on.
// Packages beyond these compiled before, and nothing that they see has changed, so they have no error.
//
// A reference to what does not compile, or is missing because its file does not parse, is of any type, and
// calls of such a function are not reported: they would be follow-up errors.
func (c *change) explain(ctx context.Context) error {
	// With new data, an unchanged package may conflict. It is a suspect, since only its own compiler
	// says so in OPA's words.
	suspects := c.changed
	if c.DataChanged {
		found := conflicts(c.before.compiler.RuleTree, c.Data.Root())
		suspects = unit.SetOf(found...)
		suspects.Add(c.changed)
		suspects = c.graphs.entangled(suspects)
	}
	for {
		compiler, err := compileAll(ctx, modulesIn(c.graphs.after, c.graphs.after.Closure(suspects)), c.Data, c.Missing)
		var errs ast.Errors
		if err != nil && !errors.As(err, &errs) {
			return err
		}
		// Like the waves of apply, but all suspects together each time, so the errors of the last round are
		// those of one compiler. Each round adds a package, so it ends.
		var places []unit.Key
		for key := range suspects {
			places = append(places, c.signatureChanges(key, compiler)...)
		}
		if len(places) == 0 || !suspects.Add(c.graphs.dependents(places)) {
			return err
		}
	}
}

// shape is what the source alone says of a rule. It is a signature without types, for packages that did not
// compile far enough to have any.
type shape struct {
	kind  ast.RuleKind
	arity int
}

func shapesOf(p *unit.Package) map[unit.Key]map[shape]bool {
	all := map[unit.Key]map[shape]bool{}
	for _, r := range p.Rules() {
		if all[r.Path] == nil {
			all[r.Path] = map[shape]bool{}
		}
		all[r.Path][shape{r.Kind, r.Arity}] = true
	}
	return all
}

// signatureChanges lists the places where a package's signature is not what it was, as far as the source and
// a compiler that met errors can say: the compiler may have stopped before it had types.
func (c *change) signatureChanges(key unit.Key, compiler *ast.Compiler) []unit.Key {
	before, now := c.graphs.before.Package(key), c.graphs.after.Package(key)
	was, is := shapesOf(before), shapesOf(now)
	var places []unit.Key
	// With files that do not parse, what is missing may be in one of them: its absence says nothing.
	if (before == nil) != (now == nil) && (now != nil || len(c.Missing) == 0) {
		places = append(places, key)
	}
	for place := range was {
		if is[place] == nil && len(c.Missing) == 0 {
			places = append(places, place)
		}
	}
	for place, shapes := range is {
		if len(shapes) != len(was[place]) {
			places = append(places, place)
			continue
		}
		for one := range shapes {
			if !was[place][one] {
				places = append(places, place)
			}
		}
	}
	// A type that is any now may be so because of the error, and is no sign of a change.
	if old := c.before.packages.Get(key); old != nil {
		for place, e := range old.exports {
			if tpe := compiler.TypeEnv.GetByRef(e.ref); !isAny(tpe) && types.Compare(tpe, e.tpe) != 0 {
				places = append(places, place)
			}
		}
	}
	return places
}

func isAny(tpe types.Type) bool {
	a, ok := tpe.(types.Any)
	return tpe == nil || ok && len(a) == 0
}
