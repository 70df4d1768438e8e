package plan_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/engine/internal/eval/plan"

	"github.com/open-policy-agent/opa/v1/ast"
)

// until is cancelled by its context.
type until struct{ ctx context.Context }

func (u until) Cancel()         {}
func (u until) Cancelled() bool { return u.ctx.Err() != nil }

func mustProgram(t testing.TB, c *corpus, path string) *plan.Program {
	t.Helper()
	p, err := c.program(context.Background(), ast.MustParseRef(path))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const hugeLoop = `package p
n := numbers.range(1, 1000)
x if { some a in n; some b in n; some c in n; a + b + c == 0 }
`

func TestALoopOfAProgramEndsAtTheDeadline(t *testing.T) {
	p := mustProgram(t, mustCorpus(t, "", hugeLoop), "data.p.x")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	one := call(ctx, nil, true)
	one.Cancel = until{ctx}
	if _, _, err := p.Evaluate(one); !errors.Is(err, plan.ErrCancelled) {
		t.Errorf("a loop of 10⁹ iterations ended with %v", err)
	}
}

func TestADecisionOverItsBudgetIsLeftToOPA(t *testing.T) {
	p := mustProgram(t, mustCorpus(t, "", "package p\nx := count({[a, b] | some a in input; some b in input})"), "data.p.x")
	one := call(t.Context(), term([]any{1, 2, 3, 4, 5, 6, 7, 8, 9}), true)
	if _, _, err := p.Evaluate(one); err != nil {
		t.Error(err)
	}
	one.Budget = 4096
	if _, _, err := p.Evaluate(one); !errors.Is(err, plan.ErrMemory) || !errors.Is(err, plan.ErrAsk) {
		t.Errorf("a decision over its budget ended with %v", err)
	}
}

func TestAPanicIsLeftToOPA(t *testing.T) {
	one := call(t.Context(), nil, true)
	one.Cancel = panics{}
	p := mustProgram(t, mustCorpus(t, "", hugeLoop), "data.p.x")
	if _, _, err := p.Evaluate(one); !errors.Is(err, plan.ErrAsk) || !strings.Contains(err.Error(), "a fault") {
		t.Errorf("a panic ended with %v", err)
	}
}

type panics struct{}

func (panics) Cancel()         {}
func (panics) Cancelled() bool { panic("a fault") }

func TestDecisionsShareAProgram(t *testing.T) {
	for _, of := range policies(t) {
		c := of.corpus(t)
		p := mustProgram(t, c, of.path)
		input := of.input
		want, _, err := p.Evaluate(call(t.Context(), term(input), true))
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 20 {
					if got, _, err := p.Evaluate(call(t.Context(), term(input), true)); err != nil || !same(got, want) {
						t.Errorf("%s: %v, %v", of.name, got, err)
					}
				}
			})
		}
		group.Wait()
	}
}
