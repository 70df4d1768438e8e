package engine

import (
	"fmt"
	"strings"
	"testing/fstest"

	"pgregory.net/rapid"
)

// A wild is a random corpus: modules that refer to one another in every way that Rego has, mostly
// well. It is drawn so that many corpora compile, and those that do not fail in many ways.
type wild struct {
	t     *rapid.T
	files map[string]string
}

var (
	wildPackages = []string{"lib", "a.b.c", "a.b", "a", "b", "c.d", "c.e", "c", "system.s", "top"}
	wildNames    = []string{"x", "y", "b", "p", "s", "f", "g", "n"}
	wildFiles    = []string{"m0.rego", "m1.rego", "m2.rego", "m3.rego", "m4.rego", "d/m5.rego", "d/m6.rego", "m7.rego", "m8.rego"}
	wildData     = []string{
		`{"base": {"x": 1, "list": [1, 2]}}`, `{"base": {"x": "one"}}`, `{}`, `{"c": {"free": 3}}`,
		`{"a": {"x": 5}}`, `{"lib": 7}`, `{"a": {"b": {"c": {"n": [1]}}}, "base": {"x": 2}}`, `{"a": {"z": {"q": 1}}}`,
	}
)

func (w *wild) intn(n int) int { return rapid.IntRange(0, n-1).Draw(w.t, "n") }

func (w *wild) one(of []string) string { return of[w.intn(len(of))] }

// oneIn is true once in n times, and false where rapid makes a case smaller.
func (w *wild) oneIn(n int) bool { return w.intn(n) == n-1 }

func newWild(t *rapid.T) *wild {
	w := &wild{t: t, files: map[string]string{"data.json": `{"base": {"x": 1, "list": [1, 2]}}`}}
	for _, name := range wildFiles[:3+w.intn(len(wildFiles)-3)] {
		w.files[name] = w.module()
	}
	return w
}

func (w *wild) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range w.files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// edit changes one thing or several, as authors and branch switches do.
func (w *wild) edit() {
	for range 1 + w.intn(3)/2 {
		switch name := w.one(wildFiles); w.intn(10) {
		case 0:
			delete(w.files, name)
		case 1:
			w.files["data.json"] = w.one(wildData)
		case 2, 3, 4: // an edit in place: one line more, less or another
			w.files[name] = w.altered(w.files[name])
		case 5: // the package is renamed
			_, rest, _ := strings.Cut(w.files[name], "\n")
			w.files[name] = "package " + w.one(wildPackages) + "\n" + rest
		case 6:
			w.files["c/data.json"] = w.one(wildData)
		case 7:
			delete(w.files, "c/data.json")
		default:
			w.files[name] = w.module()
		}
	}
	if !strings.Contains(strings.Join(wildNamesOf(w.files), " "), ".rego") {
		w.files["m0.rego"] = w.module()
	}
}

func wildNamesOf(files map[string]string) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	return names
}

func (w *wild) altered(text string) string {
	if text == "" {
		return w.module()
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	at := 1 + w.intn(len(lines))
	rank := w.rankOf(strings.TrimPrefix(lines[0], "package "))
	switch {
	case at >= len(lines) || w.oneIn(2):
		lines = append(lines, w.rule(rank))
	case w.oneIn(2):
		lines[at] = w.rule(rank)
	default:
		lines = append(lines[:at], lines[at+1:]...)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (*wild) rankOf(pkg string) int {
	for i, p := range wildPackages {
		if p == pkg {
			return i
		}
	}
	return 0
}

// defines tells whether calling the function is not a mistake, and now and then lies.
func (w *wild) defines(pkg, function string) bool {
	for _, text := range w.files {
		if strings.Contains(text, "package "+pkg+"\n") && strings.Contains(text, "\n"+function+"(") {
			return true
		}
	}
	return w.oneIn(60)
}

func (w *wild) module() string {
	rank := w.intn(len(wildPackages))
	var b strings.Builder
	if w.oneIn(8) {
		fmt.Fprintf(&b, "# METADATA\n# scope: subpackages\n# title: t%d\n", w.intn(3))
	}
	fmt.Fprintf(&b, "package %s\n", wildPackages[rank])
	if !w.oneIn(20) {
		fmt.Fprintf(&b, "import data.lib\nimport data.%s as other\n", w.below(rank))
	}
	for range w.intn(5) {
		b.WriteString(w.rule(rank) + "\n")
	}
	if w.oneIn(200) {
		b.WriteString("broken := {\n")
	}
	return b.String()
}

// below names a package that modules of rank may mostly refer to without going round in a circle.
func (w *wild) below(rank int) string {
	if w.oneIn(100) {
		return w.one(wildPackages)
	}
	return wildPackages[w.intn(max(rank, 1))]
}

func (w *wild) rule(rank int) string {
	e := func() string { return w.expr(rank, 2) }
	name := w.one(wildNames[:2])
	switch w.intn(16) {
	case 0, 1, 2:
		return fmt.Sprintf("%s := %s if %s", name, e(), w.condition(rank))
	case 3:
		return fmt.Sprintf("default %s := %d", w.one([]string{"x", "y", "q", "r", "t", "u"}), w.intn(3))
	case 4:
		return fmt.Sprintf("s contains %s if %s", e(), w.condition(rank))
	case 5:
		return fmt.Sprintf("p[k] := v if { some k, v in {\"x\": 1, \"y\": 2}; v != %s }", e())
	case 6:
		return fmt.Sprintf("f(a) := [a, %s]", e())
	case 7:
		return fmt.Sprintf("f(\"one\") := %s", e())
	case 8:
		return fmt.Sprintf("g(a, b) := a if { b != %s }", e())
	case 9:
		return fmt.Sprintf("n.c.%s := %s", w.one(wildNames), e())
	case 10:
		if w.oneIn(3) {
			return fmt.Sprintf("b := %s", e())
		}
		if !w.oneIn(4) {
			return fmt.Sprintf("q.%s := %s", w.one([]string{"c", "n", "x"}), e())
		}
		return fmt.Sprintf("b.%s := %s", w.one([]string{"c", "n", "x"}), e())
	case 11:
		if !w.oneIn(12) {
			return fmt.Sprintf("p[k] := 1 if { some k in [\"q\", %s] }", e())
		}
		return fmt.Sprintf("n[k].z := 1 if { some k in [\"q\", %s] }", e())
	case 12:
		return fmt.Sprintf("%s := %s if { %s } else := %s", name, e(), w.condition(rank), e())
	case 13:
		return fmt.Sprintf("s contains found if { some v in [1, 2, %s]; found := [i | some i; data.base.list[i] = v] }", e())
	case 14:
		if w.oneIn(12) {
			return fmt.Sprintf("%s := unknown_%d", name, w.intn(3))
		}
		return "x := rego.metadata.chain()"
	default:
		return fmt.Sprintf("y := {k: vs | some k in [1, 2]; vs := [v | some v in [%s]; v != k]}", e())
	}
}

func (w *wild) condition(rank int) string {
	if w.oneIn(3) {
		if w.oneIn(15) {
			return fmt.Sprintf("not %s == 3", w.expr(rank, 1))
		}
		return fmt.Sprintf("not %s == input.y", w.expr(rank, 1))
	}
	return fmt.Sprintf("%s != \"no\"", w.expr(rank, 1))
}

func (w *wild) expr(rank, depth int) string {
	if depth == 0 {
		return w.one([]string{"1", `"one"`, "[1, 2]", "input.x", "true"})
	}
	pkg, name := w.below(rank), w.one(wildNames)
	if (name == "f" || name == "g") && !w.oneIn(12) {
		name = "x"
	}
	inner := func() string { return w.expr(rank, depth-1) }
	switch w.intn(19) {
	case 0, 1:
		return inner()
	case 2, 3, 4:
		return fmt.Sprintf("data.%s.%s", pkg, name)
	case 5:
		return fmt.Sprintf("lib.%s", name)
	case 6:
		return fmt.Sprintf("data.%s", pkg)
	case 7:
		return fmt.Sprintf("data.%s[input.k]", pkg)
	case 8:
		if !w.defines(pkg, "f") {
			return inner()
		}
		return fmt.Sprintf("data.%s.f(%s)", pkg, inner())
	case 9:
		if !w.defines(pkg, "g") {
			return inner()
		}
		return fmt.Sprintf("data.%s.g(%s, 1)", pkg, inner())
	case 10:
		return fmt.Sprintf("{\"v\": %s}", inner())
	case 11:
		if name == "f" || name == "g" {
			return inner()
		}
		return fmt.Sprintf("[v | v := data.%s.%s with data.%s.%s as %s]", pkg, name, w.below(rank), w.one(wildNames), inner())
	case 12:
		by := w.below(rank)
		if !w.defines(pkg, "f") || !w.defines(by, "f") {
			return inner()
		}
		return fmt.Sprintf("[v | v := data.%s.f(1) with data.%s.f as data.%s.f]", pkg, pkg, by)
	case 13:
		return "data.base.x"
	case 14:
		if w.oneIn(12) {
			return fmt.Sprintf("data.%s.%s + 1", pkg, name)
		}
		return fmt.Sprintf("[data.%s.%s]", pkg, name)
	case 15:
		return fmt.Sprintf("data.%s.n.c.%s", pkg, name)
	case 16:
		if !w.defines(pkg, "f") {
			return inner()
		}
		return fmt.Sprintf("[v | v := count([1]) with count as data.%s.f]", pkg)
	case 17:
		if w.oneIn(6) {
			return "data[input.k]"
		}
		return "other." + name
	default:
		return fmt.Sprintf("data.%s.%s.%s", pkg, name, w.one(wildNames))
	}
}
