package engine

import (
	"slices"
	"strings"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// policy is everything compiled that decisions are made by, and what the next policy is spliced
// from. It never changes: a compiler that has been shared is not compiled with again.
type policy struct {
	compiler *ast.Compiler
	graph    *unit.Graph
	packages *unit.Table[compiledPackage]

	// recent is the syntax of what was compiled for this policy, by file, which is what an author goes on with,
	// as long as it is little; of everything where whole is set. Other modules are parsed again when they are needed.
	recent map[string]*ast.Module

	// whole tells why this policy cannot be the start of a splice, "" when it can.
	whole string
}

// compiledPackage is one package as its compiler left it.
type compiledPackage struct {
	modules map[string]*ast.Module
	exports map[unit.Key]export // by the rule's place
	indexed []*ast.Rule         // those with comprehensions that the evaluator looks up an index of
	declare []*ast.Builtin      // the functions among the exports, by name
	general bool                // some rule's name varies, so that a place may have the types of several rules
	whole   string              // why a corpus that has it is compiled as one, "" when it need not be
}

// export is what other packages can see of the rules at one place: its package's signature.
type export struct {
	ref   ast.Ref
	kind  ast.RuleKind
	arity int
	// tpe is nil where the type checker knows nothing.
	tpe types.Type
}

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
				other.Module = module // OPA leaves the one that was parsed there
			}
			ref := rule.Ref().GroundPrefix()
			place := unit.PathKey(ref)
			switch vary := len(rule.Ref()) - len(ref); {
			case vary > 1:
				c.general = true
			case vary == 1:
				objects = append(objects, place)
			}
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
	for place := range c.exports {
		c.general = c.general || slices.ContainsFunc(objects, func(o unit.Key) bool { return o != place && o.Holds(place) })
	}
	c.findWhole()
	return c
}

// declareFunction says of a function what the evaluator needs to know, in the way OPA's type
// environment is told of functions: as of a builtin, by a name whose parts are joined by dots.
func (c *compiledPackage) declareFunction(e export) {
	f, ok := e.tpe.(*types.Function)
	if !ok {
		return
	}
	name := "data"
	for _, t := range e.ref[1:] {
		part, isString := t.Value.(ast.String)
		if !isString || strings.Contains(string(part), ".") {
			c.whole = "the function " + e.ref.String() + " cannot be declared by name"
			return
		}
		name += "." + string(part)
	}
	c.declare = append(c.declare, &ast.Builtin{Name: name, Decl: f})
}

func hasComprehensionIndex(compiler *ast.Compiler, rule *ast.Rule) bool {
	found := false
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		found = found || compiler.ComprehensionIndex(t) != nil
		return found
	})
	return found
}

// moved lists the places where the signatures of before and after differ. Either may be nil.
func moved(key unit.Key, before, after *compiledPackage) []unit.Key {
	var places []unit.Key
	if (before == nil) != (after == nil) {
		places = append(places, key)
	}
	if before != nil {
		for place, e := range before.exports {
			if after == nil || !e.isIn(after, place) {
				places = append(places, place)
			}
		}
	}
	if after != nil {
		for place := range after.exports {
			if before == nil {
				places = append(places, place)
			} else if _, ok := before.exports[place]; !ok {
				places = append(places, place)
			}
		}
	}
	return places
}

func (e export) isIn(p *compiledPackage, place unit.Key) bool {
	other, ok := p.exports[place]
	return ok && e.sameAs(other)
}

// newPolicy makes the policy of a compiler that compiled the whole corpus.
func newPolicy(compiler *ast.Compiler, graph *unit.Graph) *policy {
	packages := make(map[unit.Key]*compiledPackage, len(graph.Keys()))
	for _, key := range graph.Keys() {
		packages[key] = packageOf(compiler, graph.Package(key))
	}
	p := &policy{graph: graph, packages: (&unit.Table[compiledPackage]{}).With(packages)}
	if p.whole = graph.WhyWhole(unit.SetOf(graph.Keys()...)); p.whole == "" {
		p.whole = whyWhole(p.packages)
	}
	p.compiler = dialect.Seal(compiler)
	if p.whole == "" {
		p.compiler.TypeEnv = functionTypes(p.packages)
	}
	return p
}

// whyWhole tells what makes a corpus one that is only ever compiled as a whole; "" for nothing.
// There are two such things, both strange names: a rule whose name holds a composite value, and a
// function whose path has a part with a dot or that is no string.
func whyWhole(packages *unit.Table[compiledPackage]) string {
	for _, p := range packages.All() {
		if p.whole != "" {
			return p.whole
		}
	}
	return ""
}

// findWhole looks for a rule's name that the rule tree finds by its address, which a copy has not.
func (c *compiledPackage) findWhole() {
	for _, e := range c.exports {
		for _, part := range e.ref[1:] {
			switch part.Value.(type) {
			case ast.String, ast.Number, ast.Boolean, ast.Null:
			default:
				c.whole = "the name of rule " + e.ref.String() + " holds a composite value"
			}
		}
	}
}

// sortedPlaces makes the order of places, and with it of messages, the same each time.
func sortedPlaces(places []unit.Key) []unit.Key {
	slices.Sort(places)
	return slices.Compact(places)
}

// checkPath refuses a path whose last parts the type of a rule rules out, as the type checker of a
// compiler that knows all types does.
func (p *policy) checkPath(ref ast.Ref) error {
	if p.whole != "" {
		return nil // it is such a compiler itself
	}
	node := p.compiler.RuleTree
	var at export
	tail, found := ast.Ref{}, false
	for i, part := range ref {
		if node = node.Child(part.Value); node == nil {
			break
		}
		if len(node.Values) > 0 {
			key, _ := unit.KeyOf(ref[1 : i+1])
			at, found = p.exportOf(node.Values[0], key)
			tail = ref[i+1:]
			if own := unit.PathKey(node.Values[0].Module.Package.Path); p.packages.Get(own).general {
				return p.checkAmongAll(ref, own)
			}
		}
	}
	if !found || at.tpe == nil || selects(at.tpe, tail) {
		return nil
	}
	compiler := knowing(at)
	_, err := compiler.QueryCompiler().Compile(ast.NewBody(ast.NewExpr(ast.NewTerm(ref))))
	return err
}

// checkAmongAll is checkPath where a place has the types of several rules, by a compiler that compiles
// those with all that they refer to.
func (p *policy) checkAmongAll(ref ast.Ref, own unit.Key) error {
	compiler := dialect.NewCompiler()
	compiler.Compile(modulesIn(p.graph, p.graph.Closure(p.graph.Entangled(unit.SetOf(own)))))
	_, err := compiler.QueryCompiler().Compile(ast.NewBody(ast.NewExpr(ast.NewTerm(ref))))
	return err
}

// knowing makes a compiler that knows the type at one place and nothing else.
func knowing(e export) *ast.Compiler {
	value := ast.VarTerm("$value") // no rule has such a name
	rule := &ast.Rule{
		Head: ast.RefHead(ast.Ref{ast.VarTerm(dialect.NameOf(e.ref[len(e.ref)-1]))}, value),
		Body: ast.NewBody(ast.NewExpr([]*ast.Term{ast.RefTerm(ast.VarTerm("type_at_place")), value})),
	}
	module := &ast.Module{Package: &ast.Package{Path: e.ref[:len(e.ref)-1]}, Rules: []*ast.Rule{rule}}
	rule.Module = module
	compiler := dialect.NewCompiler().WithBuiltins(map[string]*ast.Builtin{ //nolint:staticcheck // capabilities would take the place of OPA's own builtins
		"type_at_place": {Name: "type_at_place", Decl: types.NewFunction(nil, e.tpe)},
	})
	compiler.Compile(map[string]*ast.Module{"": module})
	return compiler
}

func (p *policy) exportOf(rule *ast.Rule, place unit.Key) (export, bool) {
	e, ok := p.packages.Get(unit.PathKey(rule.Module.Package.Path)).exports[place]
	return e, ok
}

// selects reports whether a value of the type can have something at tail.
func selects(tpe types.Type, tail ast.Ref) bool {
	for _, part := range tail {
		key, err := ast.JSON(part.Value)
		if err != nil {
			return true
		}
		if tpe = types.Select(tpe, key); tpe == nil {
			return false
		}
	}
	return true
}

// modulesIn are the parsed modules of the packages, by file.
func modulesIn(graph *unit.Graph, packages unit.Set) map[string]*ast.Module {
	modules := make(map[string]*ast.Module, len(packages))
	for key := range packages {
		for _, m := range graph.Package(key).Modules {
			modules[m.File] = m.Syntax.Module()
		}
	}
	return modules
}
