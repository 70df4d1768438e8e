package plan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/eval/plan"
	"defenseclaw/engine/internal/eval/plan/value"
	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/internal/store"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// corpus is a compiled policy with its data.
type corpus struct {
	compiler *ast.Compiler
	store    *store.Store
}

func newCorpus(modules map[string]string, data ast.Object) (*corpus, error) {
	parsed := map[string]*ast.Module{}
	for name, text := range modules {
		m, err := dialect.Parse(name, []byte(text))
		if err != nil {
			return nil, err
		}
		parsed[name] = m
	}
	if data == nil {
		data = ast.NewObject()
	}
	c := &corpus{compiler: dialect.NewCompiler(), store: store.New(data)}
	c.compiler.Compile(parsed)
	if c.compiler.Failed() {
		return nil, c.compiler.Errors
	}
	return c, nil
}

func mustCorpus(t testing.TB, data string, modules ...string) *corpus {
	t.Helper()
	named := map[string]string{}
	for i, text := range modules {
		named[fmt.Sprintf("m%d.rego", i)] = text
	}
	var object ast.Object
	if data != "" {
		object = ast.MustParseTerm(data).Value.(ast.Object)
	}
	c, err := newCorpus(named, object)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *corpus) program(ctx context.Context, ref ast.Ref) (*plan.Program, error) {
	compiler := *c.compiler
	return plan.Make(ctx, plan.Source{
		Compiler: &compiler, Store: c.store, Txn: store.Txn{}, Data: c.store.Root(), Freezer: value.NewFreezer(nil),
	}, ref)
}

var began = time.Unix(1_700_000_000, 0)

func (c *corpus) topdown(ctx context.Context, ref ast.Ref, input *ast.Term, strict bool) (ast.Value, error) {
	qc := c.compiler.QueryCompiler()
	body, err := qc.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref), ast.VarTerm("value"))))
	if err != nil {
		return nil, err
	}
	var v ast.Value
	err = topdown.NewQuery(body).WithQueryCompiler(qc).WithCompiler(c.compiler).WithStore(c.store).WithBaseCache(c.store).
		WithTransaction(store.Txn{}).WithInput(input).WithTime(began).WithStrictBuiltinErrors(strict).
		Iter(ctx, func(r topdown.QueryResult) error {
			v = r["value"].Value
			return nil
		})
	return v, err
}

func call(ctx context.Context, input *ast.Term, strict bool) plan.Call {
	return plan.Call{Context: ctx, Input: input, Time: began, Strict: strict, Budget: 256 << 20}
}

// sameAsTopdown evaluates both ways, strict and lenient, and reports whether the program decided in both.
func (c *corpus) sameAsTopdown(t testing.TB, p *plan.Program, ref ast.Ref, input *ast.Term) (decided bool) {
	t.Helper()
	decided = true
	for _, strict := range []bool{true, false} {
		want, wantErr := c.topdown(t.Context(), ref, input, strict)
		got, _, err := p.Evaluate(call(t.Context(), input, strict))
		switch {
		case errors.Is(err, plan.ErrAsk):
			decided = false
		case err != nil:
			t.Errorf("%s, strict %v: %v", ref, strict, err)
		case wantErr != nil:
			t.Errorf("%s, strict %v, input %v: %v, but topdown fails: %v", ref, strict, input, got, wantErr)
		case !same(got, want):
			t.Errorf("%s, strict %v, input %v: %v, but topdown gives %v", ref, strict, input, got, want)
		}
		if decided {
			c.sameAsText(t, p, ref, input, strict, got)
		}
	}
	return decided
}

// sameAsText requires that a program gives the same document from the text of an input, and as a text.
func (c *corpus) sameAsText(t testing.TB, p *plan.Program, ref ast.Ref, input *ast.Term, strict bool, want ast.Value) {
	t.Helper()
	asked := call(t.Context(), nil, strict)
	if input != nil {
		text, err := jsonast.Append(nil, input.Value, math.MaxInt)
		if err != nil || bytes.ContainsRune(text, 0xfffd) {
			return // an input that no text stands for
		}
		var ok bool
		if asked.Text, ok = value.Scan(string(text)); !ok {
			asked.Input = input
		} else if again, err := jsonast.Value(text); err != nil || again.Compare(input.Value) != 0 {
			return // such as a set
		}
	}
	asked.Form, asked.To, asked.MaxBytes = plan.AsText, []byte("="), math.MaxInt
	r, err := p.Run(asked)
	switch wantText, wantErr := jsonast.Append([]byte("="), orNull(want), math.MaxInt); {
	case err != nil || wantErr != nil:
		t.Errorf("%s, strict %v, from the text of %v: %v, %v", ref, strict, input, err, wantErr)
	case r.Defined != (want != nil) || !r.Defined && string(r.Text) != "=":
		t.Errorf("%s, strict %v, from the text of %v: defined %v %s, not %v", ref, strict, input, r.Defined, r.Text, want)
	case r.Defined && string(r.Text) != string(wantText):
		t.Errorf("%s, strict %v, from the text of %v: %s, not %s", ref, strict, input, r.Text, wantText)
	}
}

func orNull(v ast.Value) ast.Value {
	if v == nil {
		return ast.Null{}
	}
	return v
}

// same compares the texts as well: 1 and 1.0 are equal, and written differently.
func same(a, b ast.Value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Compare(b) == 0 && a.String() == b.String()
}

// preparedTopdown compiles the query once, as the engine's first tier does.
func (c *corpus) preparedTopdown(t testing.TB, ref ast.Ref) func(input *ast.Term) {
	t.Helper()
	qc := c.compiler.QueryCompiler()
	body, err := qc.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref), ast.VarTerm("value"))))
	if err != nil {
		t.Fatal(err)
	}
	return func(input *ast.Term) {
		err := topdown.NewQuery(body).WithQueryCompiler(qc).WithCompiler(c.compiler).WithStore(c.store).WithBaseCache(c.store).
			WithTransaction(store.Txn{}).WithInput(input).WithTime(began).WithStrictBuiltinErrors(true).
			Iter(t.Context(), func(topdown.QueryResult) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
}
