package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestAQueryHasABoundedNumberOfSteps(t *testing.T) {
	g, err := Load(t.Context(), fstest.MapFS{"p.rego": {Data: []byte("package p\nx := 1\nf(a) := a")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	repeated := func(n int, f func(i int) string, sep string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = f(i)
		}
		return strings.Join(parts, sep)
	}
	one := func(int) string { return "1" }
	for name, query := range map[string]func(n int) string{
		"sums": func(n int) string { return "x := " + repeated(n, one, "+") },
		"assignments": func(n int) string {
			return repeated(n, func(i int) string { return fmt.Sprintf("x%d := %d", i, i) }, ";")
		},
		"calls":          func(n int) string { return "x := " + strings.Repeat("data.p.f(", n) + "1" + strings.Repeat(")", n) },
		"comprehensions": func(n int) string { return "x := [1 | " + repeated(n, func(int) string { return "1 == 1" }, ";") + "]" },
		"every": func(n int) string {
			return "every x in [1] { " + repeated(n, func(int) string { return "x == 1" }, ";") + " }"
		},
	} {
		small, large := ast.MustParseBody(query(MaxQuerySteps/4)), ast.MustParseBody(query(2*MaxQuerySteps))
		before := large.String()
		if _, err := g.Query(t.Context(), small, nil, Observation{}); err != nil && !errors.Is(err, ErrDecisionTimeout) {
			t.Errorf("%s: %v", name, err)
		}
		var refused ast.Errors
		if _, err := g.Query(t.Context(), large, nil, Observation{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "the limit") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := g.Partial(t.Context(), Partial{Query: large}, Observation{}); !errors.As(err, &refused) {
			t.Errorf("%s, partially: %v", name, err)
		}
		if large.String() != before {
			t.Errorf("%s: the query was changed", name)
		}
	}
}

// TestAnAnswerComesAtTheDeadline though OPA's compiler cannot be interrupted, and the evaluation keeps its slot.
func TestAnAnswerComesAtTheDeadline(t *testing.T) {
	g, err := Load(t.Context(), fstest.MapFS{"p.rego": {Data: []byte("package p\nx := 1")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	entered, goOn, ended := make(chan bool), make(chan bool), make(chan bool)
	answered := make(chan error)
	go func() {
		_, err := runAdHoc(ctx, g, "wait", func(context.Context) (int, error) {
			defer close(ended)
			close(entered)
			<-goOn
			return 1, nil
		})
		answered <- err
	}()
	<-entered
	cancel()
	if err := <-answered; !errors.Is(err, ErrDecisionTimeout) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
		t.Error("the evaluation had ended")
	default:
	}
	close(goOn)
	<-ended
	if v, err := runAdHoc(t.Context(), g, "crash", func(context.Context) (int, error) { panic("boom") }); err == nil || v != 0 {
		t.Errorf("%v, %v; want a contained crash", v, err)
	}
	if v, err := runAdHoc(t.Context(), g, "answer", func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}
