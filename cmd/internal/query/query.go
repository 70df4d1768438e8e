// Package query evaluates queries that an author types, for policy eval and policy repl: with the policy as the engine
// compiled it, and OPA's evaluator. Most callers need [Parse], [Evaluate] and [Answer.Write].
//
// What a query may call is what a policy may: http.send, opa.runtime and net.lookup_ip_addr are refused.
package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	engineexplain "defenseclaw/engine/explain"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/profiler"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/print"
)

// Name is what diagnostics call the text of a query, in place of a file.
const Name = "query"

// Forever is the time limit of an evaluation that has none.
const Forever = 365 * 24 * time.Hour

// Parse reads a query, the package that it stands in (as app.users or data.app.users; empty: none) and imports (such as data.app as a). An error
// is a [diagnostic.List], or names the package or import.
func Parse(text, pkg string, imports []string) (q engine.AdHoc, err error) {
	if pkg != "" {
		q.Package, err = ast.ParsePackage("package " + strings.TrimPrefix(pkg, "data."))
		if err != nil {
			return q, fmt.Errorf("the package %q: expected a path such as app.users: %w", pkg, err)
		}
	}
	for _, text := range imports {
		found, err := ast.ParseImports("import " + text)
		if err != nil || len(found) != 1 {
			return q, fmt.Errorf("the import %q: expected a path such as data.app.users, or data.app.users as u", text)
		}
		q.Imports = append(q.Imports, found[0])
	}
	q.Query, err = ast.ParseBodyWithOpts(text, ast.ParserOptions{RegoVersion: ast.RegoV1, SkipRules: true})
	return q, problems(text, err)
}

// problems makes a [diagnostic.List] of OPA's errors about a query or the policy; others stay what they are.
func problems(text string, err error) error {
	var errs ast.Errors
	if one := new(ast.Error); errors.As(err, &one) {
		errs = ast.Errors{one}
	} else if !errors.As(err, &errs) {
		return err
	}
	ds := diagnostic.FromOPA(errs, func(file string) []byte {
		if file == "" {
			return []byte(text)
		}
		return nil
	})
	for i := range ds {
		if ds[i].File == "" && ds[i].Line > 0 {
			ds[i].File = Name
		}
	}
	return ds
}

// Options say how [Evaluate] evaluates, and what it tells besides the result.
type Options struct {
	Strict     bool // an error of a builtin is an error
	Metrics    bool
	Instrument bool // metrics of the evaluator's parts too
	Profile    bool
	Top        int      // expressions of the profile; 0: all
	Sort       []string // its order, as OPA names it; empty: by time
	Explain    bool
	Coverage   bool
	Count      int // 2 and more: repeat the evaluation, and measure it

	Partial  bool     // evaluate as far as Unknowns allow
	Unknowns []string // references; empty: input

	Timeout time.Duration // of each evaluation; 0: none
	Print   print.Hook    // of print() in the query and in the policy; nil: nobody

	Place func(file string) string // as in [explain.Options]
}

// Check reports options that do not go together, by the names of their flags.
func (o Options) Check() error {
	switch traced := o.Profile || o.Explain || o.Coverage; {
	case o.Count < 0:
		return errors.New("--count: expected a number above 0")
	case o.Count > 1 && (traced || o.Metrics || o.Partial):
		return errors.New("--count cannot be combined with --profile, --metrics, --explain, --coverage or --partial: what they record takes time")
	case o.Partial && traced:
		return errors.New("--partial cannot be combined with --profile, --explain or --coverage")
	case !o.Partial && len(o.Unknowns) > 0:
		return errors.New("--unknowns needs --partial")
	}
	return nil
}

// Answer is what an evaluation gave. As JSON, result, partial, metrics and profile are as opa eval writes them.
type Answer struct {
	Result    rego.ResultSet       `json:"result,omitempty"`
	Partial   *rego.PartialQueries `json:"partial,omitempty"`
	Errors    []Problem            `json:"errors,omitempty"`
	Metrics   map[string]any       `json:"metrics,omitempty"`
	Profile   []profiler.ExprStats `json:"profile,omitempty"`
	Benchmark *Benchmark           `json:"benchmark,omitempty"`
	explain.Why
}

// Defined reports whether the query has a result, or something is left of it.
func (a *Answer) Defined() bool {
	return len(a.Result) > 0 || a.Partial != nil && len(a.Partial.Queries) > 0
}

// Evaluate evaluates a query with an input, nil for none. An error is a [diagnostic.List] where the query does not compile.
func Evaluate(ctx context.Context, g *engine.Generation, text string, q engine.AdHoc, input ast.Value, o Options) (answer Answer, err error) {
	if err := o.Check(); err != nil {
		return answer, err
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = Forever
	}
	g, q.Print = g.Alone(timeout), o.Print
	e := evaluation{g: g, input: input, o: o, observe: engine.Observation{Lenient: !o.Strict, Instrument: o.Instrument}}
	if o.Metrics || o.Instrument {
		e.observe.Metrics = metrics.New()
	}
	if o.Partial {
		err = e.partial(ctx, q, &answer)
	} else {
		err = e.full(ctx, q, &answer)
	}
	if e.observe.Metrics != nil {
		answer.Metrics = e.observe.Metrics.All()
	}
	if errors.Is(err, engine.ErrDecisionTimeout) && o.Timeout > 0 && ctx.Err() == nil {
		err = fmt.Errorf("the query takes longer than --timeout %s", o.Timeout)
	}
	return answer, problems(text, err)
}

// evaluation is one call of [Evaluate].
type evaluation struct {
	g       *engine.Generation
	input   ast.Value
	o       Options
	observe engine.Observation
}

func (e *evaluation) full(ctx context.Context, q engine.AdHoc, answer *Answer) error {
	prepared, err := e.g.Prepare(ctx, q, e.observe)
	if err != nil {
		return err
	}
	observe, profile := e.observe, (*profiler.Profiler)(nil)
	if e.o.Profile {
		profile = profiler.New()
		observe.Steps = profile
	}
	if answer.Result, err = prepared.Eval(ctx, e.input, observe); err != nil {
		return err
	}
	if profile != nil {
		order := e.o.Sort
		if len(order) == 0 {
			order = []string{"total_time_ns", "num_eval", "num_redo", "file", "line"}
		}
		answer.Profile = profile.ReportTopNResults(e.o.Top, order)
	}
	if e.o.Count > 1 {
		if prepared, err = e.g.Prepare(ctx, quietly(q), e.observe); err != nil {
			return err
		}
		answer.Benchmark, err = measure(ctx, e.o.Count, func() error {
			_, err := prepared.Eval(ctx, e.input, e.observe)
			return err
		})
	}
	if err == nil && (e.o.Explain || e.o.Coverage) {
		var found engineexplain.Answer
		options := engineexplain.Options{Explain: e.o.Explain, Coverage: e.o.Coverage, Strict: e.o.Strict, Timeout: e.o.Timeout}
		if prepared, err = e.g.Prepare(ctx, quietly(q), engine.Observation{Lenient: !e.o.Strict}); err != nil {
			return err
		}
		found, err = engineexplain.Query(ctx, e.g, prepared, e.input, options)
		answer.Why = explain.WhyOf(found, e.o.Explain, e.o.Coverage, e.o.Place)
	}
	return err
}

// quietly is a query that has printed.
func quietly(q engine.AdHoc) engine.AdHoc {
	q.Print = nil
	return q
}

func (e *evaluation) partial(ctx context.Context, q engine.AdHoc, answer *Answer) (err error) {
	p := engine.Partial{Query: q.Query, Package: q.Package, Imports: q.Imports, Input: e.input}
	for _, text := range e.o.Unknowns {
		term, err := ast.ParseTerm(text)
		if err != nil || !isRef(term) {
			return fmt.Errorf("--unknowns: %q: expected a reference such as input.user or data.users", text)
		}
		p.Unknowns = append(p.Unknowns, term)
	}
	answer.Partial, err = e.g.Partial(ctx, p, e.observe)
	return err
}

func isRef(term *ast.Term) bool {
	if v, ok := term.Value.(ast.Var); ok { // input and data parse as variables where nothing follows
		return v.Equal(ast.InputRootDocument.Value) || v.Equal(ast.DefaultRootDocument.Value)
	}
	_, ok := term.Value.(ast.Ref)
	return ok
}

// Problem is an error in an answer, as opa eval writes it.
type Problem struct {
	Message  string `json:"message"`
	Code     string `json:"code,omitempty"`
	Location *Place `json:"location,omitempty"`
}

// Place is where a [Problem] is.
type Place struct {
	File string `json:"file"`
	Row  int    `json:"row"`
	Col  int    `json:"col"`
}

// ProblemsOf are those that err tells of.
func ProblemsOf(err error) []Problem {
	var list diagnostic.List
	if refused := new(engine.Refused); errors.As(err, &refused) {
		list = refused.Diagnostics
	}
	if len(list) > 0 || errors.As(err, &list) {
		all := make([]Problem, len(list))
		for i, d := range list {
			all[i] = Problem{Message: d.Message, Code: d.Code}
			if d.Line > 0 {
				all[i].Location = &Place{d.File, d.Line, d.Column}
			}
		}
		return all
	}
	p := Problem{Message: err.Error()}
	if failed := new(topdown.Error); errors.As(err, &failed) {
		p.Message, p.Code = failed.Message, failed.Code
		if l := failed.Location; l != nil {
			p.Location = &Place{l.File, l.Row, l.Col}
		}
	}
	return []Problem{p}
}
