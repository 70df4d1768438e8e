package eval

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

const looping = "package p\nx if count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i == j]) > 0\nquick := 1"

// TestACappedEvaluatorEndsBeforeItsCallersDeadline, whichever way it decides.
func TestACappedEvaluatorEndsBeforeItsCallersDeadline(t *testing.T) {
	e := loadWith(t, map[string]string{"p.rego": looping}, Config{Timeout: 20 * time.Millisecond, Capped: true})
	far, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, ctx := range map[string]context.Context{"without a deadline": t.Context(), "with a far one": far} {
		if _, err := e.Evaluate(ctx, Path{"p", "x"}, nil, Strict); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v; want that it took too long", name, err)
		}
		if _, err := e.Again(ctx, Path{"p", "x"}, nil, Circumstances{}); !errors.Is(err, ErrTimeout) {
			t.Errorf("%s, again: %v; want that it took too long", name, err)
		}
		if v, err := e.Evaluate(ctx, Path{"p", "quick"}, nil, Strict); err != nil || v.Compare(ast.Number("1")) != 0 {
			t.Errorf("%s: %v, %v; want 1", name, v, err)
		}
		adHoc, end, err := e.EnterAdHoc(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); adHoc.Err() == nil && time.Now().Before(deadline); {
			processorTime() // takes a processor
		}
		if !errors.Is(context.Cause(adHoc), context.DeadlineExceeded) {
			t.Errorf("%s, without a plan: %v", name, context.Cause(adHoc))
		}
		end()
	}
}

// TestProcessorTimeIsWhatCounts: a process that got no processor has used none of it.
func TestProcessorTimeIsWhatCounts(t *testing.T) {
	now := time.Now()
	waited := allowance{timeout: time.Hour, used: processorTime()}
	if next := waited.extend(now.Add(-time.Second)); next.Before(now.Add(time.Minute)) {
		t.Errorf("an evaluation that had no processor ends at %s", next)
	}
	worked := allowance{timeout: time.Hour, used: processorTime() - 2*time.Hour}
	if at := now.Add(-time.Second); worked.extend(at) != at {
		t.Error("an evaluation that had it goes on")
	}
	bounded := allowance{timeout: time.Hour, used: processorTime(), until: now.Add(time.Minute)}
	if next := bounded.extend(now); !next.Equal(now.Add(time.Minute)) {
		t.Errorf("beyond its caller's deadline: %s", next)
	}
}
