package unit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/internal/unit"

	"pgregory.net/rapid"
)

func TestWhoRefersToWhom(t *testing.T) {
	g := graph(t,
		"package lib\nf(x) := x", "package lib.deep\nx := 1", "package lib.deep\nimport data.alone\ny := alone.z",
		"package app\nx := data.lib.f(1)", "package some_lib\nx := data.lib[input.k]", "package any\nx := data[input.k]", "package alone\nz := data.none.x",
	)
	for of, want := range map[string][2]string{
		"lib": {"", "any app some_lib"}, "lib.deep": {"alone", "any some_lib"}, "app": {"lib", "any"}, "some_lib": {"lib lib.deep", "any"},
		"any": {"alone app lib lib.deep some_lib", ""}, "alone": {"", "any lib.deep"}, "none": {"", ""},
	} {
		to, by := dotted(g.RefersTo(key(of))), dotted(g.ReferredBy([]unit.Key{key(of)})[key(of)])
		if got := [2]string{strings.Join(to, " "), strings.Join(by, " ")}; got != want {
			t.Errorf("%s refers to, and is referred to by: %q; want %q", of, got, want)
		}
	}
}

// Who refers to a package is whom that refers to it.
func TestReferredByIsTheInverseOfRefersTo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom([]string{"a", "a.b", "a.b.c", "ab", "d", "d.e"})
		ref := rapid.SampledFrom([]string{"data.a.x", "data.a.b", "data.a.b.x", "data.a[input.k]", "data.a.b.c.x.y", "data", "data.d.e", "data.d.x.z", "data.ab", "1"})
		rule := rapid.SampledFrom([]string{"x", "x.y", "b", "b.c.x", "e.z"})
		var texts []string
		for range rapid.IntRange(1, 8).Draw(r, "modules") {
			texts = append(texts, fmt.Sprintf("package %s\n%s := %s", name.Draw(r, "package"), rule.Draw(r, "rule"), ref.Draw(r, "ref")))
		}
		var modules []*unit.Module
		for _, text := range texts {
			modules = append(modules, scan(t, text))
		}
		g := unit.New(modules)
		by := g.ReferredBy(g.Keys())
		for _, from := range g.Keys() {
			for _, to := range g.Keys() {
				if there, back := slices.Contains(g.RefersTo(from), to), slices.Contains(by[to], from); there != back {
					r.Fatalf("%q refers to %q: %v, and by the inverse %v, in\n%s", from, to, there, back, strings.Join(texts, "\n\n"))
				}
			}
		}
	})
}
