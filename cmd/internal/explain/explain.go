// Package explain reads what a command is to explain, and prints the explanation that package engine/explain makes. Most
// callers need [Evaluate] and [Answer.Write].
package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/explain"
)

// Options say how [Evaluate] evaluates, and what it returns in addition to the result.
type Options struct {
	Explain  bool // the rules that fired and the conditions that failed
	Coverage bool // the lines that were not reached
	Strict   bool // an error of a builtin is an error; it makes what called it undefined otherwise
	Tiers    bool // how long a program and OPA's evaluator take, and whether they agree

	At time.Time // what the clock of the policy says; zero: now

	Place func(file string) string // what people call a file where they stand; nil: as the policy directory has it
}

// Answer is the value of a document and the reasons for it.
type Answer struct {
	Path    string `json:"path"`
	Defined bool   `json:"defined"`
	Result  any    `json:"result,omitempty"`
	Why
	Tiers *Tiers `json:"tiers,omitempty"`
}

// Evaluate evaluates the document at path. input is JSON, or nil for none. It is an error when neither a
// rule nor data exists at path.
func Evaluate(ctx context.Context, g *engine.Generation, path engine.Path, input json.RawMessage, options Options) (Answer, error) {
	answer := Answer{Path: path.String()}
	found, err := explain.Evaluate(ctx, g, path, input, explain.Options{
		Explain: options.Explain, Coverage: options.Coverage, Strict: options.Strict, At: options.At,
	})
	if err == nil {
		err = found.Failed
	}
	if err != nil {
		return answer, err
	}
	if answer.Defined = found.Defined; answer.Defined {
		answer.Result = found.Result
	}
	answer.Why = WhyOf(found, options.Explain, options.Coverage, options.Place)
	if options.Tiers {
		answer.Tiers, err = compareTiers(ctx, g, path, input, !options.Strict)
	}
	return answer, err
}

// Line is a reason as people read it.
func Line(r explain.Reason) string {
	line := fmt.Sprintf("%-8s %s: %s", r.Kind, terminal.Sprintf("%s:%d", r.File, r.Line), r.Text)
	var values []string
	for _, v := range r.Values {
		if v.Text == "" {
			values = append(values, v.Name+" is undefined")
		} else {
			values = append(values, v.Name+" = "+v.Text)
		}
	}
	if len(values) > 0 {
		line += "   (" + strings.Join(values, ", ") + ")"
	}
	return line
}

// lines are the reasons, one a line.
func lines(found explain.Answer, place func(string) string) (lines []string) {
	for _, r := range found.Reasons {
		r.File = place(r.File)
		lines = append(lines, Line(r))
	}
	if found.MoreReasons {
		lines = append(lines, "… and more")
	}
	return lines
}

// notCovered are the lines that the decision did not reach, of the files that it reached, and those that it found to be false
// by the rule index.
func notCovered(found explain.Answer, place func(string) string) (missed, excluded map[string][]int) {
	missed, excluded = map[string][]int{}, map[string][]int{}
	for file, l := range found.Lines {
		name := place(file)
		missed[name] = slices.Sorted(slices.Values(slices.Concat(l.Skipped, l.Missed)))
		if len(l.Excluded) > 0 {
			excluded[name] = l.Excluded
		}
	}
	return missed, excluded
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
	if err := a.Why.Write(w); err != nil {
		return err
	}
	if a.Tiers != nil {
		a.Tiers.write(w)
	}
	return nil
}
