package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func queried(t *testing.T) *Generation {
	t.Helper()
	g, err := Load(t.Context(), fstest.MapFS{
		"p.rego": {Data: []byte(`package p
allow if input.user in data.users
deny contains msg if { some u in data.users; u != input.user; msg := u }
f(x) := x + 1
slow if { some i in numbers.range(1, 100000000); i < 0 }`)},
		"p_test.rego": {Data: []byte("package p_test\ntest_x if true")},
		"data.json":   {Data: []byte(`{"users":["alice","bob"]}`)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAQueryThatTheCallerWroteIsHeldToThePolicysRules(t *testing.T) {
	g := queried(t)
	for query, want := range map[string]string{
		`http.send({})`:                           "unsafe built-in function calls in expression: http.send",
		`opa.runtime()`:                           "unsafe built-in function calls in expression: opa.runtime",
		`net.lookup_ip_addr("a")`:                 "unsafe built-in function calls in expression: net.lookup_ip_addr",
		`x := count("a") with count as http.send`: "http.send",
		`to_number("x")`:                          "eval_builtin_error",
		`no_such(1)`:                              "undefined function no_such",
		`x`:                                       "var x is unsafe",
		`data.p.slow`:                             "the decision took too long",
	} {
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if strings.Contains(want, "took too long") {
			ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		}
		_, err := g.Query(ctx, ast.MustParseBody(query), nil, Observation{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want …%s…", query, err, want)
		}
		_, err = g.Partial(ctx, Partial{Query: ast.MustParseBody(query)}, Observation{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("partially, %s: %v; want …%s…", query, err, want)
		}
		cancel()
	}
}

func TestQueriesDoNotChangeDecisions(t *testing.T) {
	g := queried(t)
	input := ast.NewObject(ast.Item(ast.StringTerm("user"), ast.StringTerm("alice")))
	modules := len(g.policy.Compiler().Modules)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				left, err := g.Partial(context.WithoutCancel(t.Context()), Partial{Query: ast.MustParseBody("data.p.deny[x]; data.p.allow == true")}, Observation{})
				if err != nil || len(left.Queries) == 0 {
					t.Errorf("partially: %v %v", left, err)
				}
				set, err := g.Query(context.WithoutCancel(t.Context()), ast.MustParseBody("x := data.p.f(1)"), input, Observation{})
				if err != nil || len(set) != 1 {
					t.Errorf("query: %v %v", set, err)
				}
				allowed, defined, err := g.Decide(context.WithoutCancel(t.Context()), Path{"p", "allow"}, input)
				if allowed != true || !defined || err != nil {
					t.Errorf("decision: %v %v %v", allowed, defined, err)
				}
			}
		})
	}
	all.Wait()
	if got := len(g.policy.Compiler().Modules); got != modules {
		t.Errorf("the compiler has %d modules, and had %d", got, modules)
	}
}

func TestAQueryCallsTheFunctionsOfAGenerationThatOneFileMade(t *testing.T) {
	files := fstest.MapFS{
		"lib.rego": {Data: []byte("package lib\nf(x) := x + 1")},
		"a.rego":   {Data: []byte("package a\nx := data.lib.f(1)")},
		"b.rego":   {Data: []byte("package b\nx := 1")},
	}
	g, err := Load(t.Context(), files, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range []string{"package b\nx := 2", "package b\nx := data.lib.f(2)"} {
		files["b.rego"] = &fstest.MapFile{Data: []byte(edit)}
		if g, err = Load(t.Context(), files, g); err != nil {
			t.Fatal(err)
		}
	}
	set, err := g.Query(t.Context(), ast.MustParseBody("x := data.lib.f(data.b.x)"), nil, Observation{})
	if err != nil || len(set) != 1 || fmt.Sprint(set[0].Bindings["x"]) != "4" {
		t.Errorf("%v %v; want x = 4", set, err)
	}
	left, err := g.Partial(t.Context(), Partial{Query: ast.MustParseBody("data.lib.f(input.y) == data.b.x")}, Observation{})
	if err != nil || len(left.Queries) != 1 {
		t.Errorf("partially: %v %v", left, err)
	}
	if _, err := g.Query(t.Context(), ast.MustParseBody("data.lib.g(1)"), nil, Observation{}); err == nil {
		t.Error("a function that there is not was called")
	}
}

func TestObservingADecisionDoesNotChangeIt(t *testing.T) {
	g := queried(t)
	input := ast.NewObject(ast.Item(ast.StringTerm("user"), ast.StringTerm("alice")))
	tracer := topdown.NewBufferTracer()
	for i, warm := range []bool{false, true} {
		m := metrics.New()
		result, err := g.Observe(t.Context(), Path{"p", "allow"}, input, Observation{Metrics: m, Instrument: true, Tracer: tracer, Labels: &topdown.EvaluatedRuleTracker{}})
		if result != ast.Boolean(true) || err != nil {
			t.Errorf("%d: %v %v; want true", i, result, err)
		}
		if got := m.Counter(metrics.ServerQueryCacheHit).Value() == uint64(1); got != warm {
			t.Errorf("%d: metrics say that the decision was prepared: %v; want %v", i, got, warm)
		}
	}
	if len(*tracer) == 0 {
		t.Error("nothing was traced")
	}
	if result, err := g.Observe(t.Context(), Path{"p", "allow"}, nil, Observation{}); result != nil || err != nil {
		t.Errorf("undefined: %v %v", result, err)
	}
	if _, err := g.Observe(t.Context(), Path{"\x00"}, nil, Observation{}); !errors.Is(err, ErrPath) {
		t.Errorf("a path that Rego cannot say: %v; want %v", err, ErrPath)
	}
}

func TestAGenerationFindsItsRulesAndModules(t *testing.T) {
	g := queried(t)
	for path, want := range map[string]bool{"p/allow": true, "p": false, "p/deny/x": true, "users": false, "q": false} {
		parsed, err := ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.HasRules(parsed); got != want {
			t.Errorf("HasRules(%s) is %v; want %v", path, got, want)
		}
	}
	if m := g.Module("p.rego"); m == nil || m.Package.String() != "package p" {
		t.Errorf("p.rego: %v", m)
	}
	for _, file := range []string{"data.json", "p_test.rego", "none.rego", ""} {
		if m := g.Module(file); m != nil {
			t.Errorf("%s is no module that serves, and is %v", file, m)
		}
	}
}

func TestWhatCouldDefineADocumentIsFoundAfterAnEditToo(t *testing.T) {
	files := fstest.MapFS{
		"a.rego":        {Data: []byte("package a.b\nc := 1\nd.e := 2")},
		"x/y/data.json": {Data: []byte(`{"z":{"list":[1]}}`)},
	}
	g, err := Load(t.Context(), files, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(g *Generation, want map[string]bool) {
		t.Helper()
		for text, want := range want {
			path, err := ParsePath(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.CouldDefine(path); got != want {
				t.Errorf("%s: %t", text, got)
			}
		}
	}
	check(g, map[string]bool{
		"": true, "a": true, "a/b": true, "a/b/c": true, "a/b/c/deeper": true, "a/b/d": true, "a/b/d/e": true, "a/c": false, "a/b/none": false, "none": false,
		"x": true, "x/y/z": true, "x/y/z/list/0": true, "x/y/z/list/1": false, "x/y/none": false, "system/log/mask": false,
	})
	files["log.rego"] = &fstest.MapFile{Data: []byte("package system.log\nmask contains \"/input/x\" if input.input.x")}
	delete(files, "a.rego")
	if g, err = Load(t.Context(), files, g); err != nil {
		t.Fatal(err)
	}
	check(g, map[string]bool{"system/log/mask": true, "system/log": true, "system/log/drop": false, "a/b/c": false, "a/b": false})
}
