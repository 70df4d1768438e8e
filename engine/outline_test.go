package engine_test

import (
	"fmt"
	"reflect"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
)

func TestAnOutlineListsWhatPackagesDeclare(t *testing.T) {
	text := "package app\n\nimport data.lib\n\ndefault allow := false\n\nallow if lib.is(input.x)\n\nallow if input.y\n\nroles contains r if some r in input.roles\n\nsize[k] := 1 if some k in input.keys\n\na.b.c := 1\n\nf(x) := x\n"
	g, err := engine.Load(t.Context(), fstest.MapFS{
		"app.rego": {Data: []byte(text)}, "more/app.rego": {Data: []byte("package app\nmore := input.z\nallow if input.w")},
		"lib.rego": {Data: []byte("package lib\nis(x) if x == data.list[_]")}, "x_test.rego": {Data: []byte("package x\nx := 1")},
		"odd.rego": {Data: []byte("package odd[\"a-b\"].c\nx := data.lib")}, "data.json": {Data: []byte(`{"list": []}`)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	outline := g.Outline()
	for i, r := range g.References(outline) {
		p := outline[i]
		got += fmt.Sprintln(p.Path, p.Files, r.To, r.By)
		for _, r := range p.Rules {
			got += fmt.Sprintln(" ", r.Name, r.File, r.Line, r.Kind, r.Clauses, r.Default)
		}
	}
	want := `data.app [app.rego more/app.rego] [data.lib] []
  allow app.rego 5 value 2 true
  roles app.rego 11 set 1 false
  size app.rego 13 object 1 false
  a.b.c app.rego 15 value 1 false
  f app.rego 17 function 1 false
  more more/app.rego 2 value 1 false
  allow more/app.rego 3 value 1 false
data.lib [lib.rego] [] [data.app data.odd["a-b"].c]
  is lib.rego 2 function 1 false
data.odd["a-b"].c [odd.rego] [data.lib] []
  x odd.rego 2 value 1 false
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// An outline may be older than what serves: what is gone has no references, and what is new is not in it.
func TestReferencesOfAnOlderOutline(t *testing.T) {
	load := func(files ...string) *engine.Generation {
		t.Helper()
		src := fstest.MapFS{}
		for i, text := range files {
			src[fmt.Sprintf("%d.rego", i)] = &fstest.MapFile{Data: []byte(text)}
		}
		g, err := engine.Load(t.Context(), src, nil)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	older := load("package a\nx := 1", "package b\nx := data.a.x").Outline()
	got := load("package b\nx := data.c.x", "package c\nx := 1").References(older)
	if want := []engine.References{{To: []string{}, By: []string{}}, {To: []string{"data.c"}, By: []string{}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v; want %+v", got, want)
	}
}

// An outliner gives what a new one gives, whatever it has seen before.
func TestAnOutlineIsAsOneMadeAnew(t *testing.T) {
	var o engine.Outliner
	var g *engine.Generation
	for i, files := range []fstest.MapFS{
		{"a.rego": {Data: []byte("package a\nx := 1\ny := 2")}, "b.rego": {Data: []byte("package b\nx := data.a.x")}},
		{"a.rego": {Data: []byte("package a\nx := 1\nz := 2")}, "b.rego": {Data: []byte("package b\nx := data.a.x")}},
		{"a.rego": {Data: []byte("package a\nx := 1\nz := 2")}, "b2.rego": {Data: []byte("package b\nx := data.a.x")}, "c.rego": {Data: []byte("package b\ny := 1")}},
		{"a2.rego": {Data: []byte("package a\nx := 1\nz := 2")}, "c.rego": {Data: []byte("package b\ny := 1")}, "d.rego": {Data: []byte("# none\npackage d")}},
	} {
		var err error
		if g, err = engine.Load(t.Context(), files, g); err != nil {
			t.Fatal(err)
		}
		if got, want := o.Outline(g), g.Outline(); !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %+v; want %+v", i, got, want)
		}
	}
}

func BenchmarkOutlineOf10000Modules(b *testing.B) {
	src := fstest.MapFS{"lib.rego": {Data: []byte("package lib\nis(x) if x == 1")}}
	for i := range 10_000 {
		src[fmt.Sprintf("team%d/m%d.rego", i%100, i)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"package team%d.m%d\n\nimport data.lib\n\ndefault allow := false\n\nallow if {\n\tlib.is(input.x)\n\tinput.y == %d\n}\n\ndeny if data.team%d.m%d.allow\n", i%100, i, i, i%100, max(i-100, 0))}
	}
	g, err := engine.Load(b.Context(), src, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("outline", func(b *testing.B) {
		for b.Loop() {
			g.Outline()
		}
	})
	b.Run("outline after another", func(b *testing.B) {
		var o engine.Outliner
		for b.Loop() {
			o.Outline(g)
		}
	})
	page := g.Outline()[:50]
	page = append(page, g.Outline()[0])
	b.Run("references of 50", func(b *testing.B) {
		for b.Loop() {
			g.References(page)
		}
	})
}
