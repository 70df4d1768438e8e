package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"defenseclaw/engine"
)

func TestDataMeansWhatItMeansToOPA(t *testing.T) {
	for _, tt := range []struct{ name, file, text, want string }{
		{"of equal keys the last counts", "data.yaml", "x: {a: 1, b: 9, a: 2}\n", `{"a": 2, "b": 9}`},
		{"of equal keys in JSON the last counts", "data.json", `{"x": {"a": 1, "b": 9, "a": 2}}`, `{"a": 2, "b": 9}`},
		{"of equal keys in JSON in a YAML file the last counts", "data.yml", "{\t\"x\": 1, \"x\": 2}", `2`},
		{"keys become strings", "data.yaml", "x: {1: a, 1.5: b, true: c, 2020-01-01: d, .inf: e, no: f}\n",
			`{".inf": "e", "1": "a", "1.5": "b", "2020-01-01": "d", "no": "f", "true": "c"}`},
		{"keys that become one string are equal", "data.yaml", "x: {1: a, \"1\": b}\n", `{"1": "b"}`},
		{"a timestamp is a string", "data.yaml", "x: [2026-11-26, 2026-11-26T10:00:00Z]\n", `["2026-11-26", "2026-11-26T10:00:00Z"]`},
		{"an alias stands for its value", "data.yaml", "y: &a {b: [1]}\nx: [*a, *a]\n", `[{"b": [1]}, {"b": [1]}]`},
		{"what a mapping says goes before a merge", "data.yaml", "y: &a {1: a, b: b}\nx: {<<: *a, b: c}\n", `{"1": "a", "b": "c"}`},
		{"several merges", "data.yaml", "y: &a {b: 1}\nz: &c {d: 2}\nx: {<<: [*a, *c], e: 3}\n", `{"b": 1, "d": 2, "e": 3}`},
		{"empty documents around the one that counts", "data.yaml", "---\nx: 1\n---\n---\n# end\n...\n", `1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := load(t, tree{"p.rego": "package p\nx := data.x", tt.file: tt.text})
			if got := answer(t, g, "p/x"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Without the bound the first text takes 4 GB and more.
func TestAliasesCannotFillTheMemory(t *testing.T) {
	var chain, doubled strings.Builder
	chain.WriteString("a: &a0 []\n")
	doubled.WriteString("a0: &a0 0123456789\n")
	for i := 1; i <= 20_000; i++ {
		fmt.Fprintf(&chain, "a: &a%d [*a%d]\n", i, i-1)
	}
	for i := 1; i <= 200; i++ {
		fmt.Fprintf(&doubled, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"one long text many times": {"s: &a " + strings.Repeat("x", 200<<10) + "\nl: [" + strings.Repeat("*a, ", 20_000) + "]\n", "64 MiB"},
		"a long key many times":    {"s: &a\n  ? " + strings.Repeat("x", 200<<10) + "\n  : 1\nl: [" + strings.Repeat("{<<: *a}, ", 20_000) + "]\n", "64 MiB"},
		"one in the other":         {chain.String(), "10000 levels"},
		"doubled each time":        {doubled.String(), "64 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := engine.Load(t.Context(), tree{"p.rego": "package p", "data.yaml": tt.text}.fs(), nil)
			found := diagnostics(err)
			if len(found) != 1 || found[0].Code != "data_parse_error" || found[0].Line == 0 || !strings.Contains(found[0].Message, tt.want) {
				t.Errorf("%.500v", found)
			}
		})
	}
}

// manyKeys is a mapping in a mapping.
func manyKeys(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, " k%d: 1\n", i)
	}
	return text.String()
}

func TestInputsInYAMLAreCheapToDecode(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a: &a x\nb: *a\n", "line 2: the alias *a"},
		{"a: &a {b: 1}\nc:\n  <<: *a\n", "line 3: the alias *a"},
		{"a: 1\n---\nb: 1\n", "line 3: a second document"},
		{"a: [", "did not find"},
		{"a: .inf", "line 1: .inf"},
		{"a:\n" + manyKeys(7_000), "line 2: the mapping has 7000 keys"},
		{"a:\n" + manyKeys(4_000) + "b:\n" + manyKeys(5_000), "line 4003: the mapping has 5000 keys"},
		{manyKeys(5_000), ""},
		{"a: &a x\n", ""},
		{"\xef\xbb\xbf{\t\"a\": \"*b\"}", ""},
		{"# nothing\n", ""},
		{strings.Repeat("{<<: ", 5000) + "{}" + strings.Repeat("}", 5000), ""},
	} {
		err := engine.CheckYAMLInput([]byte(tt.text))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.100q: %v", tt.text, err)
		}
	}
}
