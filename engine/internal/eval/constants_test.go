package eval

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// lookup is a policy of the kind that has no partial evaluation here: it calls on its input what may fail.
func lookup(tb testing.TB, users int) *Evaluator {
	tb.Helper()
	var list strings.Builder
	for i := range users {
		fmt.Fprintf(&list, `, {"id": "u%d", "admin": %t}`, i, i%2 == 0)
	}
	return load(tb, map[string]string{
		"data.json": `{"list": [{"id": "u", "admin": true}` + list.String() + `]}`,
		"p.rego": `package p

by_id := {u.id: u | some u in data.list}

none := data.gone

fails := 1 / (count(data.list) - count(data.list))

allow if {
	startswith(input.path, "/admin")
	by_id[input.id].admin
}

override if {
	startswith(input.path, "/admin")
	by_id.other.admin with data.list as [{"id": "other", "admin": true}]
}

open if {
	startswith(input.path, "/public")
	not none
}

broken if {
	startswith(input.path, "/admin")
	fails
}
`,
	})
}

func TestRulesThatDependOnDataAloneAreEvaluatedOnce(t *testing.T) {
	e := lookup(t, 10)
	inputs := []ast.Value{nil}
	for _, text := range []string{
		`{"path": "/admin/x", "id": "u2"}`, `{"path": "/admin/x", "id": "u3"}`, `{"path": "/admin/x", "id": "gone"}`, `{"path": "/public", "id": "u2"}`, `{"path": 1, "id": "u2"}`,
	} {
		inputs = append(inputs, ast.MustParseTerm(text).Value)
	}
	for name, want := range map[string]int{"allow": 1, "override": 1, "open": 1, "broken": 0} {
		path := Path{"p", name}
		var first []string
		for _, input := range inputs {
			first = append(first, answerOf(t, e, path, input))
		}
		if err := e.Ahead(t.Context(), path); !errors.Is(err, ErrNotPartial) {
			t.Errorf("%s: %v; want %v", path, err, ErrNotPartial)
		}
		p, err := e.plan(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := count(p.tier.Load().constants); got != want {
			t.Errorf("%s: %d rules are constants; want %d", path, got, want)
		}
		for i, input := range inputs {
			if second := answerOf(t, e, path, input); second != first[i] {
				t.Errorf("%s of %v is %s, and was %s", path, input, second, first[i])
			}
		}
	}
}

// TestARuleThatConflictsWhateverTheInputRulesOutAPartialEvaluation of what refers to it: it would go on with each of
// its values, and the decision would no longer be an error.
func TestARuleThatConflictsWhateverTheInputRulesOutAPartialEvaluation(t *testing.T) {
	e := load(t, map[string]string{
		"data.json": `{"list": ["a", "b"], "users": {"a": {"roles": ["a"]}, "b": {"roles": []}}, "n": 5}`,
		"p.rego": `package p

two := x if some x in data.list

keyed[x] := y if { some x in ["k"]; some y in data.list }

role if { some role in data.users[two].roles; role == two; some k; input.c[k] == data.n }

key if { input.a == "x"; keyed.k == "a" }

allow if { not role }

deny if { not key }
`,
	})
	for _, name := range []string{"allow", "deny"} {
		path, input := Path{"p", name}, ast.MustParseTerm(`{"a": "x"}`).Value
		first := answerOf(t, e, path, input)
		if !strings.HasPrefix(first, "error") {
			t.Fatalf("%s is %s; want an error", name, first)
		}
		if err := e.Ahead(t.Context(), path); !errors.Is(err, ErrNotPartial) {
			t.Errorf("%s: %v; want %v", name, err, ErrNotPartial)
		}
		if second := answerOf(t, e, path, input); second != first {
			t.Errorf("%s is %s, and was %s", name, second, first)
		}
	}
}

func count(k *constants) (n int) {
	if k == nil {
		return 0
	}
	if k.value != nil || k.undefined {
		n++
	}
	for _, child := range k.children {
		n += count(child)
	}
	return n
}

// BenchmarkEvaluateConstants is one decision that looks its input up in what a rule makes of the data.
func BenchmarkEvaluateConstants(b *testing.B) {
	e := lookup(b, 1000)
	path, input := Path{"p", "allow"}, ast.MustParseTerm(`{"path": "/admin/x", "id": "u2"}`).Value
	decide := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v, err := e.Evaluate(b.Context(), path, input, Strict); v == nil || err != nil {
				b.Fatal(v, err)
			}
		}
	}
	b.Run("First", decide)
	_ = e.Ahead(b.Context(), path)
	b.Run("Second", decide)
}
