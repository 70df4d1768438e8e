package builtins_test

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// BenchmarkCall compares builtins with OPA's own: the difference is what the limits cost a call.
func BenchmarkCall(b *testing.B) {
	for _, c := range []hostile{
		of("plus", "", "12", "30"),
		of("gt", "", "1700000000", "1600000000"),
		of("internal.member_2", "", `"b"`, `["a", "b", "c"]`),
		of("glob.match", "", `"a.*.c"`, `["."]`, `"a.b.c"`),
		of("regex.match", "", `"^a+$"`, `"aaaa"`),
		of("sprintf", "", `"%s has %d"`, `["a", 1]`),
		of("concat", "", `", "`, `["a", "b", "c"]`),
		of("json.marshal", "", `{"a": [1, 2, {"b": "c"}]}`),
	} {
		operands := c.operands()
		for whose, f := range map[string]topdown.BuiltinFunc{"ours": topdown.GetBuiltin(c.builtin), "opas": originals[c.builtin]} {
			b.Run(c.builtin+"/"+whose, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_ = f(topdown.BuiltinContext{}, operands, func(*ast.Term) error { return nil })
				}
			})
		}
	}
}
