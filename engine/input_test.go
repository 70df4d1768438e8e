package engine_test

import (
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
)

func TestAPolicyThatMayReadAFieldOfTheInputIsKnownByItsRules(t *testing.T) {
	for text, want := range map[string]bool{
		`x := input.other`:                                             false,
		`x := input.other.judge`:                                       false,
		`x := data.judge`:                                              false,
		`judge := 1`:                                                   false,
		`x := 1`:                                                       false,
		`x := y if { some y in input.list }`:                           false,
		`x := input.judge`:                                             true,
		`x := input.judge.severity`:                                    true,
		`x := input["judge"]`:                                          true,
		`x := input`:                                                   true,
		`x := json.marshal(input)`:                                     true,
		`x := object.get(input, "other", 1)`:                           true,
		`x := input[name] if name := "other"`:                          true,
		`x := [v | some v in input]`:                                   true,
		`x := [v | some k; v := input[k]]`:                             true,
		`x := input.other[input.judge]`:                                true,
		`x := 1 if { not input.judge }`:                                true,
		`x := 1 if { false } else := input.judge`:                      true,
		`x := f(input.other)` + "\n" + `f(a) := a`:                     false,
		`x := f(1)` + "\n" + `f(_) := input.judge`:                     true,
		`x contains input.judge`:                                       true,
		`x[input.judge] := 1`:                                          true,
		`x := {"a": [input.judge]}`:                                    true,
		`x := 1 if { every v in input.judge { v } }`:                   true,
		`x := data.lib.y`:                                              true,
		`x := data.lib.quiet`:                                          false,
		`x := data.lib.f(1)`:                                           true,
		`x := data.lib[input.other]`:                                   true,
		`x := data.unrelated`:                                          false,
		`x := y if { y := data.lib.quiet with input.judge as 1 }`:      false,
		`x := y if { y := data.lib.quiet with input as {"judge": 1} }`: false,
		`x := y if { y := data.lib.quiet with input.other as input.judge }`:   true,
		`x := y if { y := data.lib.quiet with data.lib.quiet as data.lib.y }`: true,
		"import input as all\nx := all.judge":                                 true,
		"import input.judge as verdict\nx := verdict.severity":                true,
		"import input.other as verdict\nx := verdict.judge":                   false,
		"import data.lib as l\nx := l.y":                                      true,
		`x := sprintf("%v", [input.judge])`:                                   true,
		`x := $"{input.judge}"`:                                               true,
		`x := y if { y := input.other; z := input; z.judge == "a" }`:          true,
	} {
		g, err := engine.Load(t.Context(), fstest.MapFS{
			"p.rego":         &fstest.MapFile{Data: []byte("package p\n" + text)},
			"lib.rego":       &fstest.MapFile{Data: []byte("package lib\ny := input.judge\nquiet := input.other\nf(_) := y")},
			"unrelated.rego": &fstest.MapFile{Data: []byte("package unrelated\nquiet := 1")},
		}, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for range 2 { // the second time it is known
			if got := g.ReadsInput(engine.Path{"p"}, "judge"); got != want {
				t.Errorf("%s: reads input.judge: %v; want %v", text, got, want)
			}
		}
		if got := g.ReadsInput(engine.Path{"unrelated"}, "judge"); got {
			t.Errorf("%s: a package that it does not refer to reads input.judge", text)
		}
	}
}

// TestWhatAPolicyReadsIsKnownAfterEveryReload splices packages, of which one comes to read the field.
func TestWhatAPolicyReadsIsKnownAfterEveryReload(t *testing.T) {
	files := fstest.MapFS{
		"p.rego":   &fstest.MapFile{Data: []byte("package p\nx := data.lib.y")},
		"lib.rego": &fstest.MapFile{Data: []byte("package lib\ny := 1")},
	}
	var g *engine.Generation
	for i, y := range []string{"1", "input.judge", "input.other"} {
		files["lib.rego"] = &fstest.MapFile{Data: []byte("package lib\ny := " + y)}
		next, err := engine.Load(t.Context(), files, g)
		if err != nil {
			t.Fatal(err)
		}
		g = next
		if got := g.ReadsInput(engine.Path{"p"}, "judge"); got != (i == 1) {
			t.Errorf("%s: reads input.judge: %v", y, got)
		}
	}
}
