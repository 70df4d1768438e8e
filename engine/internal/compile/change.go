package compile

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/sync/errgroup"
)

// Edit is the difference between the files of two generations. Modules are compared by identity: one that is in
// neither list is the very module that the previous policy was made of.
type Edit struct {
	Removed, Added []*unit.Module // an altered module is in both
	Data           *store.Store   // after the edit
	DataChanged    bool           // some data file was added, altered or removed
	Missing        []Missing      // by files that do not parse: if there are any, only errors can come of the edit
}

// Build makes the policy that previous, nil for the first one, becomes by an edit. all returns the modules
// after the edit; it is called only if they have to be compiled as one. The error is [ast.Errors], the same
// that [CompileWhole] finds, or ctx's.
func Build(ctx context.Context, previous *Policy, e Edit, all func() []*unit.Module) (*Policy, error) {
	var c *change
	switch {
	case previous == nil:
		c = initialChange(e)
	case previous.whyWhole == "":
		c = newChange(previous, e)
	case previous.whyWhole == replacedRules:
		e.Added = all() // nothing of a policy with such types is kept
		c = initialChange(e)
	}
	why := ""
	if c != nil {
		// Asking about the changed packages is enough. Every reason of WhyWhole is one package alone, or a pair
		// of which one lies below a rule of the other; the previous policy had no such package and no such pair,
		// so a new one has a changed package in it, and WhyWhole looks up and down from each. The reason that is
		// about references, hidden packages, it looks for in the whole graph, and only if there are any.
		if c.graphs.after.WhyWhole(c.changed) == "" {
			// A reason may also come to light in a compiled package; then the splice is not used.
			next, err := c.applyOrExplain(ctx)
			switch {
			case doesNotFit(err) && len(c.graphs.after.Replaced()) > 0:
				why = replacedRules
			case errors.Is(err, errDoesNotFit): // no error can be found: one compiler has to say what it is
			case err != nil || next.whyWhole == "":
				return next, err
			}
		}
	}
	return compileWhole(ctx, all(), e.Data, e.Missing, why)
}

// replacedRules is why a policy that compiles as a whole may not compile package by package, and then the next edit must be
// compiled as a whole too. OPA's type checker takes the value of a rule that a with replaces anywhere for one of any type where
// it is an empty collection. A compiler that has that rule, and not the package with the with, cannot know.
// The other types are the same, so that a policy that does compile package by package means the same as a whole.
const replacedRules = "a rule that a with replaces may have a value of another type"

// change is an edit of a policy while it is compiled. Several goroutines compile for it; of its fields they
// write recent alone.
type change struct {
	Edit
	before  *Policy
	graphs  graphs
	changed unit.Set // packages with added or removed modules, and all that are entangled with one

	mu     sync.Mutex
	recent map[string]*ast.Module // see [Policy].recent
}

// initialChange is the edit that adds everything.
func initialChange(e Edit) *change {
	e.DataChanged = false // every package is compiled against the data, so the whole tree need not be
	c := &change{Edit: e, before: emptyPolicy(), recent: map[string]*ast.Module{}}
	c.graphs = graphs{before: c.before.graph, after: unit.New(e.Added)}
	c.changed = unit.SetOf(c.graphs.after.Keys()...)
	return c
}

func newChange(before *Policy, e Edit) *change {
	return changeOf(e, before, graphs{before: before.graph, after: before.graph.With(e.Removed, e.Added)})
}

// changeOf is [newChange] with the graphs given: tests that lie beside a policy are in them, and are no part of it.
func changeOf(e Edit, before *Policy, g graphs) *change {
	c := &change{Edit: e, before: before, recent: map[string]*ast.Module{}, changed: unit.Set{}, graphs: g}
	// Of an altered module both versions count: it may have declared another package before.
	for _, m := range slices.Concat(e.Removed, e.Added) {
		c.changed[m.Package] = true
	}
	// A metadata chain is compiled into its reader as a value, so no signature shows that it changed.
	c.changed.Add(g.after.ChainReaders(c.changed, g.before))
	c.changed = g.entangled(c.changed)
	return c
}

// errDoesNotFit means that packages do not compile, or conflict with the data.
var errDoesNotFit = errors.New("the change does not compile")

func doesNotFit(err error) bool {
	return errors.As(err, new(ast.Errors)) || errors.Is(err, errDoesNotFit)
}

// applyOrExplain makes the next policy, or lists everything that is wrong as [ast.Errors]. The error is errDoesNotFit where
// packages do not compile by themselves and do so together: see [replacedRules].
func (c *change) applyOrExplain(ctx context.Context) (*Policy, error) {
	if len(c.Missing) > 0 { // nothing can serve, so only the errors are wanted
		return c.before, c.explain(ctx)
	}
	next, err := c.apply(ctx)
	if errors.Is(err, errDoesNotFit) {
		return nil, cmp.Or(c.explain(ctx), errDoesNotFit)
	}
	return next, err
}

// apply compiles what changed, then what refers to a signature that changed by that, and so on (invariant 3).
// It ends, since no package is compiled twice. errDoesNotFit says that there is an error, and not which:
// what the first failing compiler saw depends on the order, and explain's answer must not (invariant 5).
func (c *change) apply(ctx context.Context) (*Policy, error) {
	s := &recompiled{graph: c.graphs.after, packages: map[unit.Key]*compiledPackage{}, trees: map[unit.Key]*ast.TreeNode{}}
	for wave := c.changed; len(wave) > 0; {
		if err := c.compileWave(ctx, wave, s); err != nil {
			return nil, err
		}
		wave = c.nextWave(wave, s)
	}
	if err := turns.Next(ctx); err != nil {
		return nil, err
	}
	next := c.before.splice(s)
	next.recent = c.recentModules()
	// No small compiler sees all rules, so new data is compared with the whole tree. Without new data, the
	// small compilers have compared all rules that changed.
	if c.DataChanged && len(conflicts(next.compiler.RuleTree, c.Data.Root())) > 0 {
		return nil, errDoesNotFit
	}
	return next, nil
}

// nextWave is the packages, not yet compiled, that refer to a signature which the last wave changed. A package
// that is compiled already need not be again: it was compiled after what it refers to, or with it (see [order]).
func (c *change) nextWave(wave unit.Set, s *recompiled) unit.Set {
	next := unit.Set{}
	keys := c.graphs.after.Keys()
	if len(s.packages) >= len(keys) && !slices.ContainsFunc(keys, func(key unit.Key) bool { return s.packages[key] == nil }) {
		return next // the first load: everything is compiled, and the search for dependents would take long
	}
	var places []unit.Key
	for key := range wave {
		places = append(places, signatureDiff(key, c.before.packages.Get(key), s.packages[key])...)
	}
	if len(places) == 0 {
		return next
	}
	for key := range c.graphs.dependents(places) {
		if _, done := s.packages[key]; !done {
			next[key] = true
		}
	}
	return next
}

// compileWave compiles packages in the order in which they refer to each other, so that each sees the types of those before.
func (c *change) compileWave(ctx context.Context, wave unit.Set, s *recompiled) error {
	for o := newOrder(c, wave, s); o.left(); {
		packages, stubs := o.next()
		if err := c.compileParts(ctx, packages, stubs, s); err != nil {
			return err
		}
	}
	return nil
}

// compileParts compiles packages that do not wait for one another, in parallel parts, into s. The compilers
// share the parsed modules, which OPA's compiler copies before it writes (invariant 2), and stubs' types,
// which are copied for each (see copyOf).
func (c *change) compileParts(ctx context.Context, packages unit.Set, stubs *stubs, s *recompiled) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, part := range c.parts(packages) {
		group.Go(func() (err error) {
			defer contain.Panic("compile", &err)
			compiler, err := c.compilePart(ctx, part, stubs)
			if err != nil {
				return err
			}
			compiled := make(map[unit.Key]*compiledPackage, len(part))
			for key := range part {
				compiled[key] = nil
				if p := c.graphs.after.Package(key); p != nil {
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

// compilePart compiles packages against stubs where there are any, and with their closure otherwise. An
// error against stubs proves nothing (invariant 5): an error may name a stub, or the
// builtin that gives it its type. So those are compiled with their closure as well, and only that may fail.
func (c *change) compilePart(ctx context.Context, part unit.Set, stubs *stubs) (*ast.Compiler, error) {
	if stubs != nil {
		stage := stubs.stage(part)
		compiler, _, err := compileOnce(ctx, c.modules(part), c.Data, &stage)
		if err != nil || !compiler.Failed() {
			return compiler, err
		}
	}
	compiler, _, err := compileOnce(ctx, c.modules(c.graphs.after.Closure(part)), c.Data, nil)
	if err == nil && compiler.Failed() {
		err = errDoesNotFit
	}
	return compiler, err
}

// A small compiler takes up to maxPackagesPerCompiler packages: enough to share the cost of making it and its
// stubs, few enough that its work stays in a processor's cache. With fewer packages than would occupy all
// processors, each takes fewer, down to minPackagesPerCompiler.
const (
	maxPackagesPerCompiler = 64
	minPackagesPerCompiler = 8
)

// parts divides packages for compilers. Entangled packages stay together.
func (c *change) parts(packages unit.Set) []unit.Set {
	size := min(max(len(packages)/(2*runtime.GOMAXPROCS(0)), minPackagesPerCompiler), maxPackagesPerCompiler)
	var parts []unit.Set
	part := unit.Set{}
	placed := unit.Set{}
	for _, key := range packages.Sorted() {
		if placed[key] {
			continue
		}
		for mate := range c.graphs.entangled(unit.SetOf(key)) {
			placed[mate], part[mate] = true, true
		}
		if len(part) >= size {
			parts, part = append(parts, part), unit.Set{}
		}
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}

// MaxRecentModules is how many modules' syntax a policy keeps for the next edit; of more it keeps none.
const MaxRecentModules = 256

// modules is the syntax of packages, and makes a note of it for the next edit (see [Policy].recent). One more
// than the maximum is kept as the sign that it was passed.
func (c *change) modules(packages unit.Set) map[string]*ast.Module {
	modules := modulesIn(c.graphs.after, packages)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.recent) <= MaxRecentModules {
		maps.Copy(c.recent, modules)
	}
	return modules
}

// recentModules is what the next policy keeps. An edit of data alone compiles nothing, and the author goes on
// with the modules of the edit before it.
func (c *change) recentModules() map[string]*ast.Module {
	switch n := len(c.recent); {
	case n == 0:
		return c.before.recent
	case n > MaxRecentModules:
		return nil
	default:
		return c.recent
	}
}
