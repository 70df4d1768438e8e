package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"defenseclaw/engine/internal/contain"
	compiled "defenseclaw/engine/internal/eval/plan"
	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ProgramAfter is the number of decisions after which a path is worth a program. Making one takes about a
// millisecond, and its data the time of reading it once.
const ProgramAfter = 32

const (
	// maxPrograms bounds those of a generation. They take up to 100 KiB each, without data.
	maxPrograms = 512

	// A program that leaves more than one decision in maxAskedShare to OPA's evaluator costs more than it saves. As many as
	// minAsked must have been left before that counts.
	maxAskedShare = 16
	minAsked      = 4

	// The second, fourth, eighth ... decision of a young program is timed beside that of OPA's evaluator. After so many
	// comparisons it counts as grown up. One that takes steep times as long is given up after steepRounds of them, since each
	// decision by it costs that much.
	comparisons        = 8
	steep, steepRounds = 4, 3

	// A decision with more iterations and calls than this is compared even then: OPA's evaluator may look up by a key what a
	// program makes as a whole, and the input that shows it may come late.
	manySteps = 100_000

	// maxComparedBytes bounds the answers that are compared, by their text.
	maxComparedBytes = 64 << 20
)

// program decides for a path instead of OPA's evaluator, as long as it is found to be right and faster.
type program struct {
	run *compiled.Program

	// What it was made of: the next generation takes the program over if it has the same.
	modules map[string]*ast.Module
	data    ast.Object
	since   time.Time

	modes [modes]programUse

	// Decisions that were made twice, and those of them with another answer.
	shadow  atomic.Uint64
	differs atomic.Uint64

	// Comparisons of time, and the sums of both sides in nanoseconds.
	rounds atomic.Int32
	slow   atomic.Int32 // of rounds, those that were steep
	own    atomic.Int64
	theirs atomic.Int64
}

// programUse counts what is decided in one mode: where builtins fail, only the strict mode asks OPA's evaluator.
type programUse struct {
	decisions, asked atomic.Uint64

	// Why the program is not used any more; nil: it is. The first reason stays.
	why atomic.Pointer[string]
}

// giveUp is for a reason that holds in both modes.
func (t *program) giveUp(why string) {
	for mode := range t.modes {
		t.modes[mode].why.CompareAndSwap(nil, &why)
	}
}

// asks counts a decision that the program left to OPA's evaluator.
func (t *program) asks(use *programUse, counts *ProgramCounts, err error) {
	counts.Asked.Add(1)
	asked := use.asked.Add(1)
	if asked >= minAsked && asked*maxAskedShare > use.decisions.Load() || errors.Is(err, compiled.ErrMemory) {
		why := fmt.Sprintf("it left %d decisions of %d to OPA's evaluator: %v", asked, use.decisions.Load(), err)
		use.why.CompareAndSwap(nil, &why)
	}
}

// ProgramCounts counts the decisions of programs, over all generations that share it.
type ProgramCounts struct {
	// Decisions are those that a program was asked for.
	Decisions atomic.Uint64
	// Asked are those of them that it left to OPA's evaluator.
	Asked atomic.Uint64
	// Compared are those that were made in both ways.
	Compared atomic.Uint64
	// Differed are those of them that had two answers.
	Differed atomic.Uint64
}

// Difference is a decision for which a program and OPA's evaluator had different answers. The latter was given.
type Difference struct {
	Path Path
	Mode Mode
	// Input is what was asked; nil: nothing.
	Input ast.Value
	// Program and OPA are the two answers; nil: undefined.
	Program, OPA ast.Value
	// Err is the error of OPA's evaluator, which has no answer then.
	Err error
}

// byProgram decides by the path's program. ok is false where that leaves it to OPA's evaluator; both then have the one
// deadline, and the one time.
func (e *Evaluator) byProgram(ctx context.Context, p *plan, d *decision) (_ compiled.Result, ok bool, _ error) {
	t := p.program.Load()
	if t == nil {
		return compiled.Result{}, false, nil
	}
	use := &t.modes[d.mode]
	if use.why.Load() != nil {
		return compiled.Result{}, false, nil
	}
	n := use.decisions.Add(1)
	e.cfg.Counts.Decisions.Add(1)
	// A comparison makes a decision about twice as long, so few are made, and none of a program that is grown up. The first
	// is not among them: it makes what the next ones find, such as the values of rules that depend on the data alone.
	timed := n > 1 && n&(n-1) == 0 && t.rounds.Load() < comparisons && !e.cfg.shadowsAll()
	// Which decisions are made twice is left to chance: callers that ask in a pattern must not be able to avoid it.
	shadowed := e.cfg.Shadow > 0 && rand.Float64() < e.cfg.Shadow
	call := d.call(ctx, e.cfg.maxDecisionBytes())
	// Values are compared, not texts: see sameValue. The input is read from its text all the same, so that the reader is
	// compared as well.
	if timed || shadowed {
		call.Form = compiled.AsValue
	}
	// The clock is read where its answer is used: a reading costs as much as a small rule does.
	var begun time.Time
	if timed {
		begun = time.Now()
	}
	r, err := t.run.Run(call)
	switch {
	// Asking OPA's evaluator gains nothing, since it has the same deadline. The error is the one that it would give, so that
	// the caller need not tell the two apart.
	case errors.Is(err, compiled.ErrCancelled):
		return r, true, &topdown.Error{Code: topdown.CancelErr, Message: "caller cancelled query execution"}
	// The document was decided, and OPA's evaluator would make the same long text of it.
	case errors.Is(err, jsonast.ErrTooLong):
		return r, true, err
	// The program keeps no state of the decision, so OPA's evaluator begins afresh.
	case err != nil:
		t.asks(use, e.cfg.Counts, err)
		return r, false, nil
	case timed:
		return e.compare(ctx, p, t, r, d, time.Since(begun))
	case r.Steps > manySteps && t.rounds.Load() < 2*comparisons && !e.cfg.shadowsAll():
		call.Form = compiled.AsValue
		begun = time.Now() // afresh: the first decision may have made what the next ones find
		if r, err = t.run.Run(call); err == nil {
			return e.compare(ctx, p, t, r, d, time.Since(begun))
		}
		return r, false, nil
	case shadowed:
		r, ok, err := e.compare(ctx, p, t, r, d, 0)
		if ok && err == nil && e.cfg.shadowsAll() {
			ok = e.compareText(ctx, p, t, r, d)
		}
		return r, ok, err
	}
	return r, true, nil
}

// compare makes a decision by OPA's evaluator as well. own is how long the program took; 0: not measured.
func (e *Evaluator) compare(
	ctx context.Context, p *plan, t *program, r compiled.Result, d *decision, own time.Duration,
) (_ compiled.Result, ok bool, _ error) {
	// That it has to make a value of the input's text counts as its time, since that is what the program saves.
	begun := time.Now()
	theirs, err := e.byOPA(ctx, p, d)
	if topdown.IsCancel(err) {
		return r, true, nil // the program had an answer in time
	}
	// A value whose parts are shared may be exponentially longer than what it takes in memory. One that is too long for an
	// answer is not worth the time.
	if most := min(e.MaxAnswerBytes(), maxComparedBytes); r.Value != nil && jsonast.Size(r.Value, 0, most) > most {
		return r, true, nil
	}
	t.shadow.Add(1)
	e.cfg.Counts.Compared.Add(1)
	// An error that the program did not meet is a difference too: it must evaluate at least what OPA's evaluator does. The
	// caller evaluates once more by it then, for the error with its stack.
	if !t.run.Varies && (err != nil || !sameValue(r.Value, theirs.Value)) {
		t.differs.Add(1)
		e.cfg.Counts.Differed.Add(1)
		t.giveUp("its answer was another than that of OPA's evaluator")
		if e.cfg.OnDifference != nil {
			e.cfg.OnDifference(Difference{Path: p.path, Mode: d.mode, Input: d.input.Value(), Program: r.Value, OPA: theirs.Value, Err: err})
		}
		return r, false, nil
	}
	if own > 0 {
		t.timed(own, time.Since(begun))
	}
	return r, true, nil
}

// timed gives the program up that is slower. A tenth is left for the noise of a busy machine.
func (t *program) timed(own, theirs time.Duration) {
	// Sums, since one decision says little: a garbage collection, or another process, may fall into either side.
	sum, other := t.own.Add(int64(own)), t.theirs.Add(int64(theirs))
	if own > steep*theirs {
		t.slow.Add(1)
	}
	rounds := t.rounds.Add(1)
	if rounds >= comparisons && sum > other+other/10 || rounds >= steepRounds && t.slow.Load() == rounds {
		t.giveUp(fmt.Sprintf("it takes %v where OPA's evaluator takes %v", own, theirs))
	}
}

func sameValue(a, b ast.Value) bool {
	// By value, not by text: a set keeps the first of two elements that are equal and written differently, as 1 and 1.0,
	// and which one that is depends on the order of evaluation.
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Compare(b) == 0
}

// Compile makes the program of a path, and decisions use it from then on. An error says why there is none, which
// changes nothing: its decisions are made as before.
func (e *Evaluator) Compile(ctx context.Context, path Path) (err error) {
	defer contain.Panic("compile "+path.String(), &err)
	p, err := e.plan(path)
	if err != nil || p.program.Load() != nil || e.cfg.NoPrograms {
		return err
	}
	e.plans.making.Lock()
	defer e.plans.making.Unlock()
	if p.program.Load() != nil { // made while this one waited
		return nil
	}
	if e.plans.programs.Load() >= maxPrograms {
		return p.without(fmt.Errorf("there are %d programs", maxPrograms))
	}
	// A plan of all modules would take as many milliseconds as there are hundreds of modules. The packages of the closure
	// are all that the planner looks into.
	modules := e.policy.CompiledFor(path.Ref())
	compiler := *e.policy.Compiler() // OPA changes the compiler that it is given
	compiler.Modules = modules
	run, err := compiled.Make(ctx, compiled.Source{
		Compiler: &compiler, Store: e.data, Txn: store.Txn{}, Data: e.data.Root(), Freezer: e.frozen,
	}, path.Ref())
	if err != nil {
		return p.without(err)
	}
	e.install(p, run, modules)
	return nil
}

// without notes why a path has no program.
func (p *plan) without(err error) error {
	// Said in GET /policy/status. The next generation tries again, since its rules may be others.
	why := err.Error()
	p.noProgram.Store(&why)
	return err
}

// install has a program decide from now on.
func (e *Evaluator) install(p *plan, run *compiled.Program, modules map[string]*ast.Module) {
	e.plans.programs.Add(1)
	t := &program{run: run, modules: modules, data: e.data.Root(), since: time.Now()}
	if run.Lenient != nil {
		why := run.Lenient.Error()
		t.modes[Strict].why.Store(&why)
	}
	p.program.Store(t)
}

// TakeOver makes the programs of the generation before anew, the most asked for first: what they were made of is
// often the same. It ends when still says no. For the goroutine that compiles.
func (e *Evaluator) TakeOver(ctx context.Context, before *Evaluator, still func() bool) {
	// The values of data that is the same are shared. What nothing has taken over in the end is let go of, or each
	// generation would keep all that were before it.
	e.plans.making.Lock()
	e.frozen = value.NewFreezer(before.frozen)
	e.plans.making.Unlock()
	defer e.frozen.Forget()
	var asked []*plan
	before.plans.byPath.Range(func(_, v any) bool {
		if p := v.(*plan); p.program.Load() != nil { //nolint:errcheck,forcetypeassert // nothing else is stored
			asked = append(asked, p)
		}
		return true
	})
	// Programs that decide matter more than those that could: a path that is hardly asked for is made last.
	slices.SortFunc(asked, func(a, b *plan) int { return cmp.Compare(b.uses.Load(), a.uses.Load()) })
	for _, p := range asked {
		if ctx.Err() != nil || !still() {
			return
		}
		if t := p.program.Load(); t.modes[Strict].why.Load() == nil || t.modes[Lenient].why.Load() == nil {
			_ = e.takeOver(ctx, p.path, t) // without it decisions are made as before
		}
	}
}

func (e *Evaluator) takeOver(ctx context.Context, path Path, t *program) (err error) {
	// A panic of OPA's planner must not end the goroutine that makes programs for all paths.
	defer contain.Panic("take over "+path.String(), &err)
	modules := e.policy.CompiledFor(path.Ref())
	if len(modules) != len(t.modules) {
		return e.Compile(ctx, path)
	}
	// Policies share the compiled modules of the packages that an edit did not affect, so identity is enough.
	for file, m := range modules {
		if t.modules[file] != m {
			return e.Compile(ctx, path)
		}
	}
	p, err := e.plan(path)
	if err != nil {
		return err
	}
	// The same data: the program has all that it found out about it. Other data: the closures serve all the same.
	run := t.run
	if e.data.Root() != t.data {
		if run, err = run.WithData(e.data.Root(), e.frozen); err != nil {
			return p.without(err)
		}
	}
	e.install(p, run, modules)
	return nil
}
