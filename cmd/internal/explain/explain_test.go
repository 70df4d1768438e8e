package explain_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/engine"
)

const policy = `package p

limit := 10

allow if {
	input.role == "admin"
	size := input.size
	size < limit
}
`

func load(t *testing.T) *engine.Generation {
	t.Helper()
	g, err := engine.Load(t.Context(), fstest.MapFS{"p.rego": {Data: []byte(policy)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAnAnswerNamesTheConditionThatFailed(t *testing.T) {
	path := engine.Path{"p", "allow"}
	for _, tc := range []struct{ input, want string }{
		{`{"role": "admin", "size": 30}`, `failed   p.rego:8: size < limit   (size = 30, limit = 10)`},
		{`{"role": "guest"}`, `failed   p.rego:6: input.role == "admin"   (input.role = "guest")`},
		{`{}`, `failed   p.rego:6: input.role == "admin"   (input.role is undefined)`},
		{`{"role": "admin", "size": 3}`, `fired    p.rego:5: allow if {`},
	} {
		answer, err := explain.Evaluate(t.Context(), load(t), path, []byte(tc.input), explain.Options{Explain: true})
		if err != nil || !slices.Contains(answer.Explanation, tc.want) {
			t.Errorf("%s: %v, want the line %q in\n%s", tc.input, err, tc.want, strings.Join(answer.Explanation, "\n"))
		}
	}
}

func TestAnAnswerListsTheLinesThatWereNotReached(t *testing.T) {
	answer, err := explain.Evaluate(t.Context(), load(t), engine.Path{"p", "allow"}, []byte(`{"role": "admin", "size": 30}`), explain.Options{Coverage: true})
	if err != nil || answer.Defined || !slices.Contains(answer.NotCovered["p.rego"], 5) {
		t.Errorf("%+v %v", answer, err)
	}
	var text strings.Builder
	if err := answer.Write(&text); err != nil || !strings.HasPrefix(text.String(), "undefined\n\np.rego: lines not reached: 5\n") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestAPathWithoutRulesOrDataIsAnError(t *testing.T) {
	_, err := explain.Evaluate(t.Context(), load(t), engine.Path{"p", "alow"}, nil, explain.Options{})
	if err == nil || !strings.Contains(err.Error(), "neither a rule nor data exists at") {
		t.Error(err)
	}
}
