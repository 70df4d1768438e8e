package builtins_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	tb "github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// ofEveryKind are operands of every kind: odd ones, and those that some builtin can do something with.
var ofEveryKind = []string{
	`null`, `true`, `false`,
	`0`, `1`, `-1`, `2`, `10`, `1.5`, `1.0`, `1e2`, `-0.0`, `12345678901234567890`, `9223372036854775807`, `1e40`, `1e-7`, `1700000000000000000`,
	`""`, `"a"`, `"aé"`, `"10"`, `"0x1f"`, `"1e3"`, `"a,b,,a"`, `"%v %d"`, `"^a+(b)?$"`, `"["`, `"{a,b}*"`, `"{{.a}}"`, `"\u0000"`, `"e\u0301😀"`, `" A\t"`, `"aGk="`, `"6869"`,
	`"10.0.0.0/8"`, `"10.1.2.3"`, `"::1/64"`, `"1.2.3-rc.1+b"`, `"2024-02-29T12:00:00Z"`, `"1h5m"`, `"5Ki"`, `"Europe/Berlin"`, `"{\"a\": [1, 1.0]}"`, `"a: [1, 2]"`, `"a=b&a=c"`, `"a/b"`,
	`"eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln"`, `"package p"`, `"type Query { a: Int }"`, `"query { a }"`,
	`[]`, `["a"]`, `["b", "a", "b"]`, `[1, 2.0, 2]`, `[1, "a", null]`, `[["a", "b"], ["a"]]`, `[{"a": 1}, {"a": {"b": 2}}]`, `["10.0.0.0/8", "10.1.0.0/16"]`, `["/"]`,
	`[{"op": "remove", "path": ""}]`, `[{"op": "replace", "path": "/a", "value": [1]}]`, `[{"op": "add", "path": "a/-", "value": 1}, {"op": "copy", "from": "/a", "path": "/z"}]`,
	`[1700000000000000000, "Europe/Berlin"]`,
	`{}`, `{"a": 1}`, `{"a": ["b", 2], "b": ["a", "c"]}`, `{"a": {"b": {"c": null}}, "d": [1]}`, `{1: "a", "1": "b"}`, `{"type": "object"}`, `{"a": "x", "b": "y"}`,
	`{"pretty": true, "prefix": ">"}`, `{"secret": "s", "alg": "HS256"}`, `{"layout": "RFC3339", "time_zone": "UTC"}`,
	`set()`, `{1}`, `{"a", "b"}`, `{1, "a", null}`, `{{"a"}, {"a", "b"}}`, `{["a", 1]}`,
}

// answerOf calls a builtin as the evaluator does, with what must be the same for two of them made anew.
func answerOf(f topdown.BuiltinFunc, operands []*ast.Term) (answer string) {
	defer func() {
		if v := recover(); v != nil {
			answer = fmt.Sprint("panic: ", v)
		}
	}()
	bctx := topdown.BuiltinContext{
		Context: context.Background(), Metrics: metrics.NoOp(), Seed: strings.NewReader(strings.Repeat("seed", 100)),
		Time: ast.NumberTerm("1700000000000000000"), Cancel: at{time.Now().Add(time.Minute)}, Cache: tb.Cache{},
		Capabilities: ast.CapabilitiesForThisVersion(),
	}
	var got []string
	err := f(bctx, operands, func(t *ast.Term) error {
		got = append(got, t.Value.String()) // as the evaluator does, it panics without a value
		return nil
	})
	if err != nil {
		got = append(got, "error: "+err.Error())
	}
	return strings.Join(got, "; ")
}

// otherwise are the builtins that are not OPA's on purpose, with why.
var otherwise = map[string]string{
	"http.send":          "reaches out of the process",
	"net.lookup_ip_addr": "reaches out of the process",
}

func TestEveryBuiltinAnswersAsOPAsDoForOperandsOfEveryKind(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 4))
	byKind := map[string][]string{}
	for _, text := range ofEveryKind {
		kind := ast.ValueName(ast.MustParseTerm(text).Value)
		byKind[kind] = append(byKind[kind], text)
	}
	calls, values := 0, 0
	for _, decl := range ast.Builtins {
		opas := originals[decl.Name]
		if opas == nil || otherwise[decl.Name] != "" {
			continue
		}
		for _, operands := range operandsOfEveryKind(random, decl, byKind) {
			// Each gets operands of its own: neither may see what the other did to them.
			want, got := answerOf(opas, parsed(t, operands...)), answerOf(topdown.GetBuiltin(decl.Name), parsed(t, operands...))
			calls++
			if want != "" && !strings.HasPrefix(want, "error") {
				values++
			}
			// What panics in OPA's is contained by package eval; ours may also return an error.
			panics := strings.HasPrefix(want, "panic") && (strings.HasPrefix(got, "panic") || strings.HasPrefix(got, "error"))
			if got != want && !panics {
				t.Errorf("%s(%s) is %.500s; OPA's is %.500s", decl.Name, strings.Join(operands, ", "), got, want)
			}
		}
	}
	t.Logf("%d calls, %d with a value", calls, values)
	if values < calls/20 {
		t.Error("hardly any call has a value")
	}
}

// operandsOfEveryKind are all operands of a builtin with one, and for others a sample, most of them of the declared kinds.
func operandsOfEveryKind(random *rand.Rand, decl *ast.Builtin, byKind map[string][]string) (all [][]string) {
	args := decl.Decl.FuncArgs().Args
	if len(args) == 1 {
		for _, text := range ofEveryKind {
			all = append(all, []string{text})
		}
		return all
	}
	calls := 150
	if underRaceDetector {
		calls = 15
	}
	for range calls {
		var operands []string
		for _, arg := range args {
			kinds := slices.DeleteFunc(kindsOf(arg), func(kind string) bool { return len(byKind[kind]) == 0 })
			pool := ofEveryKind
			if len(kinds) > 0 && random.IntN(5) > 0 {
				pool = byKind[kinds[random.IntN(len(kinds))]]
			}
			operands = append(operands, pool[random.IntN(len(pool))])
		}
		all = append(all, operands)
	}
	return all
}
