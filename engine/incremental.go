package engine

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
	"golang.org/x/sync/errgroup"
)

// fromNothing is the change that makes everything.
func fromNothing(all []*parse.File, data *store) *change {
	empty := dialect.NewCompiler()
	empty.Compile(nil)
	c := &change{data: data, compiled: map[string]*ast.Module{}, before: &policy{
		compiler: dialect.Seal(empty), graph: unit.New(nil), packages: &unit.Table[compiledPackage]{},
	}}
	c.graph = unit.New(unitsOf(all))
	c.packages = unit.SetOf(c.graph.Keys()...)
	return c
}

func unitsOf(all []*parse.File) []*unit.Module {
	var units []*unit.Module
	for _, p := range all {
		if p.Unit != nil {
			units = append(units, p.Unit)
		}
	}
	return units
}

// change is what lies between a policy and the files as they are now.
type change struct {
	before *policy
	graph  *unit.Graph // of the files as they are now, broken ones left out
	data   *store

	mu       sync.Mutex
	compiled map[string]*ast.Module // the syntax of what was compiled for it, by file

	packages  unit.Set // with altered, new or missing modules, and all that are entangled with one
	newData   bool     // some data file is another one
	someBroke bool     // some file does not parse
}

// edit is the files that are other ones than before.
type edit struct{ removed, added []*parse.File }

// editSince compares the files with those of previous, which may be nil, by identity: unchanged ones were
// not parsed again.
func editSince(previous *Generation, all []*parse.File) edit {
	if previous == nil {
		return edit{added: all}
	}
	var e edit
	source.EachPair(previous.parsed, all, (*parse.File).Path, func(old, now *parse.File) {
		if old == now {
			return
		}
		if old != nil {
			e.removed = append(e.removed, old)
		}
		if now != nil {
			e.added = append(e.added, now)
		}
	})
	return e
}

func (e edit) touchesData() bool {
	isData := func(p *parse.File) bool { return p.Data != nil }
	return slices.ContainsFunc(e.removed, isData) || slices.ContainsFunc(e.added, isData)
}

// changeBy is the change that an edit makes of the policy before.
func changeBy(e edit, before *policy, data *store) *change {
	removed, added := unitsOf(e.removed), unitsOf(e.added)
	c := &change{before: before, data: data, compiled: map[string]*ast.Module{}, newData: e.touchesData(), packages: unit.Set{}}
	c.graph = before.graph.With(removed, added)
	for _, m := range slices.Concat(removed, added) {
		c.packages[m.Package] = true
	}
	c.packages.Add(c.graph.ChainReaders(c.packages, before.graph))
	c.packages = c.entangled(c.packages)
	return c
}

// entangled adds what is entangled now or was before: their rules left, or come to, shared places.
func (c *change) entangled(packages unit.Set) unit.Set {
	for {
		size := len(packages)
		packages = c.before.graph.Entangled(c.graph.Entangled(packages))
		if len(packages) == size {
			return packages
		}
	}
}

// mostTogether is how many packages one small compiler takes: enough that making it, and telling it of
// others' rules, costs little, few enough that what it works on stays in a processor's cache. It takes
// fewer where there would be too few compilers for all processors, but not less than leastTogether.
const (
	mostTogether  = 64
	leastTogether = 8
)

// errDoesNotFit says that a part did not compile, or conflicts with the data.
var errDoesNotFit = errors.New("the change does not compile")

// compile makes the next policy in time that follows the change. When something is wrong with it,
// the error is ast.Errors, the same that compiling everything would list.
func (c *change) compile(ctx context.Context, someBroke bool) (*policy, error) {
	c.someBroke = someBroke
	if someBroke { // nothing can come of it but a list of errors
		return c.before, c.explain(ctx)
	}
	next, err := c.splice(ctx)
	if errors.Is(err, errDoesNotFit) {
		return c.before, c.explain(ctx)
	}
	return next, err
}

// splice compiles what changed, then what can see that a signature changed, and so on.
func (c *change) splice(ctx context.Context) (*policy, error) {
	s := &spliced{graph: c.graph, packages: map[unit.Key]*compiledPackage{}, trees: map[unit.Key]*ast.TreeNode{}}
	for wave := c.packages; len(wave) > 0; {
		if err := c.compileAll(ctx, wave, s); err != nil {
			return nil, err
		}
		wave = c.nextWave(wave, s)
	}
	if err := turns.Next(ctx); err != nil {
		return nil, err
	}
	next := c.before.splice(s)
	next.recent = c.recent()
	if c.newData && len(conflicts(next.compiler.RuleTree, c.data.root)) > 0 {
		return nil, errDoesNotFit
	}
	return next, nil
}

// nextWave is the packages yet to compile that can see the signatures which the last wave changed.
func (c *change) nextWave(wave unit.Set, s *spliced) unit.Set {
	next := unit.Set{}
	if len(s.packages) >= len(c.graph.Keys()) && !slices.ContainsFunc(c.graph.Keys(), func(key unit.Key) bool { return s.packages[key] == nil }) {
		return next
	}
	var places []unit.Key
	for key := range wave {
		places = append(places, moved(key, c.before.packages.Get(key), s.packages[key])...)
	}
	if len(places) == 0 {
		return next
	}
	for key := range c.entangled(c.graph.Dependents(sortedPlaces(places))) {
		if _, done := s.packages[key]; !done {
			next[key] = true
		}
	}
	return next
}

// compileAll compiles the packages, layer by layer, into s.
func (c *change) compileAll(ctx context.Context, packages unit.Set, s *spliced) error {
	for l := newLayers(c, packages, s); l.left(); {
		layer, around := l.next()
		if err := c.compileParts(ctx, layer, around, s); err != nil {
			return err
		}
	}
	return nil
}

// compileParts compiles packages that do not wait for one another, in parallel parts, into s.
func (c *change) compileParts(ctx context.Context, packages unit.Set, around *surroundings, s *spliced) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, part := range c.parts(packages) {
		group.Go(func() (err error) {
			defer contain.Panic("compile", &err)
			compiler, err := c.compilePart(ctx, part, around)
			if err != nil {
				return err
			}
			compiled := make(map[unit.Key]*compiledPackage, len(part))
			for key := range part {
				compiled[key] = nil
				if p := c.graph.Package(key); p != nil {
					compiled[key] = packageOf(compiler, p)
				}
			}
			tree := dialect.Seal(compiler).RuleTree
			mu.Lock()
			defer mu.Unlock()
			for key, p := range compiled {
				s.packages[key], s.trees[key] = p, tree
			}
			return nil
		})
	}
	return group.Wait()
}

// compilePart compiles packages without others where around tells enough of those. What does not
// compile so is judged together with all that it refers to.
func (c *change) compilePart(ctx context.Context, part unit.Set, around *surroundings) (*ast.Compiler, error) {
	if around != nil {
		tell := around.tell(part)
		compiler, _, err := compileOnce(ctx, c.modulesIn(part), c.data, &tell)
		if err != nil || !compiler.Failed() {
			return compiler, err
		}
	}
	compiler, _, err := compileOnce(ctx, c.modulesIn(c.graph.Closure(part)), c.data, nil)
	if err == nil && compiler.Failed() {
		err = errDoesNotFit
	}
	return compiler, err
}

// mostRecent is of how many modules the syntax is kept.
const mostRecent = 256

func (c *change) modulesIn(packages unit.Set) map[string]*ast.Module {
	modules := modulesIn(c.graph, packages)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.compiled) <= mostRecent {
		maps.Copy(c.compiled, modules)
	}
	return modules
}

func (c *change) recent() map[string]*ast.Module {
	switch n := len(c.compiled); {
	case n == 0:
		return c.before.recent
	case n > mostRecent:
		return nil
	default:
		return c.compiled
	}
}

// parts divides packages so that entangled ones stay together.
func (c *change) parts(packages unit.Set) []unit.Set {
	most := min(max(len(packages)/(2*runtime.GOMAXPROCS(0)), leastTogether), mostTogether)
	var parts []unit.Set
	part := unit.Set{}
	placed := unit.Set{}
	for _, key := range packages.Sorted() {
		if placed[key] {
			continue
		}
		for mate := range c.entangled(unit.SetOf(key)) {
			placed[mate], part[mate] = true, true
		}
		if len(part) >= most {
			parts, part = append(parts, part), unit.Set{}
		}
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}

// explain lists what is wrong. It compiles the packages that an error can be in: those that
// changed, those that refer to something of them which is there and is not what it was, and so on.
// The others have no error. One that refers to what does not compile, or is not there because its
// file does not parse, sees a value of any type, and calls of such a function are not reported.
func (c *change) explain(ctx context.Context) error {
	at := c.packages
	if c.newData {
		found := conflicts(c.before.compiler.RuleTree, c.data.root)
		at = unit.SetOf(found...)
		at.Add(c.packages)
		at = c.entangled(at)
	}
	for {
		compiler, err := compile(ctx, modulesIn(c.graph, c.graph.Closure(at)), c.data, c.someBroke)
		var errs ast.Errors
		if err != nil && !errors.As(err, &errs) {
			return err
		}
		var places []unit.Key
		for key := range at {
			places = append(places, c.visiblyMoved(key, compiler)...)
		}
		if len(places) == 0 || !at.Add(c.entangled(c.graph.Dependents(sortedPlaces(places)))) {
			return err
		}
	}
}

// visiblyMoved lists the places where a package's signature, as far as the source and a compiler
// that met errors know it, is not what it was.
func (c *change) visiblyMoved(key unit.Key, compiler *ast.Compiler) []unit.Key {
	before, now := c.before.graph.Package(key), c.graph.Package(key)
	type shape struct {
		kind  ast.RuleKind
		arity int
	}
	shapes := func(p *unit.Package) map[unit.Key]map[shape]bool {
		all := map[unit.Key]map[shape]bool{}
		for _, r := range p.Rules() {
			if all[r.Path] == nil {
				all[r.Path] = map[shape]bool{}
			}
			all[r.Path][shape{r.Kind, r.Arity}] = true
		}
		return all
	}
	was, is := shapes(before), shapes(now)
	var places []unit.Key
	if (before == nil) != (now == nil) && (now != nil || !c.someBroke) {
		places = append(places, key)
	}
	for place := range was {
		if is[place] == nil && !c.someBroke {
			places = append(places, place)
		}
	}
	for place, s := range is {
		if len(s) != len(was[place]) {
			places = append(places, place)
			continue
		}
		for one := range s {
			if !was[place][one] {
				places = append(places, place)
			}
		}
	}
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
