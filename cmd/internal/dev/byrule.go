package dev

import (
	"context"
	"fmt"
	"strings"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
	engineexplain "defenseclaw/engine/explain"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

const (
	maxByRule  = 20 // tests of a round that are explained: each is evaluated once more
	maxReasons = 12 // lines of one test
)

// byRule says what became of the rules and conditions of the policy that a failed test came to. The test's own are left out:
// [Failure].Why has them. It is nil where there is nothing to say.
func (l *Loop) byRule(ctx context.Context, g *engine.Generation, r *tester.Result) (lines []string) {
	path, ok := pathOf(testrun.Name(r))
	if !ok {
		return nil // tests of one name are numbered, and cannot be asked for one by one
	}
	answer, err := engineexplain.Evaluate(ctx, g, path, nil, engineexplain.Options{Explain: true})
	if err != nil {
		return nil // the run of the test has said what is wrong
	}
	more := 0
	for _, reason := range answer.Reasons {
		switch {
		case strings.HasSuffix(reason.File, "_test.rego"):
		case len(lines) == maxReasons:
			more++
		default:
			reason.File = l.place(reason.File)
			lines = append(lines, explain.Line(reason))
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more: policy try --explain %s", more, path))
	}
	return lines
}

// pathOf is the path of the document that a reference such as data.p_test.test_x names.
func pathOf(name string) (path engine.Path, ok bool) {
	ref, err := ast.ParseRef(name)
	if err != nil || len(ref) < 2 || ref.String() != name {
		return nil, false
	}
	for _, part := range ref[1:] {
		text, ok := part.Value.(ast.String)
		if !ok {
			return nil, false
		}
		path = append(path, string(text))
	}
	return path, true
}
