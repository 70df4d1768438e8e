package engine

import (
	"context"
	"errors"
	"io/fs"

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
	defer containPanic("load the policy", &err)
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
	f.hash()
	if previous != nil && f.revision == previous.revision {
		return previous, nil
	}
	if l.known != nil && l.known.revision == f.revision {
		return nil, l.known
	}
	g, err := l.build(ctx, f, previous)
	if refused := new(Refused); errors.As(err, &refused) {
		refused.revision = f.revision
	}
	return g, err
}

func (l *loader) build(ctx context.Context, f *files, previous *Generation) (*Generation, error) {
	if err := needModules(f); err != nil {
		return nil, err
	}
	l.phase(phaseParse)
	all, err := parseAll(ctx, f, previous.parsedFiles())
	if err != nil {
		return nil, err
	}
	root, conflicts := mergeData(all)
	data := &store{root: root}

	l.phase(phaseCompile)
	policy, err := compileSound(ctx, all, data, f, conflicts, previous)
	if err != nil {
		return nil, err
	}
	return newGeneration(f, all, policy, data, previous), nil
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
// errors of all of them at once. conflicts are what joining the data found. previous may be nil.
func compileSound(ctx context.Context, all []*parsed, data *store, f *files, conflicts Diagnostics, previous *Generation) (*policy, error) {
	var broken Diagnostics
	cutShort := false
	for _, p := range all {
		broken = append(broken, p.wrong...)
		cutShort = cutShort || len(p.wrong) > 0 && p.looksCutShort()
	}
	policy, err := compileNext(ctx, all, data, previous, len(broken) > 0)
	var errs ast.Errors
	if err != nil && !errors.As(err, &errs) {
		return nil, err
	}
	wrong := append(append(broken, conflicts...), fromOPA(errs, f.source)...)
	if len(wrong) == 0 {
		return policy, nil
	}
	wrong = (&advisor{all: all, source: f.source}).advise(wrong)
	refused := &Refused{Stage: StageCompile, Diagnostics: wrong.sorted()}
	if len(broken) > 0 || len(conflicts) > 0 {
		refused.Stage = StageParse
	}
	if cutShort {
		refused.Err = errCutShort
	}
	return nil, refused
}

// compileNext splices the change into previous's policy, and compiles everything as one where
// splicing cannot be shown to be safe: see [unit.Graph.WhyWhole] and whyWhole.
func compileNext(ctx context.Context, all []*parsed, data *store, previous *Generation, someBroke bool) (*policy, error) {
	var c *change
	switch {
	case previous == nil:
		c = fromNothing(all, data)
	case previous.policy.whole == "":
		c = changeSince(previous, all, data)
	}
	if c != nil && c.graph.WhyWhole(c.packages) == "" {
		if next, err := c.compile(ctx, someBroke); err != nil || next.whole == "" {
			return next, err
		}
	}
	compiler, err := compile(ctx, modulesOf(all), data, someBroke)
	if err != nil {
		return nil, err
	}
	return newPolicy(compiler, unit.New(unitsOf(all))), nil
}

// errCutShort is wrapped when a file looks as if its writer were not done.
var errCutShort = errors.New("a file looks half-written")
