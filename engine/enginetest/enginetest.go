// Package enginetest makes the engines of tests. Tests call [New] where a program calls [engine.New].
package enginetest

import (
	"testing"

	"defenseclaw/engine"
)

// New is [engine.New] for a test. Every decision is made twice, by a program and by OPA's evaluator, and one that differs
// fails the test. A cfg with Shadow, OnDifference or NoPrograms stays as it is, and so does that of a benchmark, which
// measures what a program alone costs.
func New(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	if _, measures := t.(*testing.B); !measures && cfg.Shadow == 0 && cfg.OnDifference == nil && !cfg.NoPrograms {
		cfg.Shadow = 1
		cfg.OnDifference = func(d engine.Difference) {
			t.Errorf("a decision differs: %v of %v is %v by a program, by OPA's evaluator %v, %v", d.Path, d.Input, d.Program, d.OPA, d.Err)
		}
	}
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
