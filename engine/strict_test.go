package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/opacases"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// strictByOPA is what OPA's compiler finds in strict mode in all modules together; ok is false where they do not compile without it.
func strictByOPA(t *testing.T, modules map[string]string) (found []string, ok bool) {
	t.Helper()
	compile := func(strict bool) *ast.Compiler {
		parsed := map[string]*ast.Module{}
		for name, text := range modules {
			m, err := dialect.Parse(name, []byte(text))
			if err != nil || m == nil {
				return nil
			}
			parsed[name] = m
		}
		c := ast.NewCompiler().SetErrorLimit(0).WithDefaultRegoVersion(ast.RegoV1).WithStrict(strict).WithEnablePrintStatements(true)
		c.Compile(parsed)
		return c
	}
	if c := compile(false); c == nil || c.Failed() {
		return nil, false
	}
	for _, e := range compile(true).Errors {
		message, _, _ := strings.Cut(e.Message, ". (hint: ")
		found = append(found, fmt.Sprintf("%s:%d:%d: %s", e.Location.File, e.Location.Row, e.Location.Col, message))
	}
	slices.Sort(found)
	return slices.Compact(found), true // it reports some twice
}

func strictByUs(t *testing.T, modules map[string]string) (found []string) {
	t.Helper()
	for name, text := range modules {
		list, err := StrictIn(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			found = append(found, fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message))
		}
	}
	slices.Sort(found)
	return found
}

func TestStrictFindsWhatOPADoes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		modules []string
		want    int
	}{
		"nothing":                             {[]string{"package p\nimport data.q.r\nx := r"}, 0},
		"an import":                           {[]string{"package p\nimport data.q.r\nimport input.user as u\nx := 1"}, 2},
		"an import that a local hides":        {[]string{"package p\nimport data.q.r\nx if { r := 1; r == 1 }"}, 1},
		"an import that the body of one uses": {[]string{"package p\nimport data.q.r\nx contains y if some y in r\nz if { r := 2; r > 1 }"}, 0},
		"rego.v1 and future":                  {[]string{"package p\nimport rego.v1\nimport future.keywords.in\nx := 1"}, 0},
		"an import named as a rule elsewhere": {[]string{"package p\nimport data.q.r\nx := 1", "package p\nr := 2\ny := r"}, 1},
		"a rule elsewhere that a local hides": {[]string{"package p\nx if { r := 1 }", "package p\nr := 2"}, 1},
		"a variable":                          {[]string{"package p\nx if {\n\ty := input.a\n\tinput.b\n}"}, 1},
		"a variable of a comprehension":       {[]string{"package p\nx := [a | some a in input.xs; b := a]"}, 1},
		"one in the head":                     {[]string{"package p\nx := y if y := 1\nf(a) := b if b := a"}, 0},
		"one in every":                        {[]string{"package p\nx if every a in input.xs { b := a }"}, 1},
		"one inside not":                      {[]string{"package p\nx if { y := 1; not input[y] }"}, 0},
		"a pattern":                           {[]string{"package p\nx if [a, b] := input.pair\ny if { [c, d] := input.pair; c > d }"}, 2},
		"a wildcard":                          {[]string{"package p\nx if _ := input.a"}, 0},
		"an argument":                         {[]string{"package p\nf(a, b) := a"}, 1},
		"one in an else":                      {[]string{"package p\nf(a, b) := a if input.x\nelse := b"}, 0},
		"one of a pattern":                    {[]string{"package p\nf([a, b]) := a"}, 1},
		"one per clause":                      {[]string{"package p\nf(a) := 1 if input.x\nf(a) := a if input.y"}, 1},
		"a builtin's name":                    {[]string{"package p\nx if { count := input.n }\ny if { max := 1; max > 0 }"}, 1},
		"with":                                {[]string{"package p\nx if { y := 1; data.q.z with input.a as y }"}, 0},
		"print":                               {[]string{"package p\nx if { y := 1; print(y) }"}, 0},
		"a template":                          {[]string{"package p\nx := $\"{y}\" if y := 1"}, 0},
		"two in one rule":                     {[]string{"package p\nx if { a := 1; b := 2; input.c }"}, 2},
	} {
		modules := map[string]string{}
		for i, text := range tt.modules {
			modules[fmt.Sprintf("m%d.rego", i)] = text
		}
		want, ok := strictByOPA(t, modules)
		if got := strictByUs(t, modules); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %q\nOPA finds %q, it compiles: %v", name, got, want, ok)
		}
		if len(want) != tt.want {
			t.Errorf("%s: OPA finds %q; %d were expected", name, want, tt.want)
		}
	}
}

func TestStrictFindsInOPAsCasesWhatOPADoes(t *testing.T) {
	t.Parallel()
	all, err := opacases.All()
	if err != nil {
		t.Fatal(err)
	}
	compared, findings := 0, 0
	for _, tc := range all {
		modules := map[string]string{}
		for i, text := range tc.Modules {
			modules[fmt.Sprintf("m%d.rego", i)] = text
		}
		want, ok := strictByOPA(t, modules)
		if !ok || len(modules) == 0 {
			continue
		}
		compared, findings = compared+1, findings+len(want)
		if got := strictByUs(t, modules); !slices.Equal(got, want) {
			t.Errorf("%s: %s: %q\nOPA finds %q", tc.Filename, tc.Note, got, want)
		}
	}
	if compared < 1000 || findings < 100 {
		t.Errorf("%d cases were compared, OPA finds %d things in them", compared, findings)
	}
}

func TestStrictLooksAtTestsAndTellsWhetherItHasLooked(t *testing.T) {
	t.Parallel()
	src := fstest.MapFS{
		"a.rego":      {Data: []byte("package a\n\nx := 1\n")},
		"a_test.rego": {Data: []byte("package a_test\n\nimport data.a\n\ntest_x if true\n")},
	}
	g, err := Load(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, known := g.StrictKnown(); known {
		t.Error("it is known before anybody looked")
	}
	found, err := g.Strict(t.Context())
	if len(found) > 0 || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if _, known := g.StrictKnown(); !known {
		t.Error("it is not known after somebody looked")
	}
	tests, err := ReadTests(t.Context(), src, g, source.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := tests.Strict(t.Context()); len(found) != 1 || found[0].File != "a_test.rego" || err != nil {
		t.Errorf("%v %v", found, err)
	}
}

// What is found is kept with the file, so that an edit costs what it changes.
func TestStrictLooksAtAModuleOnce(t *testing.T) {
	t.Parallel()
	src := fstest.MapFS{
		"a.rego": {Data: []byte("package a\n\nimport data.b\n\nx := 1\n")},
		"b.rego": {Data: []byte("package b\n\ny if z := 1\n")},
	}
	first, err := Load(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := first.Strict(t.Context()); len(found) != 2 || err != nil {
		t.Fatalf("%v %v", found, err)
	}
	src["b.rego"] = &fstest.MapFile{Data: []byte("package b\n\ny := 2\n")}
	second, err := Load(t.Context(), src, first)
	if err != nil {
		t.Fatal(err)
	}
	if first.parsedAt("a.rego") != second.parsedAt("a.rego") {
		t.Error("the module that did not change is another, and would be looked at again")
	}
	if found, err := second.Strict(t.Context()); len(found) != 1 || found[0].File != "a.rego" || err != nil {
		t.Errorf("%v %v", found, err)
	}
	if found, err := second.StrictOf(t.Context(), []string{"b.rego", "gone.rego"}); len(found) > 0 || err != nil {
		t.Errorf("%v %v", found, err)
	}
}

// What strict mode takes for a module of 50 lines, which includes parsing it.
func BenchmarkStrict(b *testing.B) {
	text := []byte("package p\n\nimport data.lib\n")
	for i := range 12 {
		text = fmt.Appendf(text, "\nallow%d if {\n\tsome role in input.roles\n\tlevel := data.levels[role]\n\tlib.known(role)\n\tlevel > %d\n}\n", i, i)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if found, err := StrictIn("p.rego", text); len(found) > 0 || err != nil {
			b.Fatal(found, err)
		}
	}
}
