package engine

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Load reads a source and makes its next generation: read, parse, compile. It has no effect but
// its result. What previous holds unchanged is reused; when all of it is, previous itself is the
// result. previous may be nil. An error is a *[Refused] that lists everything that is wrong, or
// ctx's when it ended; previous is as good as before.
func Load(ctx context.Context, src fs.FS, previous *Generation) (*Generation, error) {
	return (&loader{}).load(ctx, src, previous)
}

// loader is one call of Load, with what only an Engine has to say about it.
type loader struct {
	limits  Limits
	known   *Refused           // a refusal that the same content would only repeat; may be nil
	trusted trusted            // what need not be read again
	tests   bool               // test files are read too
	begin   func(phase string) // told the name of each phase that begins; may be nil
}

func (l *loader) load(ctx context.Context, src fs.FS, previous *Generation) (_ *Generation, err error) {
	defer contain.Panic("load the policy", &err)
	l.phase(phaseRead)
	kinds := []kind{kindModule, kindData, kindOverlay}
	if l.tests {
		kinds = append(kinds, kindTest)
	}
	if previous != nil {
		l.trusted.was = previous.files
	}
	f, err := readFiles(ctx, src, l.limits.withDefaults(), l.trusted, kinds...)
	if err != nil {
		return nil, err
	}
	if previous != nil && f.holdsThatOf(previous.files) {
		return previous, nil
	}
	if l.known != nil && l.known.revision == f.revision() {
		return nil, l.known
	}
	var hashing sync.WaitGroup
	hashing.Go(func() { f.revision() }) // beside the rest
	defer hashing.Wait()
	g, err := l.build(ctx, f, previous)
	if refused := new(Refused); errors.As(err, &refused) {
		refused.revision = f.revision()
	}
	return g, err
}

func (l *loader) build(ctx context.Context, f *files, previous *Generation) (*Generation, error) {
	if err := needModules(f); err != nil {
		return nil, err
	}
	l.phase(phaseParse)
	next, err := parseNext(ctx, f, previous)
	if err != nil {
		return nil, err
	}
	if err := turns.Next(ctx); err != nil {
		return nil, err
	}
	l.phase(phaseCompile)
	policy, err := next.compileSound(ctx)
	if err != nil {
		return nil, err
	}
	return newGeneration(next, policy), nil
}

// successor is what may become the next generation, parsed and not yet compiled.
type successor struct {
	previous  *Generation // may be nil
	files     *files
	parsed    []*parsed     // of the files, in their order
	fresh     []*ast.Module // those among them that previous does not have, held while they are compiled
	edit      edit
	data      *store
	conflicts diagnostic.List // between data files
}

// parseNext parses what previous, which may be nil, does not hold.
func parseNext(ctx context.Context, f *files, previous *Generation) (*successor, error) {
	all, fresh, err := parseAll(ctx, f, previous)
	if err != nil {
		return nil, err
	}
	s := &successor{previous: previous, files: f, parsed: all, fresh: fresh, edit: editSince(previous, all)}
	if previous != nil && !s.edit.touchesData() {
		s.data = previous.data
		return s, nil
	}
	s.data = &store{}
	s.data.root, s.conflicts = mergeData(all)
	return s, nil
}

func (l *loader) phase(name string) {
	if l.begin != nil {
		l.begin(name)
	}
}

func needModules(f *files) error {
	for _, file := range f.list {
		if file.kind == kindModule {
			return nil
		}
	}
	return &Refused{Stage: StageRead, Err: ErrNoPolicy}
}

// compileSound compiles the files that parsed even when others did not, so that an author sees the
// errors of all of them at once.
func (s *successor) compileSound(ctx context.Context) (*policy, error) {
	var broken diagnostic.List
	cutShort := false
	for _, p := range s.edit.added { // nothing is wrong with the others: they serve
		broken = append(broken, p.wrong...)
		cutShort = cutShort || len(p.wrong) > 0 && p.looksCutShort()
	}
	policy, err := s.compile(ctx, len(broken) > 0)
	var errs ast.Errors
	if err != nil && !errors.As(err, &errs) {
		return nil, err
	}
	wrong := append(append(broken, s.conflicts...), diagnostic.FromOPA(errs, s.files.source)...)
	if len(wrong) == 0 {
		return policy, nil
	}
	wrong = (&advisor{all: s.parsed, source: s.files.source}).advise(wrong)
	refused := &Refused{Stage: StageCompile, Diagnostics: wrong.Sorted()}
	if len(broken) > 0 || len(s.conflicts) > 0 {
		refused.Stage = StageParse
	}
	if cutShort {
		refused.Err = errCutShort
	}
	return nil, refused
}

// compile splices the change into the policy before, and compiles everything as one where
// splicing cannot be shown to be safe: see [unit.Graph.WhyWhole] and whyWhole.
func (s *successor) compile(ctx context.Context, someBroke bool) (*policy, error) {
	var change *change
	switch {
	case s.previous == nil:
		change = fromNothing(s.parsed, s.data)
	case s.previous.policy.whole == "":
		change = changeBy(s.edit, s.previous.policy, s.data)
	}
	if change != nil && change.graph.WhyWhole(change.packages) == "" {
		if next, err := change.compile(ctx, someBroke); err != nil || next.whole == "" {
			return next, err
		}
	}
	modules := modulesOf(s.parsed)
	compiler, err := compile(ctx, modules, s.data, someBroke)
	if err != nil {
		return nil, err
	}
	next := newPolicy(compiler, unit.New(unitsOf(s.parsed)))
	next.recent = modules
	return next, nil
}

// errCutShort is wrapped when a file looks as if its writer were not done.
var errCutShort = errors.New("a file looks half-written")
