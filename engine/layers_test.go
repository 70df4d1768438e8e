package engine

import (
	"maps"
	"testing"
)

// Each case is a corpus and edits of it, one after the other, that compiling packages without those
// they refer to could get wrong.
func TestPackagesCompiledWithoutOthersAreTheSame(t *testing.T) {
	typed := map[string]string{
		"low.rego":  "package low\nv := 1\nf(x) := [x] if { x > 1 }\ng(x, {\"k\": y}) := x + y\nh(\"a\") := 1\nh(\"b\") := \"two\"\n",
		"mid.rego":  "package mid\nimport data.low\nv := low.v\nf(x) := low.f(x)\ns contains low.g(1, {\"k\": 2})\nt[k] := low.h(k) if { some k in [\"a\", \"b\"] }\n",
		"high.rego": "package high\nimport data.mid\nv := mid.v + 1\nw := mid.f(2)\nx := [e | some e in mid.s]\ny := mid.t.a\nz := data.low.h(\"a\")\n",
		"leaf.rego": "package leaf\nimport data.high\nimport data.mid.f as g\nv := [high.v, high.w[0], high.x, high.y, high.z, g(3)]\nnone := data.base.x\n",
	}
	for name, steps := range map[string][]map[string]string{
		"a chain": {typed, {"leaf.rego": "package leaf\nv := data.high.v\n"}},
		"a type changes below": {typed,
			{"low.rego": "package low\nv := \"one\"\nf(x) := x\ng(x, y) := x\nh(x) := x\n", "leaf.rego": "package leaf\nv := data.high.v\n"},
			{"low.rego": "package low\nv := 3\nf(x) := x\ng(x, y) := x\nh(x) := x\n", "leaf.rego": "package leaf\nw := data.high.v\n"}},
		"what is between loses what it refers to": {typed,
			{"low.rego": "", "leaf.rego": "package leaf\nv := data.high.v\n"},
			{"low.rego": typed["low.rego"], "leaf.rego": "package leaf\nw := data.high.v\n"}},
		"packages in a circle": {
			{"a.rego": "package a\nx := data.b.x\ny := 1\n", "b.rego": "package b\nx := data.a.y\n", "c.rego": "package c\nx := data.a.x\n", "d.rego": "package d\nx := data.c.x + 1\n"},
			{"d.rego": "package d\nx := data.c.x + data.a.y\n"},
			{"b.rego": "package b\nx := data.a.x\n"}},
		"a rule comes round": {
			{"a.rego": "package a\nx := 1\n", "b.rego": "package b\nx := data.a.x\n"},
			{"a.rego": "package a\nx := data.b.x\n"}},
		"an arity that does not fit": {typed, {"leaf.rego": "package leaf\nv := data.mid.f(1, 2)\n"}, {"leaf.rego": "package leaf\nv := data.mid.f(1)\n"}},
		"a type that does not fit":   {typed, {"leaf.rego": "package leaf\nv := data.high.x + 1\n"}, {"leaf.rego": "package leaf\nv := data.mid.t.a.b\n"}},
		"a function as a value":      {typed, {"leaf.rego": "package leaf\nv := data.mid.f\n"}},
		"something replaced":         {typed, {"leaf.rego": "package leaf\nv := data.high.v with data.low.v as \"s\"\n"}, {"leaf.rego": "package leaf\nv := data.high.w with data.low.f as count\n"}},
		"a package as a whole":       {typed, {"leaf.rego": "package leaf\nv := data.mid\nw := data.low[input.k]\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wild{files: map[string]string{"data.json": `{"base": {"x": 1}}`}}
			var g *Generation
			for _, step := range steps {
				maps.Copy(w.files, step)
				maps.DeleteFunc(w.files, func(_, text string) bool { return text == "" })
				if next := loadBoth(t, w, g); next != nil {
					g = next
				}
			}
		})
	}
}
