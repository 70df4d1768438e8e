// Package explain evaluates one document of a policy and says why it has its value. Most callers need
// [Evaluate] and [Answer.Write].
package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Options say how [Evaluate] evaluates, and what it returns in addition to the result.
type Options struct {
	Explain  bool // the rules that fired and the conditions that failed
	Coverage bool // the lines that were not reached
	Strict   bool // an error of a builtin is an error; it makes what called it undefined otherwise
	Tiers    bool // how long a program and OPA's evaluator take, and whether they agree

	At time.Time // what the clock of the policy says; zero: now
}

// Answer is the value of a document and the reasons for it.
type Answer struct {
	Path        string           `json:"path"`
	Defined     bool             `json:"defined"`
	Result      any              `json:"result,omitempty"`
	Explanation []string         `json:"explanation,omitempty"`
	NotCovered  map[string][]int `json:"not_covered,omitempty"` // lines by file, of the files that were reached
	Tiers       *Tiers           `json:"tiers,omitempty"`
}

// Evaluate evaluates the document at path. input is JSON, or nil for none. It is an error when neither a
// rule nor data exists at path.
func Evaluate(ctx context.Context, g *engine.Generation, path engine.Path, input json.RawMessage, options Options) (Answer, error) {
	answer := Answer{Path: path.String()}
	var value ast.Value
	if input != nil {
		var err error
		if value, err = ast.ValueFromReader(strings.NewReader(string(input))); err != nil {
			return answer, fmt.Errorf("the input: %w", err)
		}
	}
	o := engine.Observation{Lenient: !options.Strict, At: options.At}
	if options.Explain || options.Coverage {
		o.Tracer, o.EveryRule = topdown.NewBufferTracer(), options.Explain
	}
	result, err := g.Observe(ctx, path, value, o)
	if err != nil {
		return answer, err
	}
	if answer.Defined = result != nil; answer.Defined {
		if answer.Result, err = ast.JSON(result); err != nil {
			return answer, err
		}
	}
	if !answer.Defined && !g.HasRules(path) {
		return answer, fmt.Errorf("neither a rule nor data exists at %s", path)
	}
	if options.Explain {
		answer.Explanation = explainTrace(*o.Tracer, value)
	}
	if options.Coverage {
		answer.NotCovered = notCovered(g, *o.Tracer)
	}
	if options.Tiers {
		answer.Tiers, err = compareTiers(ctx, g, path, value, !options.Strict)
	}
	return answer, err
}

// notCovered returns the lines that the trace did not reach, of the files that it reached.
func notCovered(g *engine.Generation, trace []*topdown.Event) map[string][]int {
	coverage, modules := cover.New(), map[string]*ast.Module{}
	for _, e := range trace {
		coverage.TraceEvent(*e)
	}
	for _, f := range g.Files() {
		if m := g.Module(f.Path); m != nil {
			modules[f.Path] = m
		}
	}
	found := map[string][]int{}
	for name, f := range coverage.Report(modules).Files {
		if f.CoveredLines == 0 {
			continue
		}
		lines := []int{}
		for _, r := range f.NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				lines = append(lines, row)
			}
		}
		found[name] = lines
	}
	return found
}

// Write prints the answer for people.
func (a Answer) Write(w io.Writer) error {
	if a.Defined {
		if err := report.JSON(w, a.Result); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(w, "undefined")
	}
	if len(a.Explanation) > 0 {
		fmt.Fprintln(w)
	}
	for _, line := range a.Explanation {
		terminal.Fprintf(w, "%s\n", line)
	}
	if a.NotCovered != nil {
		fmt.Fprintln(w)
	}
	for _, name := range slices.Sorted(maps.Keys(a.NotCovered)) {
		if lines := a.NotCovered[name]; len(lines) > 0 {
			terminal.Fprintf(w, "%s: lines not reached: %s\n", name, strings.Trim(fmt.Sprint(lines), "[]"))
		} else {
			terminal.Fprintf(w, "%s: every line was reached\n", name)
		}
	}
	if a.Tiers != nil {
		a.Tiers.write(w)
	}
	return nil
}
