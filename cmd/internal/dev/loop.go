// Package dev is the author's loop: after each save it compiles the policy, runs the tests that the save
// affects, and reports the result as a [Round]. It uses the same watcher and engine as the sidecar, and loads
// tests too. Most callers need [New], [Loop.Run] and a printer: [Plain] or [Screen].
package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
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

	// ProbeTime is processor time for a search for inputs that a change has the policy answer otherwise, after its round
	// was reported. 0: there is no search.
	ProbeTime time.Duration
}

// Loop watches one directory and reports the result of each change.
type Loop struct {
	cfg     Config
	watcher *watcher.Watcher
	engine  *engine.Engine
	all     chan struct{} // requests all tests; has room for one request

	// Owned by Run.
	tested  *engine.Generation // the one that was tested last
	failing map[string]Failure // by name
	total   int
	inputs  *inputs
	checks  *schema.Checks
}

// Round is the result of one change, or of one request for all tests.
type Round struct {
	Changed []string      // slash paths relative to the directory
	Took    time.Duration // from the save to this result
	All     bool          // all tests ran, not only the affected ones

	Problems diagnostic.List // why the policy does not compile; Failing is then of the last policy that did
	Invalid  diagnostic.List // what policy validate says of a policy that compiles: by schemas, of its data and guards
	Warnings diagnostic.List // what nothing uses, in a policy that compiles
	Err      error           // why the round failed

	Ran, Total, Skipped int
	Failing             []Failure // of this round and of earlier ones that are not repaired, by file and line
	Lines               []Lines   // of the policy files that changed
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
	return r.Err == nil && len(r.Problems) == 0 && len(r.Invalid) == 0 && len(r.Failing) == 0 &&
		!slices.ContainsFunc(r.Decisions, func(d Decision) bool { return !d.OK() })
}

// Failure is one test that does not pass.
type Failure struct {
	Name   string
	File   string
	Line   int
	Why    []string // the expression that was not true and its values
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
	l := &Loop{cfg: cfg, all: make(chan struct{}, 1), failing: map[string]Failure{}, inputs: &inputs{dir: cfg.Dir}, checks: schema.NewChecks(api.GuardSchema())}
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

// All asks for a round of all tests. It never blocks.
func (l *Loop) All() {
	select {
	case l.all <- struct{}{}:
	default: // a request is waiting already
	}
}

// Run reports a first round of all tests, and then a round for each change, until ctx ends. A round whose change was
// searched is reported again with what was found, unless the next change comes before. One goroutine calls report, and
// calls busy, which may be nil, when a round begins.
func (l *Loop) Run(ctx context.Context, busy func(), report func(Round)) error {
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	var down errgroup.Group
	down.Go(func() error { return l.engine.Run(engineCtx) })
	changes := make(chan watcher.Change)
	up, ctx := errgroup.WithContext(ctx)
	up.Go(func() error { return l.watcher.Run(ctx, changes) })
	up.Go(func() error {
		l.rounds(ctx, changes, up.Go, busy, report)
		return nil
	})
	err := up.Wait()
	stopEngine()
	return errors.Join(err, down.Wait())
}

// rounds reports until ctx ends. Searches are made in goroutines of start.
func (l *Loop) rounds(ctx context.Context, changes <-chan watcher.Change, start func(func() error), busy func(), report func(Round)) {
	var current *search
	for {
		before := l.tested
		var change watcher.Change
		select {
		case <-ctx.Done():
			return
		case end := <-current.result():
			if again := current.again(end); ctx.Err() == nil {
				report(printable(again))
			}
			current = nil
			continue
		case change = <-changes: // the first one arrives when the watch is set up
		case <-l.all:
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
		report(printable(*r))
	}
}

// round processes one change. It returns nil when there is nothing to report.
func (l *Loop) round(ctx context.Context, change watcher.Change) *Round {
	r := &Round{All: l.tested == nil}
	start := l.savedAt(change)
	trigger := engine.Trigger{Kind: engine.TriggerWatch, Paths: change.Paths, Recheck: change.Rescan}
	if l.tested == nil {
		trigger.Kind = engine.TriggerStartup
	}
	report, err := l.engine.Reload(ctx, trigger)
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
		if r.Err = l.test(ctx, report.Generation, r); r.Err != nil {
			break
		}
		inputsChanged := l.inputs.find(change)
		if !r.All && report.Generation == l.tested && !inputsChanged && !report.Healed {
			return nil // no content changed, or no file that matters
		}
		if r.Changed == nil {
			r.Changed = slices.DeleteFunc(slices.Clone(change.Paths), func(p string) bool { return !isInput(p) })
		}
		r.Decisions = l.inputs.decide(ctx, report.Generation)
		if r.Invalid, r.Err = l.checks.Problems(report.Generation); r.Err != nil {
			break
		}
		if r.Warnings, r.Err = report.Generation.Strict(ctx); r.Err != nil {
			break
		}
		l.tested = report.Generation
	}
	r.Total, r.Failing = l.total, l.stillFailing(r)
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
	l.total = testrun.Count(g.Tests())
	if before != nil {
		r.Changed = changedSince(before, g)
	}
	var outcome *testrun.Outcome
	if suite != nil {
		var err error
		outcome, err = testrun.Run(ctx, suite, testrun.Options{Cover: true})
		if err != nil {
			return fmt.Errorf("run the tests: %w", err)
		}
		if err := testrun.Explain(ctx, suite, outcome.Failed()); err != nil {
			return fmt.Errorf("explain what failed: %w", err)
		}
		r.Ran, r.Skipped = len(outcome.Results), outcome.Skipped()
		l.remember(g, suite, outcome)
	} else {
		l.remember(g, &engine.Suite{}, &testrun.Outcome{})
	}
	if before != nil {
		r.Lines = linesOf(before, g, outcome)
	}
	return nil
}

// remember replaces the failures of the packages that were tested, and drops those of removed files.
func (l *Loop) remember(g *engine.Generation, suite *engine.Suite, outcome *testrun.Outcome) {
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
		if tested || !files[f.File] {
			delete(l.failing, name)
		}
	}
	for _, result := range outcome.Failed() {
		f := failure(result)
		l.failing[f.Name] = f
	}
}

func failure(r *tester.Result) Failure {
	f := Failure{Name: testrun.Name(r), Why: testrun.Why(r), Output: strings.TrimSpace(string(r.Output))}
	if r.Location != nil {
		f.File, f.Line = r.Location.File, r.Location.Row
	}
	return f
}

func (l *Loop) stillFailing(r *Round) []Failure {
	failing := slices.SortedFunc(maps.Values(l.failing), func(a, b Failure) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	for i := range failing {
		failing[i].Before = failing[i].Before || r.Ran == 0
	}
	return failing
}
