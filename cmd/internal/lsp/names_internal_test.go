package lsp

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Every mention is where the text has its name.
func FuzzMentionsAreWhereTheNameIs(f *testing.F) {
	for _, text := range []string{
		"package a.b\nimport data.x as y\nallow if { some i, v in input.xs; y.z[i] == v; not deny }\ndeny contains x if every k, v in input { k == v }",
		"package p\nf(x) := y if { y := json.patch(x, []) } else := {\"a\": x.b}\ndefault g(_) := 1\na.b[c].d := [c | c := 1]",
		"package p\nx := data[\"a\"].b with input.c as {data.d: `\n`}\nq[\"s\"] := 1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		module, err := ast.ParseModuleWithOpts("p.rego", text, ast.ParserOptions{ProcessAnnotation: true})
		if err != nil || module == nil {
			return
		}
		doc := newDocument(text)
		all := namesOf(module, text)
		for _, m := range all.mentions {
			name := text[m.start:m.end]
			if all.aliases[name] != m.path && m.path != name && !strings.HasSuffix(m.path, "."+name) {
				t.Errorf("%q is mentioned as %s", name, m.path)
			}
			if at := doc.offset(doc.position(m.start)); at != m.start && strings.ToValidUTF8(text, "") == text {
				t.Errorf("byte %d is at %v, which is byte %d", m.start, doc.position(m.start), at)
			}
		}
	})
}
