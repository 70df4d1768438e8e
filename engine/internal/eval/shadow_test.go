package eval

import (
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestWhereAllIsMadeTwiceTheFirstDecisionIs(t *testing.T) {
	e := load(t, map[string]string{"p.rego": "package p\nx := input.a\nsystem_too := 1\n", "s.rego": "package system.log\nmask := 1\n"})
	e.cfg.Shadow = 1
	var threads sync.WaitGroup
	for range 4 {
		threads.Go(func() {
			for _, path := range []Path{{"p", "x"}, {"p"}, {}} {
				for range 3 {
					if _, err := e.Evaluate(t.Context(), path, ast.MustParseTerm(`{"a": 1}`).Value, Lenient); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	threads.Wait()
	for _, w := range e.Ways() {
		all := len(w.Path) == 0 // without data.system in it, which programs do not leave out
		if w.Program == all || w.Compared != w.ByProgram || w.ByProgram == 0 != all {
			t.Errorf("%+v", w)
		}
	}
}

func TestBothWaysSideBySide(t *testing.T) {
	e := load(t, map[string]string{
		"p.rego": "package p\nx := input.a + 1\nfails := to_number(input.text)\n",
		"q.rego": "package q\nalone := 1 if {\n\t{1 | true}\n}\n",
	})
	input := ast.MustParseTerm(`{"a": 1, "text": "x"}`).Value
	for _, c := range []struct {
		pkg, name string
		mode      Mode
		why       bool // no program decides
	}{{"p", "x", Strict, false}, {"q", "alone", Strict, true}, {"p", "fails", Strict, true}, {"p", "fails", Lenient, false}, {"p", "none", Strict, false}} {
		s, err := e.SideBySide(t.Context(), Path{c.pkg, c.name}, input, c.mode)
		if err != nil || !s.Equal || (s.Why != "") != c.why || s.OPA == 0 || s.Program == 0 != c.why {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
}
