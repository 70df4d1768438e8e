package testrun

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review/gate"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A Problem is the error of a result where OPA has none that says where and what: a policy that could not be
// loaded, or several errors of one test. Its JSON has the members of OPA's errors, and Errors.
type Problem struct {
	Code     string           `json:"code"`
	Message  string           `json:"message"`
	Location *ast.Location    `json:"location,omitempty"`
	Hint     string           `json:"hint,omitempty"`
	Errors   []*topdown.Error `json:"errors,omitempty"` // when there are several

	text string // as people read it, in several lines
}

func (p *Problem) Error() string { return p.text }

// Problems is the outcome of a run that ended before there were results: each diagnostic of a refused policy,
// or else err itself, is the error of one result.
func Problems(err error) *Outcome {
	outcome := &Outcome{Coverage: &cover.Report{Files: map[string]*cover.FileReport{}}}
	for _, d := range diagnosticsOf(err) {
		p := problemOf(d)
		outcome.Results = append(outcome.Results, &tester.Result{Location: p.Location, Name: p.Code, Error: p})
	}
	if len(outcome.Results) == 0 {
		outcome.Add(err)
	}
	return outcome
}

// Add appends a result for an error that belongs to no test.
func (o *Outcome) Add(err error) {
	p := &Problem{Code: codeFailed, Message: err.Error(), text: err.Error()}
	o.Results = append(o.Results, &tester.Result{Name: p.Code, Error: p})
}

const codeFailed = "policy_test_error"

// diagnosticsOf returns what a refused policy, or tests that the tester cannot compile, have in detail.
func diagnosticsOf(err error) diagnostic.List {
	var errs ast.Errors
	if refused := new(engine.Refused); errors.As(err, &refused) {
		return refused.Diagnostics
	} else if errors.As(err, &errs) {
		return diagnostic.FromOPA(errs, func(string) []byte { return nil })
	}
	return nil
}

func problemOf(d diagnostic.Diagnostic) *Problem {
	var drawn strings.Builder
	report.Write(&drawn, diagnostic.List{d})
	p := &Problem{
		Code: d.Code, Hint: d.Hint, text: strings.TrimSuffix(drawn.String(), "\n"),
		Message: strings.Join(append([]string{d.Message}, d.Details...), "\n"),
	}
	if d.File != "" {
		p.Location = ast.NewLocation(nil, d.File, d.Line, d.Column)
	}
	return p
}

// encodable gives each error a form that JSON can show. The tester joins several errors of builtins to one
// text without structure, so the tests that have them are evaluated once more for the list.
func encodable(ctx context.Context, compiler *ast.Compiler, suite *engine.Suite, txn storage.Transaction, results []*tester.Result) {
	for _, r := range results {
		if r.Error == nil {
			continue
		}
		if _, ok := r.Error.(json.Marshaler); ok || errors.As(r.Error, new(*topdown.Error)) {
			continue
		}
		p := &Problem{Code: topdown.InternalErr, Message: r.Error.Error(), Location: r.Location, text: r.Error.Error()}
		if errs := builtinErrors(ctx, compiler, suite, txn, r); len(errs) > 0 {
			texts := make([]string, len(errs))
			for i, e := range errs {
				texts[i] = e.Error()
			}
			p.Code, p.Errors, p.Location = errs[0].Code, errs, errs[0].Location
			p.text = strings.Join(texts, "\n")
			p.Message = p.text
		}
		r.Error = p
	}
}

// builtinErrors evaluates the test of a result, and returns the different errors of builtins in it.
func builtinErrors(
	ctx context.Context, compiler *ast.Compiler, suite *engine.Suite, txn storage.Transaction, r *tester.Result,
) []*topdown.Error {
	ctx, cancel := context.WithTimeout(ctx, gate.TestTimeout)
	defer cancel()
	var errs []topdown.Error
	query, err := ast.ParseRef(Name(r))
	if err != nil || query.String() != Name(r) { // tests of one name are numbered, as in test_x#01
		query = ast.MustParseRef(r.Package).Append(ast.StringTerm(r.Name))
	}
	_, _ = rego.New(rego.Store(suite.Store), rego.Transaction(txn), rego.Compiler(compiler),
		rego.Query(query.String()), rego.BuiltinErrorList(&errs)).Eval(ctx) // the list is what counts here
	var different []*topdown.Error
	for i := range errs {
		if !slices.ContainsFunc(different, func(e *topdown.Error) bool { return e.Error() == errs[i].Error() }) {
			different = append(different, &errs[i])
		}
	}
	return different
}
