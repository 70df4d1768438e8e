package jsonast_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

// testingTB is a test, or a property that is checked in one.
type testingTB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// sameAsMarshal fails the test unless v is written as encoding/json writes what OPA makes of it.
func sameAsMarshal(t testingTB, v ast.Value) {
	t.Helper()
	plain, wantErr := ast.JSON(v)
	var want []byte
	if wantErr == nil {
		want, wantErr = json.Marshal(plain)
	}
	got, err := jsonast.Append([]byte("x"), v, math.MaxInt)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%v: error %v, encoding/json's %v", v, err, wantErr)
	}
	if err == nil && string(got) != "x"+string(want) {
		t.Fatalf("%v is written %s, not %s", v, got[1:], want)
	}
}

func TestValuesAreWrittenAsByEncodingJSON(t *testing.T) {
	for _, text := range []string{
		`{1: "a", "1": "b"}`, `{true, null, "x", 1, 1.50, {"a"}, [1], {"k": {2, 1}}}`, `set()`, `{}`, `[]`, `{[1]: 2}`, `{"b": 1, "a": {"c": []}}`,
		`"<a>&\u2028\t\"\\ é \u0000"`, `{"<": {">": "&"}}`, `1e400`, `-0`, `0.10`, `{"a": {1: {"b"}}}`,
	} {
		sameAsMarshal(t, ast.MustParseTerm(text).Value)
	}
	sameAsMarshal(t, ast.String("\xff\xfe"))
	sameAsMarshal(t, ast.Number("1e"))
	sameAsMarshal(t, ast.Var("x"))
	sameAsMarshal(t, ast.MustParseRef("data.x"))
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		v, err := jsonast.Value([]byte(randomText(random, 0)))
		if err != nil {
			t.Fatal(err)
		}
		sameAsMarshal(t, v)
	})
}

func FuzzValueAndAppend(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsonast.Value(text)
		if err != nil && jsonast.CheckNumbers(text) != nil {
			return
		}
		want, wantErr := byOPA(text)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%q: error %v, OPA's %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		if !ast.ValueEqual(v, want) || v.Hash() != want.Hash() {
			t.Fatalf("%q became %v, OPA's is %v", text, v, want)
		}
		sameAsMarshal(t, v)
	})
}
