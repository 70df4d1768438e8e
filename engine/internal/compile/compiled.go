package compile

import (
	"slices"
	"strings"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// compiledPackage is one package as its compiler left it. It never changes, and policies share it (invariant
// 1). Rules themselves are in the rule tree; here is what splicing, and compiling others, ask of a package.
type compiledPackage struct {
	modules   map[string]*ast.Module
	exports   map[unit.Key]export // by the rule's place
	indexed   []*ast.Rule         // rules with comprehensions that the evaluator looks up in an index
	functions []*ast.Builtin      // the functions among the exports, declared by name

	// general is set when some rule's name varies. Then a place may have the types of several rules, and
	// which ones depends on the path that is asked for.
	general bool

	// whole is why no policy with this package is spliced; "" when nothing forbids it.
	whyWhole string
}

// export is what other packages can see of the rules at one place: a part of the package's signature.
type export struct {
	ref   ast.Ref
	kind  ast.RuleKind
	arity int
	tpe   types.Type // nil where the type checker has none
}

// sameAs reports whether what refers to the place compiles alike against either. Values and bodies do not
// count: a compiler sees other packages' rules by kind, arity and type alone, which is why most edits stop
// at the first wave.
func (e export) sameAs(other export) bool {
	return e.kind == other.kind && e.arity == other.arity && types.Compare(e.tpe, other.tpe) == 0
}

// packageOf takes one package out of the compiler that compiled it.
func packageOf(compiler *ast.Compiler, p *unit.Package) *compiledPackage {
	c := &compiledPackage{modules: make(map[string]*ast.Module, len(p.Modules)), exports: map[unit.Key]export{}}
	var objects []unit.Key // the places of rules whose name varies in its last part alone
	for _, m := range p.Modules {
		module := compiler.Modules[m.File]
		c.modules[m.File] = module
		for _, rule := range module.Rules {
			for other := rule.Else; other != nil; other = other.Else {
				other.Module = module // OPA leaves the parsed module here, which would be kept alive
			}
			ref := rule.Ref().GroundPrefix()
			place := unit.PathKey(ref)
			switch vary := len(rule.Ref()) - len(ref); {
			case vary > 1:
				c.general = true
			case vary == 1:
				objects = append(objects, place)
			}
			// The first rule speaks for all at its place: the type checker joins their types into one, and
			// rules of several arities at one place do not compile.
			if c.exports[place].ref == nil {
				c.exports[place] = export{
					ref: ref, kind: rule.Head.RuleKind(), arity: len(rule.Head.Args), tpe: compiler.TypeEnv.GetByRef(ref),
				}
				c.declareFunction(c.exports[place])
			}
			if hasComprehensionIndex(compiler, rule) {
				c.indexed = append(c.indexed, rule)
			}
		}
	}
	// data.p.obj[k] and data.p.obj.name in one package: the type at name joins those of both rules.
	for place := range c.exports {
		c.general = c.general || slices.ContainsFunc(objects, func(o unit.Key) bool { return o != place && o.Holds(place) })
	}
	c.findComposite()
	return c
}

// declareFunction declares a function as OPA's type environment takes declarations: like a builtin, by a
// name whose parts are joined by dots.
func (c *compiledPackage) declareFunction(e export) {
	f, ok := e.tpe.(*types.Function)
	if !ok {
		return
	}
	name := "data"
	for _, t := range e.ref[1:] {
		part, isString := t.Value.(ast.String)
		if !isString || strings.Contains(string(part), ".") {
			c.whyWhole = "the function " + e.ref.String() + " cannot be declared by name"
			return
		}
		name += "." + string(part)
	}
	c.functions = append(c.functions, &ast.Builtin{Name: name, Decl: f})
}

// hasComprehensionIndex asks the compiler that compiled the rule: indices are found by the identity of a
// term, and belong to one compiler.
func hasComprehensionIndex(compiler *ast.Compiler, rule *ast.Rule) bool {
	found := false
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		found = found || compiler.ComprehensionIndex(t) != nil
		return found
	})
	return found
}

// findComposite looks for a rule whose name holds a composite value. The rule tree finds such a value by its
// address, and a copy has another one. So neither a splice nor a reference from another compiler would find the
// rule's node, and the policy is compiled as a whole (invariant 7).
func (c *compiledPackage) findComposite() {
	for _, e := range c.exports {
		for _, part := range e.ref[1:] {
			switch part.Value.(type) {
			case ast.String, ast.Number, ast.Boolean, ast.Null:
			default:
				c.whyWhole = "the name of rule " + e.ref.String() + " holds a composite value"
			}
		}
	}
}

// hasIndexes is false for nil, a package that is new or gone.
func (c *compiledPackage) hasIndexes() bool { return c != nil && len(c.indexed) > 0 }

// sameFunctions reports whether both declare the same functions; either may be nil. If all spliced packages
// do, the type environment of the previous policy serves the next, and the other packages are not looked at.
func sameFunctions(before, after *compiledPackage) bool {
	byName := map[string]*types.Function{}
	for _, f := range before.declared() {
		byName[f.Name] = f.Decl
	}
	same := len(byName) == len(after.declared())
	for _, f := range after.declared() {
		same = same && byName[f.Name] != nil && types.Compare(byName[f.Name], f.Decl) == 0
	}
	return same
}

// declared is empty for nil, a package that is new or gone.
func (c *compiledPackage) declared() []*ast.Builtin {
	if c == nil {
		return nil
	}
	return c.functions
}

// signatureDiff lists the places where the signatures of before and after differ, and the package itself if
// it appeared or disappeared. Either may be nil. The package counts as a place of its own, since a package
// without rules exports nothing, and a reference to it finds an empty object all the same.
func signatureDiff(key unit.Key, before, after *compiledPackage) []unit.Key {
	var places []unit.Key
	if (before == nil) != (after == nil) {
		places = append(places, key)
	}
	for place, e := range before.signature() {
		if now, ok := after.signature()[place]; !ok || !e.sameAs(now) {
			places = append(places, place)
		}
	}
	for place := range after.signature() {
		if _, ok := before.signature()[place]; !ok {
			places = append(places, place)
		}
	}
	return places
}

// signature is empty for nil, a package that is new or gone.
func (c *compiledPackage) signature() map[unit.Key]export {
	if c == nil {
		return nil
	}
	return c.exports
}

// sortedPlaces makes the order of places, and with it of messages, the same in every run.
func sortedPlaces(places []unit.Key) []unit.Key {
	slices.Sort(places)
	return slices.Compact(places)
}
