// Package regotest writes Rego tests of decisions that were made. Most callers need [Of].
//
// A test that it writes was tried: it holds with the policy it was made with.
package regotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Package is the name of the package that the tests of [Of] are in.
const Package = "recorded_test"

// Test is the test of one recorded decision.
type Test struct {
	Text  string   // a whole file
	Notes []string // what a reader of the test has to know
}

// NoTestError says why there can be no test of a decision.
type NoTestError struct{ Why string }

// Error implements error.
func (e *NoTestError) Error() string { return "no test can be made of this decision: " + e.Why }

func noTest(format string, args ...any) error { return &NoTestError{fmt.Sprintf(format, args...)} }

// Of writes the test that g answers as it is on record: with the record's input, time, and results of builtins that are not
// deterministic. An error is [*NoTestError], or the evaluation's. Each of two evaluations has the timeout of g.
func Of(ctx context.Context, g *engine.Generation, rec *records.Record) (Test, error) {
	if rec.Error != "" {
		return Test{}, noTest("its answer is an error, which a test cannot expect: %s", rec.Error)
	}
	path, err := engine.ParsePath(rec.Path)
	if err != nil {
		return Test{}, noTest("%s", err)
	}
	value, err := decided(ctx, g, path, rec)
	if err != nil {
		return Test{}, err
	}
	known, with := rec.Known(), ""
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if result := only(known[name]); result != nil {
			with += " with " + name + " as " + Text(result)
		}
	}
	if slices.Contains(g.NondeterministicBuiltins(path), ast.NowNanos.Name) {
		with += Clock(rec.Time)
	}
	body := Condition(path, value, rec.Input, with)
	switch holds, err := Holds(ctx, g, body); {
	case err != nil:
		return Test{}, err
	case !holds && len(known) > 0:
		return Test{}, noTest("as a test it comes out otherwise: it depends on results of %s that differ from call to call", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	case !holds:
		return Test{}, noTest("as a test it comes out otherwise than as a decision")
	}
	return write(rec, value, body)
}

// decided makes the decision again, which must have the result that is on record.
func decided(ctx context.Context, g *engine.Generation, path engine.Path, rec *records.Record) (ast.Value, error) {
	var input *engine.Input
	if rec.Input != nil {
		var err error
		if input, err = g.ReadInput(path, rec.Input); err != nil {
			return nil, noTest("its input: %s", err)
		}
	}
	value, err := g.Again(ctx, path, input, engine.Circumstances{Time: rec.Time, ND: rec.Known(), Lenient: !rec.Strict})
	if err != nil {
		return nil, fmt.Errorf("make the decision again: %w", err)
	}
	var now []byte
	if value != nil {
		if now, err = g.AppendJSON(nil, value); err != nil {
			return nil, err
		}
	}
	if !sameJSON(now, rec.Result) {
		cause := "it was made with what is beside the policy, or by another policy"
		if rec.Masked {
			cause = "something of it is masked, and what it was decides"
		}
		return nil, noTest("with what is on record the answer is %s: %s", said(now), cause)
	}
	return value, nil
}

// sameJSON compares values, not the texts. Nil is no value.
func sameJSON(a, b []byte) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, err1 := engine.ParseJSON(a)
	y, err2 := engine.ParseJSON(b)
	return err1 == nil && err2 == nil && x.Compare(y) == 0
}

func write(rec *records.Record, value ast.Value, body string) (test Test, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n\n# %s was %s", Package, rec.Path, said(rec.Result))
	if !rec.Time.IsZero() {
		fmt.Fprintf(&b, " at %s", rec.Time.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(&b, ".\n")
	if rec.DecisionID != "" {
		fmt.Fprintf(&b, "# Decision %s\n", quoted(rec.DecisionID))
	}
	if rec.Masked {
		test.Notes = append(test.Notes, "Something of the decision is masked: the test has the mask, and the answer is the same with it.")
		fmt.Fprintln(&b, "# Something of it is masked, with the same answer.")
	}
	if value != nil && hasSet(value) {
		test.Notes = append(test.Notes, "The result is, or has in it, a set of the policy, which JSON shows as a list.")
	}
	fmt.Fprintf(&b, "test_%s if {\n\t%s\n}\n", Name(rec.Path+"_"+rec.DecisionID[:min(len(rec.DecisionID), idLength)]), body)
	text, err := format.Source("recorded_test.rego", b.Bytes())
	if err != nil {
		return test, noTest("it cannot be written as Rego: %s", err)
	}
	test.Text = string(text)
	return test, nil
}

// idLength is how much of a decision's identifier tells its test from others: rules of one name would be one test, which
// holds where either does.
const idLength = 8

// Condition is what holds where the document at path has a value with an input, and with more, such as [Clock]. A nil value is
// undefined, a nil input none.
func Condition(path engine.Path, value ast.Value, input json.RawMessage, more string) string {
	asked := reference(path)
	if input != nil {
		more = " with input as " + inputText(input) + more
	}
	if value == nil {
		return "[got | got := " + asked + "] == []" + more
	}
	// By itself, because OPA's compiler refuses some comparisons of a document with a value that it may well have, such as set().
	return "got := " + asked + more + "\ngot == " + Text(value)
}

// inputText is JSON on one line, which is Rego, too.
func inputText(input json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, input) != nil {
		return string(input)
	}
	return visible(b.String())
}

// Clock sets the time of a policy in a test.
func Clock(at time.Time) string {
	return fmt.Sprintf(" with %s as %d", ast.NowNanos.Name, at.UnixNano())
}

// Holds tries a condition as the body of a test.
func Holds(ctx context.Context, g *engine.Generation, body string) (bool, error) {
	parsed, err := ast.ParseBody(body)
	if err != nil {
		return false, noTest("it cannot be written as Rego: %s", err)
	}
	set, err := g.Query(ctx, parsed, nil, engine.Observation{Lenient: true}) // as tests are run
	if err != nil {
		return false, fmt.Errorf("try the test: %w", err)
	}
	for _, one := range set { // a condition that fails has the value false
		if !slices.ContainsFunc(one.Expressions, func(e *rego.ExpressionValue) bool { return e.Value != true }) {
			return true, nil
		}
	}
	return false, nil
}

// Name is what a path becomes in the name of a test.
func Name(path string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return '_'
	}, path), "_")
}

// said is a result in a comment of one line.
func said(result json.RawMessage) string {
	const maxRunes = 60
	if result == nil {
		return "undefined"
	}
	text := []rune(strings.Join(strings.Fields(string(result)), " "))
	if len(text) > maxRunes {
		text = append(text[:maxRunes], '…')
	}
	return visible(string(text))
}

// IsNoTest reports whether err says that there can be no test.
func IsNoTest(err error) bool { return errors.As(err, new(*NoTestError)) }
