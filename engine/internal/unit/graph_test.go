package unit_test

import (
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/internal/unit"

	"github.com/open-policy-agent/opa/v1/ast"
	"pgregory.net/rapid"
)

func scan(t testing.TB, text string) *unit.Module {
	t.Helper()
	module, err := ast.ParseModuleWithOpts("m.rego", text, ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
	if err != nil {
		t.Fatal(err)
	}
	return unit.Scan(module, func() *ast.Module { return module })
}

func graph(t testing.TB, texts ...string) *unit.Graph {
	t.Helper()
	var modules []*unit.Module
	for _, text := range texts {
		modules = append(modules, scan(t, text))
	}
	return unit.New(modules)
}

// key turns a.b into the key of data.a.b.
func key(dotted string) unit.Key {
	if dotted == "" {
		return ""
	}
	return unit.Key(strings.ReplaceAll(dotted, ".", "\x00") + "\x00")
}

func dotted(keys []unit.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, strings.ReplaceAll(strings.TrimSuffix(string(k), "\x00"), "\x00", "."))
	}
	return all
}

func TestEveryKindOfReferenceIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"x := data.lib.f(1)":                     "lib.f",
		"x := lib.f(1)":                          "lib.f",
		"x := lib":                               "lib",
		"x := data.lib[input.k].z":               "lib",
		"x := data[input.k]":                     "",
		"x := data":                              "",
		"x := 1 if other.y":                      "deep.er.y",
		"x := 1 if input.y with data.lib.z as 1": "lib.z",
		"x := 1 if count([1]) with count as data.lib.f":       "lib.f",
		"x := {data.lib.a: 1}":                                "lib.a",
		"x := [1 | data.lib.a]":                               "lib.a",
		"x := 1 if { every v in data.lib.all { v == 1 } }":    "lib.all",
		"x := 1 if { some v in data.lib.all; v == 1 }":        "lib.all",
		"x := 1 if input.a else := data.lib.e":                "lib.e",
		"default x := 1\nx := 2 if not data.lib.a":            "lib.a",
		"x contains data.lib.a":                               "lib.a",
		"x[data.lib.a] := 1":                                  "lib.a",
		"f(a) := a[data.lib.a]":                               "lib.a",
		"x := $\"{data.lib.a}\"":                              "lib.a",
		"x := input[data.lib.a].b":                            "lib.a",
		"x := 1 if { lib := 2; lib > 1 }":                     "lib", // hidden by a local variable: too much, never too little
		`x := data["lib"]["a"]`:                               "lib.a",
		"x := data.lib.list[0].a":                             "lib.list.\x010.a",
		"x := object.get(data.lib.o, [\"a\"], data.lib.none)": "lib.none lib.o",
	} {
		m := scan(t, "package p\nimport data.lib\nimport data.deep.er as other\nimport input.lib as fromInput\n"+text)
		got := strings.Join(dotted(m.Refs), " ")
		if got != want || (want == "" && len(m.Refs) != 1) {
			t.Errorf("%s refers to %q; want %q", text, got, want)
		}
	}
}

func TestTheClosureHoldsAllThatIsReferredTo(t *testing.T) {
	g := graph(t,
		"package top\nx := data.mid.f(1)",
		"package mid\nimport data.low\nf(a) := low.v + a",
		"package low\nv := 1",
		"package low.below\nv := 1",
		"package all\nx := data.many[input.k].v",
		"package many.a\nv := 1",
		"package many.b\nv := data.low.v",
		"package many\nroot := data.top.x",
		"package whole\nx := data.low",
		"package apart\nx := data.none.there",
		"package chain.reader\nx := rego.metadata.chain()",
		"# METADATA\n# scope: subpackages\n# title: t\npackage chain",
	)
	for of, want := range map[string][]string{
		"top":          {"low", "mid", "top"},
		"all":          {"all", "low", "many", "many.a", "many.b", "mid", "top"},
		"many.b":       {"low", "many.b"},
		"whole":        {"low", "low.below", "whole"},
		"apart":        {"apart"},
		"gone":         nil,
		"chain.reader": {"chain", "chain.reader"},
	} {
		if got := dotted(g.Closure(unit.SetOf(key(of))).Sorted()); !slices.Equal(got, want) {
			t.Errorf("the closure of %s is %v; want %v", of, got, want)
		}
	}
}

func TestDependentsReferToTheVeryPlace(t *testing.T) {
	g := graph(t,
		"package f\nx := data.lib.f(1)",
		"package g\nimport data.lib\nx := lib.g",
		"package part\nx := data.lib.g.part",
		"package dynamic\nx := data.lib[input.k]",
		"package mock\nx := 1 if input.y with data.lib.f as 2",
		"package whole\nimport data.lib\nx := lib",
		"package unused\nimport data.lib",
		"package lib\nf(a) := a\ng := 1",
	)
	for place, want := range map[string][]string{
		"lib.f":     {"dynamic", "f", "mock", "whole"},
		"lib.g":     {"dynamic", "g", "part", "whole"},
		"lib.other": {"dynamic", "whole"},
		"lib":       {"dynamic", "f", "g", "mock", "part", "whole"},
		"li":        nil,
	} {
		if got := dotted(g.Dependents([]unit.Key{key(place)}).Sorted()); !slices.Equal(got, want) {
			t.Errorf("%s matters to %v; want %v", place, got, want)
		}
	}
}

func TestPackagesThatShareASubtreeAreEntangled(t *testing.T) {
	g := graph(t,
		"package a\nb.c := 1",
		"package a.b\nx := 1",
		"package a.d\nx := 1",
		"package q\np[x] := 1 if x := input.x",
		"package q.p.deep\nx := 1",
		"package alone\nx := 1",
	)
	for of, want := range map[string][]string{
		"a": {"a", "a.b"}, "a.b": {"a", "a.b"}, "a.d": {"a.d"},
		"q": {"q", "q.p.deep"}, "q.p.deep": {"q", "q.p.deep"}, "alone": {"alone"},
	} {
		if got := dotted(g.Entangled(unit.SetOf(key(of))).Sorted()); !slices.Equal(got, want) {
			t.Errorf("%s is entangled with %v; want %v", of, got, want)
		}
	}
}

func TestChainReadersAreThoseBelow(t *testing.T) {
	before := graph(t, "package a", "package a.b\nx := rego.metadata.chain()", "package c\nx := rego.metadata.chain()", "package a.d")
	described := graph(t, "# METADATA\n# scope: subpackages\n# title: t\npackage a", "package a.b\nx := rego.metadata.chain()",
		"package c\nx := rego.metadata.chain()", "package a.d")
	for _, g := range [][2]*unit.Graph{{before, described}, {described, before}} {
		if got := dotted(g[1].ChainReaders(unit.SetOf(key("a")), g[0]).Sorted()); !slices.Equal(got, []string{"a.b"}) {
			t.Errorf("readers are %v; want a.b", got)
		}
	}
}

func TestAnEditedGraphEqualsAFreshOne(t *testing.T) {
	texts := []string{
		"package a\nx := data.b.y", "package a\nz := 1", "package b\ny := data.c", "package c.d\nx := 1",
		"package c\nb.x := 1", "package b.c\nq := data.a.x", "package d",
	}
	rapid.Check(t, func(r *rapid.T) {
		var held []*unit.Module
		g := unit.New(nil)
		for range rapid.IntRange(1, 12).Draw(r, "edits") {
			var removed, added []*unit.Module
			for len(held) > 0 && rapid.Bool().Draw(r, "remove") {
				i := rapid.IntRange(0, len(held)-1).Draw(r, "which")
				removed = append(removed, held[i])
				held = slices.Delete(slices.Clone(held), i, i+1)
			}
			for rapid.Bool().Draw(r, "add") {
				m := scan(t, rapid.SampledFrom(texts).Draw(r, "text"))
				added, held = append(added, m), append(held, m)
			}
			before := dotted(g.Keys())
			next := g.With(removed, added)
			if !slices.Equal(dotted(g.Keys()), before) {
				r.Fatalf("an edit changed the graph before it")
			}
			g = next
			fresh := unit.New(held)
			if !slices.Equal(g.Keys(), fresh.Keys()) {
				r.Fatalf("packages %v; want %v", dotted(g.Keys()), dotted(fresh.Keys()))
			}
			for _, k := range g.Keys() {
				one := unit.SetOf(k)
				for name, pair := range map[string][2]unit.Set{
					"closure":    {g.Closure(one), fresh.Closure(one)},
					"entangled":  {g.Entangled(one), fresh.Entangled(one)},
					"dependents": {g.Dependents([]unit.Key{k}), fresh.Dependents([]unit.Key{k})},
				} {
					if !slices.Equal(pair[0].Sorted(), pair[1].Sorted()) {
						r.Fatalf("%s of %v: %v; want %v", name, k, dotted(pair[0].Sorted()), dotted(pair[1].Sorted()))
					}
				}
				if len(g.Package(k).Rules()) != len(fresh.Package(k).Rules()) || g.Package(k).Bare() != fresh.Package(k).Bare() {
					r.Fatalf("package %v differs", k)
				}
			}
		}
	})
}

func TestAReferenceIsExactWhenItFindsRulesOnly(t *testing.T) {
	g := graph(t,
		"package lib\nf(x) := x\nroles[r] := 1 if { some r in [\"a\"] }\nn.c.x := 1",
		"package lib\nf(x) := 1 if { x == 2 }",
		"package lib.sub\ny := 1",
		"package bare")
	for place, want := range map[string]struct {
		packages, rules []string
		exact           bool
	}{
		"lib.f":         {[]string{"lib"}, []string{"lib.f"}, true},
		"lib.roles.a.b": {[]string{"lib"}, []string{"lib.roles"}, true},
		"lib.n.c.x":     {[]string{"lib"}, []string{"lib.n.c.x"}, true},
		"lib.n":         {[]string{"lib"}, nil, false},
		"lib":           {[]string{"lib", "lib.sub"}, nil, false},
		"lib.sub.y":     {[]string{"lib.sub"}, []string{"lib.sub.y"}, true},
		"lib.none":      {nil, nil, true},
		"bare":          {[]string{"bare"}, nil, false},
		"base.x":        {nil, nil, true},
		"":              {[]string{"bare", "lib", "lib.sub"}, nil, false},
	} {
		r := g.Reach(key(place))
		var rules []unit.Key
		for _, at := range r.Rules {
			rules = append(rules, at.Place)
		}
		if !slices.Equal(dotted(r.Packages), want.packages) || !slices.Equal(dotted(rules), want.rules) || r.Exact != want.exact {
			t.Errorf("%q reaches packages %v, rules %v, exact %v", place, dotted(r.Packages), dotted(rules), r.Exact)
		}
	}
}
