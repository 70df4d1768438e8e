package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants returns the values of the text constants of a package whose name or type chosen takes.
func constants(t *testing.T, dir string, chosen func(name, kind string) bool) (values []string) {
	t.Helper()
	eachFile(t, dir, func(file *ast.File) {
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				spec := spec.(*ast.ValueSpec)
				kind, _ := spec.Type.(*ast.Ident)
				for i, name := range spec.Names {
					if i >= len(spec.Values) || !chosen(name.Name, kindName(kind)) {
						continue
					}
					if text, ok := literal(spec.Values[i]); ok {
						values = append(values, text)
					}
				}
			}
		}
	})
	return values
}

func kindName(kind *ast.Ident) string {
	if kind == nil {
		return ""
	}
	return kind.Name
}

// literal returns the text of a string literal, or of some that are joined by +.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := literal(e.X)
		right, too := literal(e.Y)
		return left + right, ok && too
	}
	return "", false
}

// eachFile parses the files of a package, without its tests.
func eachFile(t *testing.T, dir string, visit func(*ast.File)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("../../..", dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no files (%v)", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		visit(file)
	}
}

// TestTheEventsAreDocumented compares the tables of docs/reference/events.md with the transitions that the program declares.
func TestTheEventsAreDocumented(t *testing.T) {
	declared := map[string]bool{}
	for _, name := range constants(t, "cmd/internal/sidecar", func(name, _ string) bool { return strings.HasPrefix(name, "transition") }) {
		declared[name] = true
	}
	for _, name := range constants(t, "engine/control", func(_, kind string) bool { return kind == "Transition" }) {
		declared[name] = true
	}
	eachFile(t, "cmd/internal/sidecar", func(file *ast.File) { // those of a fleet are in a table
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(text.Value, `"fleet-`) && text.Value != `"fleet-apply"` && text.Value != `"fleet-refuse"` {
				declared[strings.Trim(text.Value, `"`)] = true
			}
			return true
		})
	})
	page, err := os.ReadFile("../../../docs/reference/events.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			told[strings.Trim(name, "`")] = true
		}
	}
	if a, b := slices.Sorted(maps.Keys(declared)), slices.Sorted(maps.Keys(told)); !slices.Equal(a, b) {
		t.Errorf("the program declares the transitions\n%q and docs/reference/events.md has\n%q", a, b)
	}
}
