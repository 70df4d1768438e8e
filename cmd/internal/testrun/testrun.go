// Package testrun runs Rego tests with OPA's tester, for policy test and policy dev. Most callers need [Run],
// and [Explain] for the tests that failed.
package testrun

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"testing" //nolint:depguard // OPA's benchmarks are Go's, whose flags must be set up first

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/review/gate"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Options say which tests run, and what is recorded.
type Options struct {
	Filter string // a regular expression that the full name of a test must match; "" matches all
	Cover  bool   // record which lines were reached
	Trace  bool   // record the failed expressions and the notes of each test; not together with Cover
	Values bool   // record them with the values of their variables; not together with Cover
	Strict bool   // an error of a builtin is an error of the test; it makes what called it undefined otherwise
	Bench  bool   // repeat and time each test, one test after the other

	// Done is called with each result when its test ends, one at a time. It may be nil.
	Done func(*tester.Result)
}

// Outcome is the result of a run.
type Outcome struct {
	Results []*tester.Result // by file and line
	// Coverage is nil unless Options.Cover is set. What the rule index excludes was reached and false: it is covered, and has
	// the kind [cover.KindIndexExcluded].
	Coverage *cover.Report
}

// Failed lists the results of tests that failed or could not be evaluated.
func (o *Outcome) Failed() []*tester.Result {
	var failed []*tester.Result
	for _, r := range o.Results {
		if r.Fail || r.Error != nil {
			failed = append(failed, r)
		}
	}
	return failed
}

// Skipped counts the skipped tests, those whose names begin with todo_.
func (o *Outcome) Skipped() int {
	n := 0
	for _, r := range o.Results {
		if r.Skip {
			n++
		}
	}
	return n
}

// Run runs the tests of a suite on all processors and returns when all have ended. If ctx ends before, the
// outcome that it returns with the error has the results until then.
func Run(ctx context.Context, suite *engine.Suite, options Options) (*Outcome, error) {
	coverage := cover.New()
	compiler := suite.NewCompiler().WithEnablePrintStatements(!options.Bench).WithRewriteTestRules(options.Values)
	runner := gate.NewRunner(suite, compiler).RaiseBuiltinErrors(options.Strict).SetParallel(runtime.GOMAXPROCS(0)).
		EnableTracing(options.Trace || options.Values).Filter(options.Filter)
	if options.Cover {
		runner = runner.SetCoverageRuns([]cover.Kind{cover.KindIndexExcluded}).SetCoverageQueryTracer(coverage)
	}
	txn, err := suite.Store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer suite.Store.Abort(ctx, txn)
	start := runner.RunTests
	if options.Bench {
		testing.Init()
		start = func(ctx context.Context, txn storage.Transaction) (chan *tester.Result, error) {
			return runner.RunBenchmarks(ctx, txn, tester.BenchmarkOptions{ReportAllocations: true})
		}
	}
	results, err := start(ctx, txn)
	if err != nil {
		return nil, err
	}
	outcome := &Outcome{}
	for r := range results {
		r.Trace = gate.Essential(r.Trace)
		outcome.Results = append(outcome.Results, r)
		if options.Done != nil {
			options.Done(r)
		}
	}
	slices.SortFunc(outcome.Results, byPlace)
	encodable(ctx, compiler, suite, txn, outcome.Results)
	if options.Cover {
		report := coverage.Report(suite.Modules)
		countExcluded(&report)
		outcome.Coverage = &report
	}
	return outcome, ctx.Err()
}

// byPlace orders results by the file and line of their tests.
func byPlace(a, b *tester.Result) int {
	if a.Location == nil || b.Location == nil {
		return strings.Compare(Name(a), Name(b))
	}
	return cmp.Or(strings.Compare(a.Location.File, b.Location.File), a.Location.Row-b.Location.Row, strings.Compare(a.Name, b.Name))
}

// Name is a test's full name.
func Name(r *tester.Result) string { return gate.Name(r) }

// Count returns the number of tests of a suite, including those that Options.Filter excludes, and how many of them are still to
// be written: their names begin with todo_.
func Count(suite *engine.Suite) (tests, todo int) {
	for _, m := range suite.Modules {
		if len(suite.Only) > 0 && !slices.ContainsFunc(suite.Only, m.Package.Path.HasPrefix) {
			continue
		}
		for _, rule := range m.Rules {
			switch name := rule.Head.Ref()[0].String(); {
			case strings.HasPrefix(name, tester.SkipTestPrefix):
				tests, todo = tests+1, todo+1
			case strings.HasPrefix(name, tester.TestPrefix):
				tests++
			}
		}
	}
	return tests, todo
}

// Explain is [gate.Explain].
func Explain(ctx context.Context, suite *engine.Suite, failed []*tester.Result) error {
	return gate.Explain(ctx, suite, failed)
}

// Why is [gate.Why] for people at a terminal. place says what a file is called there.
func Why(r *tester.Result, place func(file string) string) []string {
	return gate.Why(r, func(file string) string { return string(terminal.Line(place(file))) })
}
