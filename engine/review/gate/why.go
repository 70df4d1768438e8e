package gate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Why returns in a few lines why a test failed: the error, or the expression that was false with its values.
// Without the trace that [Explain] adds, it returns the place of the test only. The names of files are written as clean
// makes them.
func Why(r *tester.Result, clean func(file string) string) []string {
	if r.Error != nil {
		return strings.Split(r.Error.Error(), "\n")
	}
	var lines []string
	for name, sub := range r.SubResults.Iter {
		if sub.Fail && len(sub.SubResults) == 0 {
			lines = append(lines, "case "+strings.Join(name, " / "))
			lines = append(lines, failedExpression(sub.Trace, clean)...)
		}
	}
	if len(lines) == 0 {
		lines = failedExpression(r.Trace, clean)
	}
	if len(lines) == 0 && r.Location != nil {
		lines = []string{fmt.Sprintf("%s:%d: is not true", clean(r.Location.File), r.Location.Row)}
	}
	return lines
}

// failedExpression returns the last expression of a trace that failed, with its values.
func failedExpression(trace []*topdown.Event, clean func(string) string) []string {
	for _, e := range slices.Backward(trace) {
		expr, ok := e.Node.(*ast.Expr)
		if e.Op != topdown.FailOp || e.Location == nil || e.QueryID == 0 || !ok {
			continue
		}
		if _, every := expr.Terms.(*ast.Every); every {
			continue // the failed expression is in its body
		}
		var text bytes.Buffer
		if err := topdown.PrettyEvent(&text, e, topdown.PrettyEventOpts{PrettyVars: true}); err != nil {
			continue
		}
		lines := []string{fmt.Sprintf("%s:%d:", clean(e.Location.File), e.Location.Row)}
		return append(lines, dedented(strings.Split(strings.TrimRight(text.String(), " \n"), "\n"))...)
	}
	return nil
}

// dedented shifts lines to the left together, so that the first is indented by two spaces.
func dedented(lines []string) []string {
	margin := len(lines[0]) - len(strings.TrimLeft(lines[0], " \t"))
	moved := make([]string, len(lines))
	for i, line := range lines {
		in := min(margin, len(line)-len(strings.TrimLeft(line, " \t")))
		moved[i] = strings.TrimRight("  "+line[in:], " ")
	}
	return moved
}
