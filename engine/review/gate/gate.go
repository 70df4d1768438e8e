// Package gate runs the Rego tests that a change can affect, and says which fail.
//
// Most callers need [Run]. It evaluates what authors wrote, and OPA's tester does that in goroutines of its own: what cannot
// be contained there ends the process. So a caller runs it in a process that may end, or sets [Options].Contain.
package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// DefaultBudget is the default of [Options].Budget.
const DefaultBudget = 2 * time.Second

// Options say what runs, and for how long.
type Options struct {
	Tests  *engine.Tests // those beside the candidate; nil: there are none
	Before *engine.Tests // those beside the base; nil: there are none
	First  []string      // names of tests that run before all others, such as those that failed last time; and of packages that did not compile

	Budget time.Duration        // of processor time, as Spent tells; 0: [DefaultBudget]
	Spent  func() time.Duration // processor time that was spent so far; nil: what passes on the clock

	// Contain evaluates each test once before OPA's tester does, so that a crash is the failure of a test and not the end of
	// the process. It takes twice the time.
	Contain bool
}

// Run runs the tests whose results can differ between base, which may be nil, and candidate: those of changed packages
// first, then others by their distance from what changed. What did not run for lack of time is counted, and no failure. The
// result is never nil without an error; the error is ctx's, or says why no test could be compiled.
func Run(ctx context.Context, base, candidate *engine.Generation, o Options) (*review.TestRun, error) {
	r := &run{o: o, result: &review.TestRun{}, suite: candidate.SuiteOf(o.Tests, base, o.Before)}
	r.o.Budget = cmp.Or(o.Budget, DefaultBudget)
	if r.o.Spent == nil {
		begun := time.Now()
		r.o.Spent = func() time.Duration { return time.Since(begun) }
	}
	for _, d := range o.Tests.Wrong() {
		r.cannotRun(d, "")
	}
	if r.suite == nil {
		return r.result, ctx.Err()
	}
	if err := r.compile(ctx); err != nil {
		return nil, err
	}
	bounded, end := r.withinBudget(ctx)
	defer end()
	err := r.tests(bounded)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	r.explain(ctx)
	slices.SortStableFunc(r.result.Failed, func(a, b review.FailedTest) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), strings.Compare(a.Name, b.Name))
	})
	r.result.NotRun = max(0, len(r.order)-r.result.Ran)
	r.mended()
	return r.result, nil
}

// mended adds the packages that were to run first, since they did not compile, and do so now.
func (r *run) mended() {
	for _, pkg := range r.suite.Only {
		name := pkg.String()
		if slices.Contains(r.o.First, name) && !slices.ContainsFunc(r.result.Failed, func(f review.FailedTest) bool { return f.Name == name }) {
			r.result.Mended = append(r.result.Mended, name)
		}
	}
	slices.Sort(r.result.Mended)
}

// run is one call of [Run].
type run struct {
	o      Options
	suite  *engine.Suite
	result *review.TestRun

	runner   *tester.Runner
	compiler *ast.Compiler
	order    []test // those to run, in their order
	failed   []*tester.Result
}

// test is one rule that is a test.
type test struct {
	name string // as data.p.test_x
	at   *ast.Location
	ref  ast.Ref
	rank int // of its package in the suite, from 1; 0: it runs before all others
}

// maxCompiled bounds how often a suite is compiled without the tests that do not compile.
const maxCompiled = 5

// compile compiles the suite. Test files that do not compile are failures, and the others run without them.
func (r *run) compile(ctx context.Context) error {
	for range maxCompiled {
		r.compiler = r.suite.NewCompiler()
		r.runner = NewRunner(r.suite, r.compiler).SetParallel(1)
		none, err := r.runner.Filter("^$").RunTests(ctx, nil)
		if err == nil {
			for range none {
			}
			r.runner.SetModules(nil) // they are compiled
			r.list()
			return nil
		}
		var wrong ast.Errors
		if !errors.As(err, &wrong) || !r.drop(wrong) {
			return fmt.Errorf("the tests do not compile: %w", err)
		}
	}
	return errors.New("the tests do not compile")
}

// drop takes out the test files that errors are about, and reports whether there were any.
func (r *run) drop(wrong ast.Errors) bool {
	source := map[string][]byte{}
	for _, f := range r.o.Tests.Files() {
		source[f.Path] = f.Bytes
	}
	var files []string
	for _, d := range diagnostic.FromOPA(wrong, func(file string) []byte { return source[file] }).Sorted() {
		m := r.suite.Modules[d.File]
		if _, isTest := source[d.File]; isTest && m != nil {
			r.cannotRun(d, m.Package.Path.String())
			files = append(files, d.File)
		}
	}
	for _, file := range files {
		delete(r.suite.Modules, file)
	}
	return len(files) > 0
}

// cannotRun notes tests that do not parse or compile. What a file has more errors is told once.
func (r *run) cannotRun(d diagnostic.Diagnostic, name string) {
	if slices.ContainsFunc(r.result.Failed, func(f review.FailedTest) bool { return f.File == d.File }) {
		return
	}
	r.result.Failed = append(r.result.Failed, review.FailedTest{
		Name: cmp.Or(name, d.File), File: d.File, Row: d.Line, Why: d.Code + ": " + d.Message,
	})
}

// list puts the tests in their order.
func (r *run) list() {
	distance := map[string]int{}
	for i, pkg := range r.suite.Only {
		distance[pkg.String()] = i + 1
	}
	first := map[string]bool{}
	for _, name := range r.o.First {
		first[name] = true
	}
	known := map[string]bool{}
	for _, m := range r.compiler.Modules {
		pkg := m.Package.Path.String()
		if distance[pkg] == 0 {
			continue
		}
		for _, rule := range m.Rules {
			if ref := testRef(rule); ref != nil {
				t := test{name: ref.String(), at: rule.Location, ref: ref, rank: distance[pkg]}
				if known[t.name] { // one test with several bodies, such as one for each case
					continue
				}
				if known[t.name] = true; first[t.name] {
					t.rank = 0
				}
				r.order = append(r.order, t)
			}
		}
	}
	slices.SortFunc(r.order, func(a, b test) int { return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.name, b.name)) })
}

// testRef is the name of the test that a rule is, as OPA's tester has it; nil if it is none, or is to be skipped.
func testRef(rule *ast.Rule) ast.Ref {
	ref := rule.Head.Ref().GroundPrefix()
	for i, t := range ref {
		name := ""
		switch v := t.Value.(type) {
		case ast.Var:
			name = string(v)
		case ast.String:
			name = string(v)
		}
		if strings.HasPrefix(name, tester.TestPrefix) {
			return rule.Module.Package.Path.Extend(ref[:i+1])
		}
	}
	return nil
}
