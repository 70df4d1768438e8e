package lsp_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatNothingUsesIsAWarningThatEditorsFade(t *testing.T) {
	text := "package w\n\nimport data.lib.strings as s # why\n\nx if {\n\t[a, b] := input.pair\n\ta > 1\n}\n\nf(one, two) := two\n"
	files := map[string]string{"w.rego": text, "lib/strings.rego": "package lib.strings\n\nknown(x) if startswith(x, \"a\")\n"}
	e := start(t, files)
	e.open("w.rego")
	p := e.expect("w.rego", `(?s)import data.lib.strings as s unused.*assigned var b unused.*unused argument one`)
	want := []string{"2:0-28", "5:5-6", "9:2-5"} // what is faded, from 0
	for i, d := range p.Diagnostics {
		if got := fmt.Sprintf("%d:%d-%d", d.Range.Start.Line, d.Range.Start.Character, d.Range.End.Character); d.Severity != 2 || len(d.Tags) != 1 || d.Tags[0] != 1 || i >= len(want) || got != want[i] {
			t.Errorf("%s: %+v", got, d)
		}
	}
	// They stay while another file is broken, and follow the buffer.
	e.write("lib/strings.rego", "package lib.strings\n\nknown(x) if y\n")
	e.expect("lib/strings.rego", `var y is unsafe`)
	e.change("w.rego", 2, strings.Replace(text, "a > 1", "a > b", 1))
	e.expect("w.rego", `^import data\.lib\.strings as s unused[^\n]*\nunused argument one[^\n]*$`)
}

// Schemas of METADATA annotations are checked as the author types, also of what another file says.
func TestSchemasOfAnnotationsAreChecked(t *testing.T) {
	leaf := "# METADATA\n# scope: package\n# schemas:\n# - input: {type: object, properties: {user: {type: string}}}\npackage app\n\nallow if data.lib.known(input.user)\n"
	e := start(t, map[string]string{"app.rego": leaf, "lib.rego": "package lib\n\nknown(u) if u == \"a\"\n"})
	e.open("app.rego")
	e.expect("app.rego", `^$`)
	e.change("app.rego", 2, strings.Replace(leaf, "input.user)", "input.usr)", 1))
	e.expect("app.rego", `undefined ref: input.usr`)
	e.change("app.rego", 3, leaf)
	e.expect("app.rego", `^$`)
	e.write("lib.rego", "package lib\n\nknown(u) if abs(u) == 1\n")
	e.expect("app.rego", `invalid argument`)
}
