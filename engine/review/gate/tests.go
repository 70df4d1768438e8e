package gate

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// errBudget ends the tests that take too long together.
var errBudget = errors.New("the time for tests is over")

// look is how often the time that was spent is looked at.
const look = 10 * time.Millisecond

// withinBudget is a context that ends when the budget is spent. end waits for what watches it.
func (r *run) withinBudget(ctx context.Context) (_ context.Context, end func()) {
	bounded, cancel := context.WithCancelCause(ctx)
	begun, ended := r.o.Spent(), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(look)
		defer tick.Stop()
		for {
			select {
			case <-bounded.Done():
				return
			case <-tick.C:
				if r.o.Spent()-begun >= r.o.Budget {
					cancel(errBudget)
				}
			}
		}
	}()
	return bounded, func() { cancel(nil); <-ended }
}

// minChunk and maxChunk bound how many tests OPA's tester gets at once. It runs those in no order, so the first are few.
const minChunk, maxChunk = 8, 128

// tests runs the tests in their order, a chunk after the other, until ctx ends.
func (r *run) tests(ctx context.Context) error {
	size := minChunk
	for left := r.order; len(left) > 0 && ctx.Err() == nil; size = min(2*size, maxChunk) {
		now := left[:min(size, len(left))]
		// Those that failed last time are not mixed with others.
		if i := slices.IndexFunc(now, func(t test) bool { return t.rank != 0 }); i > 0 {
			now = now[:i]
		}
		if left = left[len(now):]; r.o.Contain {
			now = r.sound(ctx, now)
		}
		if err := r.some(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) some(ctx context.Context, tests []test) error {
	if len(tests) == 0 {
		return nil
	}
	names, packages := make([]string, len(tests)), map[string]ast.Ref{}
	for i, t := range tests {
		names[i] = regexp.QuoteMeta(t.name)
		pkg := t.ref[:len(t.ref)-1]
		packages[pkg.String()] = pkg
	}
	var prefixes []ast.Ref
	for _, pkg := range packages {
		prefixes = append(prefixes, pkg)
	}
	results, err := r.runner.SetPrefixMatchers(prefixes...).Filter("^(?:"+strings.Join(names, "|")+")$").RunTests(ctx, nil)
	if err != nil {
		return err
	}
	for one := range results {
		switch {
		case one.Error != nil && ctx.Err() != nil: // it was interrupted
		case one.Skip:
		default:
			if r.result.Ran++; one.Fail || one.Error != nil {
				r.failed = append(r.failed, one)
			} else if name := Name(one); slices.Contains(r.o.First, name) {
				r.result.Mended = append(r.result.Mended, name)
			}
		}
	}
	return nil
}

// sound evaluates tests, and leaves out those that crash, which have failed then.
func (r *run) sound(ctx context.Context, tests []test) []test {
	var sound []test
	for _, t := range tests {
		if ctx.Err() != nil {
			break
		}
		bounded, cancel := context.WithTimeout(ctx, TestTimeout)
		err := engine.Contained("evaluate "+t.name, func() error {
			_, err := rego.New(rego.Compiler(r.compiler), rego.Store(r.suite.Store), rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(t.ref))))).Eval(bounded)
			return err
		})
		cancel()
		if !engine.IsCrash(err) {
			sound = append(sound, t)
			continue
		}
		r.result.Ran++
		r.result.Failed = append(r.result.Failed, review.FailedTest{Name: t.name, File: t.at.File, Row: t.at.Row, Why: err.Error()})
	}
	return sound
}

// maxExplained bounds the failures that are evaluated again, to say what was false.
const maxExplained = 20

// explain says why the tests failed, of many only where.
func (r *run) explain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Budget)
	defer cancel()
	// Without it the place of the test is said, which is all that is known then.
	_ = Explain(ctx, r.suite, r.failed[:min(len(r.failed), maxExplained)])
	for _, one := range r.failed {
		f := review.FailedTest{Name: Name(one), Why: strings.Join(Why(one, func(file string) string { return file }), "\n")}
		if one.Location != nil {
			f.File, f.Row = one.Location.File, one.Location.Row
		}
		if topdown.IsCancel(one.Error) {
			f.Why = "it took longer than " + TestTimeout.String()
		}
		r.result.Failed = append(r.result.Failed, f)
	}
}
