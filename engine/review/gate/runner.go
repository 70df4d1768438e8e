package gate

import (
	"context"
	"regexp"
	"strings"
	"time"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
)

// TestTimeout is the maximum time for one test.
const TestTimeout = 5 * time.Second

// NewRunner makes the runner of a suite's tests, as "opa test" does, with a compiler that [engine.Suite.NewCompiler] made.
func NewRunner(suite *engine.Suite, compiler *ast.Compiler) *tester.Runner {
	return tester.NewRunner().SetCompiler(compiler).SetStore(suite.Store).SetModules(suite.Modules).
		CapturePrintOutput(true).StackTraces(true).SetDefaultRegoVersion(ast.RegoV1).
		SetPrefixMatchers(suite.Only...).SetTimeout(TestTimeout)
}

// Name is a test's full name, such as data.p.test_x.
func Name(r *tester.Result) string { return r.Package + "." + r.Name }

// Essential leaves of a trace what [Why] needs and what authors noted.
func Essential(trace []*topdown.Event) []*topdown.Event {
	return lineage.Filter(trace, func(e *topdown.Event) bool { return e.Op == topdown.NoteOp || e.Op == topdown.FailOp })
}

// Explain runs the failed tests once more, and adds to each result the trace with the values of variables
// that [Why] needs. The error is ctx's, or of tests that do not compile.
func Explain(ctx context.Context, suite *engine.Suite, failed []*tester.Result) error {
	if len(failed) == 0 {
		return nil
	}
	names := make([]string, len(failed))
	for i, r := range failed {
		names[i] = regexp.QuoteMeta(Name(r))
	}
	results, err := NewRunner(suite, suite.NewCompiler().WithRewriteTestRules(true)).EnableTracing(true).
		Filter("^(?:"+strings.Join(names, "|")+")$").RunTests(ctx, nil)
	if err != nil {
		return err
	}
	byName := make(map[string]*tester.Result, len(failed))
	for r := range results {
		r.Trace = Essential(r.Trace)
		byName[Name(r)] = r
	}
	for _, r := range failed {
		if explained := byName[Name(r)]; explained != nil {
			r.Trace, r.SubResults = explained.Trace, explained.SubResults
		}
	}
	return ctx.Err()
}
