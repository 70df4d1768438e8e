package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/turns"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// errMoved ends an attempt whose candidate was made of what no longer serves.
var errMoved = errors.New("another generation serves meanwhile")

// attempt is files → generation → checked → one pointer moves → those who care are told.
func (e *Engine) attempt(ctx context.Context, trigger Trigger) Report {
	var watch stopwatch
	report := Report{Trigger: trigger, StartedAt: time.Now(), Previous: e.Current()}

	candidate, verdict, err := e.candidate(ctx, trigger, report.StartedAt, &watch)
	var newer *newerError
	switch {
	case errors.Is(err, errMoved):
		return e.attempt(ctx, trigger)
	case errors.As(err, &newer):
		report.newer = &newer.request
		return report
	}
	report.Ignored, report.Noticed = e.ignored, e.ignored.Beyond(e.noticed)
	report.Healed = err == nil && e.refused != nil && trigger.Source == nil
	if err != nil {
		report.Result, report.Refused = Failed, asRefused(err, e.cfg.Timeout)
	}
	serve := e.mayServe(&report, candidate, verdict)
	switch {
	case err != nil:
	case candidate == report.Previous:
		report.Result, e.held = Unchanged, nil
	case !serve:
		report.Result, report.Held, report.repeated = Held, candidate, candidate == e.held
		e.held = candidate
	default:
		watch.begin(phaseSwap)
		e.swap(&report, candidate)
	}
	watch.end()
	if report.Result == Success && report.Previous != nil {
		report.Loss = lossOf(report.Previous, candidate, e.asked.all())
	}
	if serves := report.Result == Success || report.Result == Unchanged; serves && trigger.reads() && e.cfg.OnVerified != nil {
		e.cfg.OnVerified(e.signed)
	}
	report.Phases, report.Generation = watch.phases, e.Current()
	report.Duration = time.Since(report.StartedAt)
	return report
}

// swap is where the pointer moves.
func (e *Engine) swap(report *Report, next *Generation) {
	e.current.Store(next)
	e.hot.succeed(report.Previous, next)
	e.keepFormer(report.Previous, next)
	report.Result, report.Generation, e.held, e.judged = Success, next, nil, nil
}

// loaded is what loading and checking came to.
type loaded struct {
	g       *Generation
	verdict Verdict
	err     error
	phases  []Phase
	missing missing
	ignored *source.Ignored
	by      Verified
}

// candidate loads and checks in a goroutine, so that the attempt ends at its deadline even if it does work
// that cannot be interrupted; e.left joins such work when Run ends. The result is what serves already if the
// source holds just that. A choice is served meanwhile: who takes back a policy must not wait until a large one has been
// compiled. If the pointer moves by it the error is errMoved, since the candidate follows what no longer serves. A request
// that comes during the review of a candidate that nobody waits for ends it: the error is a newerError.
func (e *Engine) candidate(outer context.Context, trigger Trigger, began time.Time, watch *stopwatch) (*Generation, Verdict, error) {
	ctx, cancel := context.WithTimeout(outer, e.cfg.Timeout)
	previous := e.Current()
	if previous != nil { // decisions go on meanwhile
		ctx = turns.With(ctx)
	}
	done, reviewing := make(chan loaded, 1), make(chan *Generation, 1)
	var newer chan request // nil while no request can end the attempt
	var own stopwatch
	l := e.loader(trigger, previous, own.begin)
	e.left.Go(func() {
		defer cancel()
		g, err := e.loadAndCheck(ctx, trigger, l, previous)
		var verdict Verdict
		if err == nil && g != previous && e.cfg.Review != nil && trigger.Source == nil {
			reviewing <- g
			own.begin(phaseReview)
			g, verdict, err = e.review(ctx, Step{Trigger: trigger, StartedAt: began, Base: previous, Candidate: g})
		}
		own.end()
		done <- loaded{g, verdict, err, own.phases, l.missing, l.ignored, l.verified}
	})
	var result loaded
	for waiting := true; waiting; {
		select {
		case result = <-done:
			waiting = false
		case e.judged = <-reviewing:
			if !trigger.Kind.wantsAnswer() {
				newer = e.requests
			}
		case r := <-newer:
			cancel()
			return nil, Verdict{}, &newerError{r}
		case c := <-e.choices:
			if e.serveChosen(outer, c); e.Current() != previous {
				cancel()
				return nil, Verdict{}, errMoved
			}
		case <-ctx.Done():
			select {
			case result = <-done: // it ended, and cancelled ctx itself
				waiting = false
			default:
				return nil, Verdict{}, ctx.Err()
			}
		}
	}
	watch.phases = result.phases
	if result.missing != nil { // it came as far as to know
		e.missing = result.missing
	}
	if result.ignored != nil && trigger.Source == nil {
		e.ignored = *result.ignored
	}
	e.signed = result.by
	return result.g, result.verdict, result.err
}

func (e *Engine) loader(trigger Trigger, previous *Generation, begin func(phase string)) *loader {
	lastRefusal := e.refused
	if trigger.Kind.wantsAnswer() || trigger.Tests && lastRefusal.reviewed() || lastRefusal.awaits() > 0 || lastRefusal.unsigned() || lastRefusal.maybeNoMore(revisionOf(previous)) {
		lastRefusal = nil // worth another try
	}
	return &loader{
		options:     e.options(trigger, previous),
		eval:        e.evalConfig(),
		made:        []*Generation{e.held, e.judged},
		elsewhere:   e.elsewhere(),
		check:       e.cfg.Verify,
		wait:        e.removalWait(trigger),
		lastRefusal: lastRefusal,
		begin:       begin,
	}
}

func (e *Engine) options(trigger Trigger, previous *Generation) source.Options {
	return source.Options{
		Limits: e.cfg.Limits, Tests: e.cfg.Tests, TestsAside: e.cfg.Verify != nil && !e.cfg.Tests, Earlier: earlier(trigger, previous),
	}
}

func (e *Engine) evalConfig() eval.Config {
	return eval.Config{
		Limiter: e.limiter, TimeoutNow: &e.timeout, OnHot: e.hot.add, OnAsked: e.asked.add,
		MaxAnswerBytes: e.cfg.MaxAnswerBytes, AwaitAbandoned: e.cfg.AwaitAbandoned,
		NoPrograms: e.cfg.NoPrograms, MaxDecisionBytes: e.cfg.MaxDecisionBytes, Shadow: e.cfg.Shadow,
		OnDifference: e.cfg.OnDifference, Counts: &e.counts,
	}
}

// elsewhere is the [Config]'s, and notes what is asked for, as an evaluator does.
func (e *Engine) elsewhere() Elsewhere {
	if e.cfg.Elsewhere == nil {
		return nil
	}
	return func(ctx context.Context, g *Generation, path Path, input ast.Value, lenient bool) (ast.Value, error) {
		e.asked.add(eval.Path(path))
		return e.cfg.Elsewhere(ctx, g, path, input, lenient)
	}
}

func (e *Engine) loadAndCheck(ctx context.Context, trigger Trigger, l *loader, previous *Generation) (_ *Generation, err error) {
	defer contain.Panic("load the policy", &err)
	src := trigger.Source
	if src == nil {
		if src, err = e.cfg.Source(); err != nil {
			return nil, &Refused{Stage: StageRead, Err: err}
		}
	}
	if closer, ok := src.(io.Closer); ok {
		defer closer.Close() //nolint:errcheck // it was only read
	}
	meant := removals(src)
	meant.All = meant.All || trigger.AcceptRemovals
	if meant.some() && l.lastRefusal.takenAway() {
		l.lastRefusal = nil // it may be meant now
	}
	candidate, err := l.load(ctx, src, previous)
	if err != nil || candidate == previous {
		return candidate, err
	}
	l.phase(phaseCheck)
	if previous != nil && !meant.All {
		if wrong := e.cfg.Keep.check(previous, candidate, meant, nil); len(wrong) > 0 {
			return nil, &Refused{Stage: StageCheck, Diagnostics: wrong, revision: candidate.revision}
		}
	}
	for _, check := range e.cfg.Checks {
		if check.FilesOnly && trigger.Source != nil {
			continue
		}
		if err := check.run(ctx, candidate, previous); err != nil {
			refused := &Refused{Stage: StageCheck, Err: err, revision: candidate.revision}
			if own := new(Refused); errors.As(err, &own) {
				refused.Diagnostics = own.Diagnostics
			}
			return nil, refused
		}
	}
	return candidate, nil
}

// asRefused turns every way to fail into the one type that callers handle.
func asRefused(err error, timeout time.Duration) *Refused {
	var refused *Refused
	var crash *contain.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &crash):
		return &Refused{Stage: StagePanic, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Refused{Stage: StageDeadline, Err: fmt.Errorf("the reload took longer than %s: %w", timeout, err)}
	default:
		return &Refused{Stage: StageRead, Err: err}
	}
}
