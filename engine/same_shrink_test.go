package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
	"golang.org/x/tools/txtar"
)

// shrink makes a case that has a difference smaller for as long as it has one for the same path, and returns it with the
// difference that it then has.
func shrink(ctx context.Context, c sameCase, found difference) (sameCase, difference) {
	c.paths, c.inputs = []Path{found.path}, []string{found.input}
	tries := 3000
	differs := func(smaller sameCase) bool {
		if tries--; tries < 0 {
			return false
		}
		if _, err := newOPAs(smaller); err != nil {
			return false
		}
		diff, _, err := compareCase(ctx, smaller, &tally{codes: map[string]int{}})
		if err != nil || diff == nil {
			return false
		}
		found = *diff
		return true
	}
	for progress := true; progress && tries > 0; {
		progress = false
		for _, step := range []func(sameCase) []sameCase{withoutModules, withoutRules, withoutLines, withSmallerInput, withSmallerData, withSmallerTerms} {
			for again := true; again && tries > 0; {
				again = false
				for _, smaller := range step(c) {
					if differs(smaller) {
						c, again, progress = smaller, true, true
						break
					}
				}
			}
		}
	}
	return c, found
}

func withoutModules(c sameCase) (all []sameCase) {
	for i := range c.modules {
		smaller := c
		smaller.modules = slices.Delete(slices.Clone(c.modules), i, i+1)
		all = append(all, smaller)
	}
	return all
}

// edited has the rule replaced, or taken out if text is empty.
func (c sameCase) edited(module, rule int, text string) sameCase {
	c.modules = slices.Clone(c.modules)
	m := &c.modules[module]
	m.rules = slices.Clone(m.rules)
	if text == "" {
		m.rules = slices.Delete(m.rules, rule, rule+1)
	} else {
		m.rules[rule] = text
	}
	return c
}

func withoutRules(c sameCase) (all []sameCase) {
	for i, m := range c.modules {
		for j := range m.rules {
			all = append(all, c.edited(i, j, ""))
		}
	}
	return all
}

func withoutLines(c sameCase) (all []sameCase) {
	for i, m := range c.modules {
		for j, text := range m.rules {
			lines := strings.Split(text, "\n")
			for k, line := range lines {
				if strings.HasPrefix(line, "\t") {
					all = append(all, c.edited(i, j, strings.Join(slices.Delete(slices.Clone(lines), k, k+1), "\n")))
				}
			}
			if head, _, ok := strings.Cut(text, " if {"); ok {
				all = append(all, c.edited(i, j, head))
			}
			if first, _, ok := strings.Cut(text, "} else "); ok {
				all = append(all, c.edited(i, j, first+"}"))
			}
		}
	}
	return all
}

// withSmallerTerms replaces a term by a part of it or by a small one, and takes a statement of one line out.
func withSmallerTerms(c sameCase) (all []sameCase) {
	const before = "package p\n"
	for i, m := range c.modules {
		for j, text := range m.rules {
			module, err := ast.ParseModuleWithOpts("", before+text, ast.ParserOptions{RegoVersion: ast.RegoV1})
			if err != nil {
				continue
			}
			replace := func(loc *ast.Location, by string) {
				at := loc.Offset - len(before)
				if at < 0 || at+len(loc.Text) > len(text) || by == string(loc.Text) || len(by) > len(loc.Text) {
					return
				}
				all = append(all, c.edited(i, j, text[:at]+by+text[at+len(loc.Text):]))
			}
			ast.WalkExprs(module, func(e *ast.Expr) bool {
				for _, without := range []string{"; " + string(e.Loc().Text), string(e.Loc().Text) + "; "} {
					if strings.Contains(text, without) {
						all = append(all, c.edited(i, j, strings.Replace(text, without, "", 1)))
					}
				}
				return false
			})
			ast.WalkTerms(module, func(t *ast.Term) bool {
				if t.Location == nil || len(t.Location.Text) < 2 {
					return false
				}
				for _, part := range partsOf(t) {
					replace(t.Location, part)
				}
				for _, by := range []string{"1", `"a"`, "[]", "{}", "input"} {
					replace(t.Location, by)
				}
				return false
			})
		}
	}
	return all
}

// partsOf are the texts of the terms right below a term.
func partsOf(t *ast.Term) (all []string) {
	ast.WalkTerms(t, func(part *ast.Term) bool {
		if part == t {
			return false
		}
		if part.Location != nil && len(part.Location.Text) > 0 {
			all = append(all, string(part.Location.Text))
		}
		return true
	})
	return all
}

func withSmallerData(c sameCase) (all []sameCase) {
	for _, text := range smallerJSON(c.data) {
		smaller := c
		smaller.data = text
		all = append(all, smaller)
	}
	return all
}

func withSmallerInput(c sameCase) (all []sameCase) {
	for _, text := range smallerJSON(c.inputs[0]) {
		smaller := c
		smaller.inputs = []string{text}
		all = append(all, smaller)
	}
	return all
}

// smallerJSON are the texts with one member, item or value less.
func smallerJSON(text string) (all []string) {
	var value any
	if util.UnmarshalJSON([]byte(text), &value) != nil {
		return nil
	}
	for _, smaller := range smallerValues(value) {
		if made, err := json.Marshal(smaller); err == nil {
			all = append(all, string(made))
		}
	}
	return all
}

func smallerValues(v any) (all []any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range util.KeysSorted(v) {
			without := map[string]any{}
			for k, member := range v {
				if k != key {
					without[k] = member
				}
			}
			all = append(all, without)
			for _, smaller := range smallerValues(v[key]) {
				with := map[string]any{key: smaller}
				for k, member := range without {
					with[k] = member
				}
				all = append(all, with)
			}
		}
	case []any:
		for i := range v {
			all = append(all, slices.Delete(slices.Clone(v), i, i+1))
			for _, smaller := range smallerValues(v[i]) {
				with := slices.Clone(v)
				with[i] = smaller
				all = append(all, with)
			}
		}
	}
	return all
}

// parseReproducer is the case of a file of testdata/same. Its comment names paths, and its files are the modules, the data and
// inputs; no input is asked with, too. The empty path is all data.
func parseReproducer(text []byte) sameCase {
	archive := txtar.Parse(text)
	c := sameCase{data: "{}", inputs: []string{""}}
	for line := range strings.Lines(string(archive.Comment)) {
		if path, ok := strings.CutPrefix(line, "path:"); ok {
			c.paths = append(c.paths, strings.FieldsFunc(strings.TrimSpace(path), func(r rune) bool { return r == '/' }))
		}
	}
	for _, f := range archive.Files {
		switch {
		case strings.HasPrefix(f.Name, "input"):
			c.inputs = append(c.inputs, string(f.Data))
		case f.Name == "data.json":
			c.data = string(f.Data)
		default:
			head, rules, _ := strings.Cut(string(f.Data), "\n")
			c.modules = append(c.modules, drawnModule{
				file: f.Name, pkg: strings.TrimPrefix(head, "package "), rules: strings.Split(strings.TrimSpace(rules), "\n\n"),
			})
		}
	}
	return c
}

// reproducer is the case as a file for testdata/same.
func (c sameCase) reproducer(d difference) string {
	archive := &txtar.Archive{Comment: fmt.Appendf(nil, "path: %s\n", strings.Join(d.path, "/"))}
	if d.want != "" {
		archive.Comment = fmt.Appendf(archive.Comment, "%s, strict %t: ours %s\nOPA's %s\n", ways[d.way].name, d.strict, d.got, d.want)
	}
	for _, m := range c.modules {
		archive.Files = append(archive.Files, txtar.File{Name: m.file, Data: []byte(m.text())})
	}
	archive.Files = append(archive.Files, txtar.File{Name: "data.json", Data: []byte(c.data + "\n")})
	for i, input := range c.inputs {
		if input != "" {
			archive.Files = append(archive.Files, txtar.File{Name: fmt.Sprintf("input%d.json", i), Data: []byte(input + "\n")})
		}
	}
	return string(txtar.Format(archive))
}
