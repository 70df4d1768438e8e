// Package dev is the author's loop: after each save it compiles the policy, runs the tests that the save
// affects, and reports the result as a [Round]. It uses the same watcher and engine as the sidecar, and loads
// tests too. Most callers need [New], [Loop.Run] and a printer: [Plain] or [Screen].
package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
	"defenseclaw/watcher"

	"github.com/open-policy-agent/opa/v1/tester"
	"golang.org/x/sync/errgroup"
)

// Config says what a Loop watches.
type Config struct {
	Dir      string
	Mode     watcher.Mode // "" means watcher.ModeNotify
	Overlays []string     // as in [source.Config]
	Scope    Scope        // of the tests that run, until [Loop.Ask] says otherwise

	// ProbeTime is processor time for a search for inputs that a change has the policy answer otherwise, after its round
	// was reported. 0: there is no search.
	ProbeTime time.Duration
}

// Loop watches one directory and reports the result of each change.
type Loop struct {
	cfg     Config
	watcher *watcher.Watcher
	engine  *engine.Engine
	place   func(file string) string // a file of the directory, as somebody in the working directory names it
	asked   chan Scope               // has room for one request

	// Owned by Run.
	tested  *engine.Generation // the one that was tested last
	failing map[string]Failure // by name
	total   int
	todo    int // of total: tests that are still to be written
	scope   Scope
	inputs  *inputs
	checks  *schema.Checks
}

// Round is the result of one change, or of one request for all tests.
type Round struct {
	Changed []string      // slash paths relative to the directory
	Took    time.Duration // from the save to this result
	All     bool          // all tests of the scope ran, not only the affected ones
	Scope   Scope         // which tests may run

	Problems diagnostic.List // why the policy does not compile; Failing is then of the last policy that did
	Invalid  diagnostic.List // what policy validate says of a policy that compiles: by schemas, of its data and guards
	Warnings diagnostic.List // what nothing uses, in a policy that compiles
	Err      error           // why the round failed

	Ran, Total, Skipped int
	Todo                int       // of Total: tests that are still to be written
	Failing             []Failure // of this round and of earlier ones that are not repaired, by file and line
	Outside             int       // how many more fail, when they ran last, that the scope leaves out
	Lines               []Lines   // of the policy files that changed; nil where the scope leaves tests out
	Decisions           []Decision

	// A round is reported a second time when its search has ended, unless another change came before.
	Again     bool    // it was reported before, and its search has ended since
	Searching bool    // a search goes on
	Searched  string  // how it ended, for people; empty: it did not, there is none, or nothing can differ
	Found     []Found // by it, the gravest first
	SearchErr error   // why there is no result
}

// OK reports whether nothing is wrong.
func (r *Round) OK() bool {
	return r.Err == nil && len(r.Problems) == 0 && len(r.Invalid) == 0 && len(r.Failing) == 0 && r.Outside == 0 &&
		!slices.ContainsFunc(r.Decisions, func(d Decision) bool { return !d.OK() })
}

// Failure is one test that does not pass.
type Failure struct {
	Name   string
	File   string
	Line   int
	id     string   // the name as the policy has it; Name may be cleaned
	Why    []string // the expression that was not true and its values
	Rules  []string // what became of the rules and conditions of the policy that the test came to, one a line
	Output string   // what it printed
	Before bool     // it failed in an earlier round, and this one did not run it
}

// New checks that the directory exists. The watch begins with [Loop.Run].
func New(cfg Config) (*Loop, error) {
	info, err := os.Stat(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("policy directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("policy directory %s: it is not a directory", cfg.Dir)
	}
	l := &Loop{
		cfg: cfg, asked: make(chan Scope, 1), failing: map[string]Failure{}, inputs: &inputs{dir: cfg.Dir}, scope: cfg.Scope,
		checks: schema.NewChecks(nil, api.GuardSchema()),
	}
	place := report.PlaceIn(cfg.Dir)
	l.place = func(file string) string { return line(place(file)) }
	l.inputs.place = l.place
	l.engine, err = engine.New(engine.Config{Tests: true, RemovalWait: -1, Checks: []engine.Check{new(schema.Guard).Check()}, Source: func() (fs.FS, error) {
		dir, err := source.Open(cfg.Dir, source.Config{Overlays: cfg.Overlays})
		if err != nil {
			return nil, err // not dir: a nil *Dir in an fs.FS is not nil
		}
		return dir, nil
	}})
	if err != nil {
		return nil, err
	}
	l.watcher, err = watcher.New(watcher.Config{Root: cfg.Dir, Mode: cfg.Mode, Relevant: func(rel string) bool {
		return source.RelevantToTests(rel) || isInput(rel)
	}})
	return l, err
}

// Run reports a first round of all tests, and then a round for each change, until ctx ends. A round whose change was
// searched is reported again with what was found, unless the next change comes before. One goroutine calls tell, and
// calls busy, which may be nil, when a round begins.
func (l *Loop) Run(ctx context.Context, busy func(), tell func(Round)) error {
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	var down errgroup.Group
	down.Go(func() error { return l.engine.Run(engineCtx) })
	changes := make(chan watcher.Change)
	up, ctx := errgroup.WithContext(ctx)
	up.Go(func() error { return l.watcher.Run(ctx, changes) })
	up.Go(func() error {
		l.rounds(ctx, changes, up.Go, busy, tell)
		return nil
	})
	err := up.Wait()
	stopEngine()
	return errors.Join(err, down.Wait())
}

// rounds reports until ctx ends. Searches are made in goroutines of start.
func (l *Loop) rounds(ctx context.Context, changes <-chan watcher.Change, start func(func() error), busy func(), tell func(Round)) {
	var current *search
	for {
		before := l.tested
		var change watcher.Change
		select {
		case <-ctx.Done():
			return
		case end := <-current.result():
			if again := current.again(end); ctx.Err() == nil {
				tell(printable(again))
			}
			current = nil
			continue
		case change = <-changes: // the first one arrives when the watch is set up
		case l.scope = <-l.asked:
			change = watcher.Change{At: time.Now(), Rescan: true}
			l.tested = nil
		}
		if busy != nil {
			busy()
		}
		r := l.round(ctx, change)
		if r == nil || ctx.Err() != nil {
			continue
		}
		current.stop()
		current = l.searchFor(ctx, r, before, start)
		tell(printable(*r))
	}
}

// round processes one change. It returns nil when there is nothing to report.
func (l *Loop) round(ctx context.Context, change watcher.Change) *Round {
	r := &Round{All: l.tested == nil, Scope: l.scope}
	start := l.savedAt(change)
	trigger := engine.Trigger{Kind: engine.TriggerWatch, Paths: change.Paths, Recheck: change.Rescan}
	if l.tested == nil {
		trigger.Kind = engine.TriggerStartup
	}
	attempt, err := l.engine.Reload(ctx, trigger)
	var refused *engine.Refused
	switch {
	case errors.As(err, &refused):
		r.Changed = change.Paths
		r.Problems = refused.Diagnostics
		if len(r.Problems) == 0 {
			r.Err = refused
		}
	case err != nil:
		r.Err = err
	default:
		if r.Err = l.test(ctx, attempt.Generation, r); r.Err != nil {
			break
		}
		inputsChanged := l.inputs.find(change)
		if !r.All && attempt.Generation == l.tested && !inputsChanged && !attempt.Healed {
			return nil // no content changed, or no file that matters
		}
		if r.Changed == nil {
			r.Changed = slices.DeleteFunc(slices.Clone(change.Paths), func(p string) bool { return !isInput(p) })
		}
		r.Decisions = l.inputs.decide(ctx, attempt.Generation)
		if r.Invalid, r.Err = l.checks.Problems(attempt.Generation); r.Err != nil {
			break
		}
		if r.Warnings, r.Err = attempt.Generation.Strict(ctx); r.Err != nil {
			break
		}
		l.tested = attempt.Generation
	}
	r.Total, r.Todo = l.total, l.todo
	r.Failing, r.Outside = l.stillFailing(r)
	r.Took = time.Since(start)
	return r
}

// savedAt returns when the change was saved: the earliest modification time of its files, or the time of the
// event. Older times than a second are ignored, since a renamed file keeps its time.
func (l *Loop) savedAt(change watcher.Change) time.Time {
	at := change.At
	for _, p := range change.Paths {
		info, err := os.Stat(filepath.Join(l.cfg.Dir, filepath.FromSlash(p)))
		if err == nil && info.ModTime().Before(at) && at.Sub(info.ModTime()) < time.Second {
			at = info.ModTime()
		}
	}
	return at
}

// test runs the tests whose results can differ from those of the last tested generation.
func (l *Loop) test(ctx context.Context, g *engine.Generation, r *Round) error {
	if g == l.tested {
		return nil
	}
	before := l.tested
	suite := g.AffectedTests(before)
	l.total, l.todo = testrun.Count(g.Tests())
	if before != nil {
		r.Changed = changedSince(before, g)
	}
	var outcome *testrun.Outcome
	if suite != nil {
		var err error
		outcome, err = testrun.Run(ctx, suite, testrun.Options{Cover: true, Filter: l.scope.pattern()})
		if err != nil {
			return fmt.Errorf("run the tests: %w", err)
		}
		if err := testrun.Explain(ctx, suite, outcome.Failed()); err != nil {
			return fmt.Errorf("explain what failed: %w", err)
		}
		r.Ran, r.Skipped = len(outcome.Results), outcome.Skipped()
		l.remember(ctx, g, suite, outcome)
	} else {
		l.remember(ctx, g, &engine.Suite{}, &testrun.Outcome{})
	}
	if before != nil && l.scope.all() {
		r.Lines = linesOf(before, g, outcome)
	}
	return nil
}

// remember replaces the failures of the packages that were tested, and drops those of removed files.
func (l *Loop) remember(ctx context.Context, g *engine.Generation, suite *engine.Suite, outcome *testrun.Outcome) {
	files := map[string]bool{}
	for _, f := range g.Files() {
		files[f.Path] = true
	}
	for name, f := range l.failing {
		f.Before = true
		l.failing[name] = f
		tested := len(suite.Only) == 0 && len(suite.Modules) > 0
		for _, pkg := range suite.Only {
			tested = tested || strings.HasPrefix(name, pkg.String()+".")
		}
		if tested && l.scope.has(name) || !files[f.File] {
			delete(l.failing, name)
		}
	}
	for i, result := range outcome.Failed() {
		f := l.failure(result)
		if i < maxByRule {
			f.Rules = l.byRule(ctx, g, result)
		}
		l.failing[f.Name] = f
	}
}

func (l *Loop) failure(r *tester.Result) Failure {
	f := Failure{Name: testrun.Name(r), id: testrun.Name(r), Why: testrun.Why(r, l.place), Output: strings.TrimSpace(string(r.Output))}
	if r.Location != nil {
		f.File, f.Line = r.Location.File, r.Location.Row
	}
	return f
}

// stillFailing lists what fails of the scope, and counts what fails besides.
func (l *Loop) stillFailing(r *Round) (failing []Failure, outside int) {
	for _, f := range l.failing {
		if !l.scope.has(f.Name) {
			outside++
			continue
		}
		f.Before = f.Before || r.Ran == 0
		failing = append(failing, f)
	}
	slices.SortFunc(failing, func(a, b Failure) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Name, b.Name))
	})
	return failing, outside
}
