package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// ways are the ways in which a generation decides, in the order in which a path that is asked for often reaches them.
var ways = []struct {
	name  string
	reach func(context.Context, *Generation, Path) error
}{
	{"OPA's evaluator", func(context.Context, *Generation, Path) error { return nil }},
	{"program", func(ctx context.Context, g *Generation, path Path) error {
		_ = g.evaluator.Compile(ctx, eval.Path(path)) // a path that OPA makes no plan for stays with its evaluator
		return nil
	}},
}

// An answer is a value, or text: "undefined", or the code, the place and the message of an error.
type answer struct {
	value ast.Value
	text  string
}

// same has two spellings of a number, such as 1 and 1.0, for one: of equal members, a set keeps the one that it meets first,
// and OPA's evaluator has the keys of rules from a tree whose order of modules differs from load to load.
func (a answer) same(b answer) bool {
	return a.text == b.text || a.value != nil && b.value != nil && ast.Compare(a.value, b.value) == 0
}

// errTooSlow is of an evaluation that took longer than patience, of which nothing is compared.
var errTooSlow = errors.New("the evaluation takes too long")

// errNotCompiled is of a case of which no part compiles.
var errNotCompiled = errors.New("the policy does not compile")

const patience = 250 * time.Millisecond

// opas answers by a policy with nothing but OPA: its parser, its compiler, its store, a query made by package rego.
type opas struct {
	compiler *ast.Compiler
	store    storage.Store
	prepared map[string]rego.PreparedEvalQuery
}

// newOPAs compiles a case. An error that is [ast.Errors] is of its modules.
func newOPAs(c sameCase) (*opas, error) {
	modules := map[string]*ast.Module{}
	for _, m := range c.modules {
		module, err := ast.ParseModuleWithOpts(m.file, m.text(), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
		if err != nil {
			return nil, err
		}
		modules[m.file] = module
	}
	compiler := ast.NewCompiler().SetErrorLimit(0).WithDefaultRegoVersion(ast.RegoV1)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	var data map[string]any
	if err := util.UnmarshalJSON([]byte(c.data), &data); err != nil {
		return nil, err
	}
	return &opas{compiler, inmem.NewFromObject(data), map[string]rego.PreparedEvalQuery{}}, nil
}

func (o *opas) ask(ctx context.Context, path Path, input ast.Value, strict bool) (answer, error) {
	key := fmt.Sprintf("%q %t", path, strict)
	prepared, ok := o.prepared[key]
	if !ok {
		var err error
		prepared, err = rego.New(
			rego.Query(path.String()), rego.Compiler(o.compiler), rego.Store(o.store), rego.StrictBuiltinErrors(strict),
			rego.SetRegoVersion(ast.RegoV1),
		).PrepareForEval(ctx)
		if err != nil {
			return answerOrError(nil, fmt.Errorf("prepare %s: %w", path, err))
		}
		o.prepared[key] = prepared
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var value ast.Value
	options := []rego.EvalOption{rego.EvalGenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) {
		value = t.Value
		return nil, nil
	})}
	if input != nil {
		options = append(options, rego.EvalParsedInput(input))
	}
	_, err := evalOrPanic(ctx, prepared, options)
	return answerOrError(value, err)
}

// evalOrPanic takes a panic of OPA's for what takes too long: where OPA has no answer, nothing is compared.
func evalOrPanic(ctx context.Context, prepared rego.PreparedEvalQuery, options []rego.EvalOption) (_ rego.ResultSet, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errTooSlow
		}
	}()
	return prepared.Eval(ctx, options...)
}

// locals are variables that the compiler made. Their numbers tell in which order it came to the modules.
var locals = regexp.MustCompile(`__local\d+__`)

// oursAnswer asks a generation, and requires that Decide, Evaluate, AppendJSON and AppendDecision agree.
func oursAnswer(ctx context.Context, g *Generation, path Path, input ast.Value, strict bool) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	evaluate, appendDecision := g.Evaluate, g.AppendDecision
	if !strict {
		evaluate, appendDecision = g.EvaluateLenient, g.AppendDecisionLenient
	}
	value, err := evaluate(ctx, path, input)
	whole, err := answerOrError(value, err)
	if err != nil {
		return whole, err
	}
	if fromText, err := textAnswer(ctx, g, path, input, appendDecision, value != nil || whole.text == "undefined"); err != nil {
		return answer{}, err
	} else if want := textOf(g, value, whole); fromText != want && want != "" {
		return answer{text: fmt.Sprintf("%s, but from a text %s", want, fromText)}, nil
	}
	if value == nil || !strict {
		return whole, err
	}
	result, _, err := g.Decide(ctx, path, input)
	if errors.Is(err, ErrDecisionTimeout) {
		return answer{}, errTooSlow
	}
	plain, err1 := ast.JSON(value)
	want, err2 := json.Marshal(plain)
	got, err3 := json.Marshal(result)
	written, err4 := g.AppendJSON(nil, value)
	if err2 != nil && err3 != nil && err4 != nil {
		return whole, nil // OPA has numbers such as to_number("007"), which nothing can write as JSON
	}
	if err := errors.Join(err, err1, err2, err3, err4); err != nil {
		return answer{}, err
	}
	if string(got) != string(want) || string(written) != string(want) {
		whole = answer{text: fmt.Sprintf("%s, but %s by Decide and %s by AppendJSON", want, got, written)}
	}
	return whole, nil
}

// textAnswer asks from the text of an input for the text of the document. What is not decided has no text, only that
// it is not.
func textAnswer(
	ctx context.Context, g *Generation, path Path, input ast.Value,
	appendDecision func(context.Context, []byte, Path, *Input) ([]byte, bool, error), decided bool,
) (string, error) {
	var in *Input
	if input != nil {
		text, err := InputJSON(input)
		if err != nil {
			return "", err
		}
		if in, err = g.ReadInput(path, text); err != nil {
			return "", err
		}
	}
	text, defined, err := appendDecision(ctx, []byte("="), path, in)
	switch {
	case errors.Is(err, ErrDecisionTimeout):
		return "", errTooSlow
	case err != nil && decided:
		return "an error: " + err.Error(), nil
	case err != nil:
		return "", nil //nolint:nilerr // as expected
	case !defined:
		return "undefined" + string(text[1:]), nil
	}
	return string(text[1:]), nil
}

// textOf is what textAnswer gives for the same document.
func textOf(g *Generation, value ast.Value, whole answer) string {
	if value == nil {
		if whole.text == "undefined" {
			return whole.text
		}
		return ""
	}
	text, err := g.AppendJSON(nil, value)
	if err != nil {
		return "" // the caller writes it once more
	}
	return string(text)
}

// answerOrError makes an answer of an error of an evaluation, too. Other errors are returned.
func answerOrError(value ast.Value, err error) (answer, error) {
	var one *topdown.Error
	var refused ast.Errors
	switch {
	case errors.As(err, &refused):
		return answer{text: fmt.Sprintf("error %s: %s", refused[0].Code, refused[0].Message)}, nil
	case errors.As(err, &one) && one.Code == topdown.CancelErr, errors.Is(err, ErrDecisionTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errTooSlow):
		return answer{}, errTooSlow
	case errors.As(err, &one):
		place := "nowhere"
		if one.Location != nil {
			place = fmt.Sprintf("%s:%d:%d", one.Location.File, one.Location.Row, one.Location.Col)
		}
		// Further lines are added by a second evaluation, for which there may be no time.
		message, _, _ := strings.Cut(locals.ReplaceAllString(one.Message, "a local"), "\n")
		return answer{text: fmt.Sprintf("error %s at %s: %s", one.Code, place, strings.TrimSuffix(message, ":"))}, nil
	case err != nil:
		return answer{}, err
	case value == nil:
		return answer{text: "undefined"}, nil
	}
	return answer{value, value.String()}, nil
}

// repaired compiles a case with OPA, without the rules that do not compile.
func repaired(c sameCase) (sameCase, *opas, error) {
	var err error
	for range 12 {
		var o *opas
		if o, err = newOPAs(c); err == nil {
			return c, o, nil
		}
		var errs ast.Errors
		if !errors.As(err, &errs) {
			return c, nil, err
		}
		bad := map[string]map[int]bool{}
		for _, e := range errs {
			if e.Location == nil { // such as of a function for a mock whose rule was taken out
				continue
			}
			if bad[e.Location.File] == nil {
				bad[e.Location.File] = map[int]bool{}
			}
			bad[e.Location.File][e.Location.Row] = true
		}
		if len(bad) == 0 {
			break
		}
		c = c.withoutRulesAt(bad)
	}
	return c, nil, fmt.Errorf("%w: %w", errNotCompiled, err)
}

func (c sameCase) withoutRulesAt(bad map[string]map[int]bool) sameCase {
	modules := c.modules
	c.modules = nil
	for _, m := range modules {
		row, rules := 3, m.rules
		m.rules = nil
		for _, text := range rules {
			drop := false
			for range strings.Count(text, "\n") + 1 {
				drop = drop || bad[m.file][row]
				row++
			}
			row++ // the empty line
			if !drop {
				m.rules = append(m.rules, text)
			}
		}
		c.modules = append(c.modules, m)
	}
	return c
}

func (c sameCase) fs() fstest.MapFS {
	files := fstest.MapFS{"data.json": {Data: []byte(c.data)}}
	for _, m := range c.modules {
		files[m.file] = &fstest.MapFile{Data: []byte(m.text())}
	}
	return files
}

// generations loads a case, and for some arrives at it by an edit: another module or one rule more.
func (c sameCase) generation(ctx context.Context) (*Generation, error) {
	files := c.fs()
	var previous *Generation
	if n := len(c.modules); n > 0 && c.seed%3 == 1 {
		before := c
		before.modules = slices.Clone(c.modules)
		m := &before.modules[int(c.seed/3)%n]
		if c.seed%2 == 0 && len(m.rules) > 1 {
			m.rules = m.rules[1:]
		} else {
			m.rules = append(slices.Clone(m.rules), "before_the_edit := 1")
		}
		previous, _ = Load(ctx, before.fs(), nil) // what does not load is not followed
	}
	return Load(ctx, files, previous)
}
