package engine

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"sync"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/advice"
	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ErrNoPolicy is wrapped by a refusal of a source that holds no .rego file.
var ErrNoPolicy = errors.New("no .rego files found")

// errCutShort is wrapped when a file looks as if its writer were not done.
var errCutShort = errors.New("a file looks half-written")

// Load reads a source and makes its next generation: read, parse, compile. It has no effect but its result.
// What previous holds unchanged is reused; if nothing changed, the result is previous itself. previous may be
// nil. An error is a *[Refused] that lists everything that is wrong, or ctx's when it ended; previous is as
// good as before.
func Load(ctx context.Context, src fs.FS, previous *Generation) (*Generation, error) {
	return LoadSigned(ctx, src, previous, nil)
}

// LoadSigned is [Load] of a source that verify has to find a signature of; nil: no signature is asked for.
func LoadSigned(ctx context.Context, src fs.FS, previous *Generation, verify Verify) (*Generation, error) {
	l := &loader{
		options: source.Options{Earlier: earlier(Trigger{Recheck: true}, previous), TestsAside: verify != nil}, check: verify,
	}
	return l.load(ctx, src, previous)
}

// loader is one call of Load, with what an Engine adds to it.
type loader struct {
	options     source.Options
	eval        eval.Config
	elsewhere   Elsewhere          // may be nil
	check       Verify             // may be nil
	verified    Verified           // by check
	lastRefusal *Refused           // the same content would be refused again; may be nil
	made        []*Generation      // of the same previous before, or nil: the same content need not be made again
	wait        *removalWait       // for files that are missing; nil: they are gone
	ignored     *source.Ignored    // by the reading; nil when there was none
	missing     missing            // what the load found missing; nil when it did not come that far
	begin       func(phase string) // called with the name of each phase that begins; may be nil
}

func (l *loader) load(ctx context.Context, src fs.FS, previous *Generation) (_ *Generation, err error) {
	defer contain.Panic("load the policy", &err)
	l.phase(phaseRead)
	reading, err := read(ctx, src, l.options)
	if err != nil {
		return nil, err
	}
	ignored := reading.Ignored()
	l.ignored = &ignored
	if err := l.verify(ctx, src, reading); err != nil {
		return nil, err
	}
	if previous != nil && reading.SameContent(previous.reading) {
		l.missing = missing{}
		return previous, nil
	}
	if l.lastRefusal != nil && l.lastRefusal.revision == reading.Revision() {
		return nil, l.lastRefusal
	}
	for _, g := range l.made {
		if g != nil && reading.SameContent(g.reading) {
			return g, nil
		}
	}
	if err := l.awaitRemoved(reading, previous); err != nil {
		return nil, err
	}
	var hashing sync.WaitGroup
	hashing.Go(func() { reading.Revision() }) // while parsing and compiling go on
	defer hashing.Wait()
	g, err := l.build(ctx, reading, previous)
	if refused := new(Refused); errors.As(err, &refused) {
		refused.revision = reading.Revision()
	}
	return g, err
}

func (l *loader) build(ctx context.Context, reading *source.Reading, previous *Generation) (*Generation, error) {
	if err := needModules(reading); err != nil {
		return nil, err
	}
	l.phase(phaseParse)
	next, err := parseNext(ctx, reading, previous)
	if err != nil {
		return nil, err
	}
	if err := turns.Next(ctx); err != nil {
		return nil, err
	}
	l.phase(phaseCompile)
	policy, err := next.compile(ctx)
	if err != nil {
		return nil, err
	}
	g := newGeneration(next, policy, l.eval)
	g.elsewhere, g.verified = l.elsewhere, l.verified
	return g, nil
}

func (l *loader) phase(name string) {
	if l.begin != nil {
		l.begin(name)
	}
}

// read refuses a source that cannot be read.
func read(ctx context.Context, src fs.FS, o source.Options) (*source.Reading, error) {
	return readBy(ctx, o, func(o source.Options) (*source.Reading, error) { return source.Read(ctx, src, o) })
}

func readBy(ctx context.Context, o source.Options, read func(source.Options) (*source.Reading, error)) (*source.Reading, error) {
	o.Between = turns.Next
	reading, err := read(o)
	var wrong diagnostic.List
	switch {
	case err == nil:
		return reading, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &wrong):
		return nil, &Refused{Stage: StageRead, Diagnostics: wrong}
	default:
		return nil, &Refused{Stage: StageRead, Err: err}
	}
}

// earlier says which files of previous need not be opened for the trigger. A caller who asks for a reload, and
// a full check, have every file read: a stat can be made to lie. previous may be nil.
func earlier(trigger Trigger, previous *Generation) source.Earlier {
	if previous == nil {
		return source.Earlier{}
	}
	if trigger.Kind.wantsAnswer() || trigger.Recheck || trigger.Source != nil {
		return source.Earlier{Previous: previous.reading}
	}
	e := source.Earlier{Reading: previous.reading, Previous: previous.reading, Changed: make(map[string]bool, len(trigger.Paths))}
	if trigger.Kind == TriggerWatch {
		e.ChangedDirs = make(map[string]bool, len(trigger.Paths))
	}
	for _, p := range trigger.Paths {
		e.Changed[p] = true
		if e.ChangedDirs != nil {
			e.ChangedDirs[path.Dir(p)] = true
		}
	}
	return e
}

func needModules(reading *source.Reading) error {
	if hasModules(reading) {
		return nil
	}
	return &Refused{Stage: StageRead, Err: ErrNoPolicy}
}

func hasModules(reading *source.Reading) bool {
	return slices.ContainsFunc(reading.Files(), func(f *source.File) bool { return f.Kind() == source.KindModule })
}

// successor is what may become the next generation, parsed and not yet compiled.
type successor struct {
	previous  *Generation // may be nil
	reading   *source.Reading
	parsed    []*parse.File // of the files, in their order
	fresh     []*ast.Module // syntax that was parsed now, held until it is compiled
	edit      edit
	data      *store.Store
	conflicts diagnostic.List // between data files
}

// parseNext parses what previous, which may be nil, does not hold.
func parseNext(ctx context.Context, reading *source.Reading, previous *Generation) (*successor, error) {
	var was *source.Reading
	var before []*parse.File
	if previous != nil {
		was, before = previous.reading, previous.parsed
	}
	all, fresh, err := parse.All(ctx, reading, was, before)
	if err != nil {
		return nil, err
	}
	s := &successor{previous: previous, reading: reading, parsed: all, fresh: fresh, edit: editSince(before, all)}
	if previous != nil && !s.edit.touchesData() {
		s.data = previous.data
		return s, nil
	}
	root, conflicts := parse.Merge(all)
	s.data, s.conflicts = store.New(root), conflicts
	return s, nil
}

// compile compiles the files that parsed even if others did not, so that an author sees the errors of all of
// them at once.
func (s *successor) compile(ctx context.Context) (*compile.Policy, error) {
	return s.compileBy(ctx, compile.Build)
}

// buildFunc is the type of [compile.Build]. Tests compare it with one that compiles everything as one.
type buildFunc = func(context.Context, *compile.Policy, compile.Edit, func() []*unit.Module) (*compile.Policy, error)

func (s *successor) compileBy(ctx context.Context, build buildFunc) (*compile.Policy, error) {
	var broken diagnostic.List
	cutShort := false
	for _, p := range s.edit.added { // the other files serve, so nothing is wrong with them
		broken = append(broken, p.Wrong...)
		cutShort = cutShort || len(p.Wrong) > 0 && p.LooksCutShort()
	}
	var before *compile.Policy
	if s.previous != nil {
		before = s.previous.policy
	}
	policy, err := build(ctx, before, s.edit.forCompile(s.data), s.units)
	var errs ast.Errors
	if err != nil && !errors.As(err, &errs) {
		return nil, err
	}
	wrong := append(append(broken, s.conflicts...), diagnostic.FromOPA(errs, s.reading.Source)...)
	if len(wrong) == 0 {
		return policy, nil
	}
	wrong = advice.Add(wrong, s.parsed, s.reading.Source)
	refused := &Refused{Stage: StageCompile, Diagnostics: wrong.Sorted()}
	if len(broken) > 0 || len(s.conflicts) > 0 {
		refused.Stage = StageParse
	}
	if cutShort {
		refused.Err = errCutShort
	}
	return nil, refused
}

func (s *successor) units() []*unit.Module { return unitsOf(s.parsed) }
