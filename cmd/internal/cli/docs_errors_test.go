package cli

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documentedErrors are the packages whose every error has its entry in docs/reference/errors: users meet them as they are. Errors of the
// others are causes, of which the pages have those that somebody can do something about.
var documentedErrors = []string{
	"api", "api/audit", "api/authzen", "api/console", "api/decisionlog", "api/domains", "api/extauthz", "api/gate", "api/internal/decision", "api/opa",
	"cmd/internal/cli", "cmd/internal/fleet", "cmd/internal/fleet/access", "cmd/internal/fleet/broker", "cmd/internal/fleet/controller",
	"cmd/internal/fleet/rollout", "cmd/internal/opaconfig", "cmd/internal/pack", "cmd/internal/preset", "cmd/internal/query", "cmd/internal/settings",
	"cmd/internal/sidecar", "cmd/internal/signed", "cmd/internal/testrun", "cmd/internal/tokens",
	"engine/bundle", "engine/internal/archive", "engine/signature", "engine/source", "watcher", "watcher/bundle", "watcher/fleet",
	"watcher/fleet/credentials", "watcher/fleet/record",
}

// met by nobody: a caller puts another text in its place, or it is a fault of this program.
var undocumentedErrors = []string{
	"not an allowed value", "config.yaml is missing or empty", "one of Config.Engine", "write the body anew", "drain requests for",
	"write the answer", "write the explanation", "bytes; the limit is", "a bundle is verified when", "watcher: unknown mode",
	"the time between two looks", "has no frame", "there is none", "the connection ended", "prepares without a base",
}

// foreignTexts are quoted words of OPA, of Go and of the system, and what the program puts together.
var foreignTexts = []string{"Not Found", "too many open files", "rego_", "eval_", "evaluation_error", "api_usage_warning", "is a list"}

// varying is what an entry and a message in the code do not share: placeholders, numbers, verbs of fmt.
var varying = regexp.MustCompile(`…|%[-+# 0-9.]*[a-zA-Z]|\b[A-Z][A-Z_]*\b|\b\d[\w.:]*`)

// fixedParts are the parts of a message that do not vary and are long enough to find it by.
func fixedParts(message string) (parts []string) {
	for _, part := range varying.Split(message, -1) {
		if part = strings.Trim(part, ` :;,.()"'-/$`); len(part) >= 8 {
			parts = append(parts, part)
		}
	}
	return parts
}

// an errorEntry is one quoted message of a page.
type errorEntry struct{ page, text string }

// errorEntries are the messages and codes that the pages quote in the first cell of a row.
func errorEntries(t *testing.T) (entries []errorEntry) {
	t.Helper()
	pages, err := filepath.Glob("../../../docs/reference/errors/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("the pages are %q (%v)", pages, err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			if cell == line || !strings.HasPrefix(line, "| ") {
				continue
			}
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				entries = append(entries, errorEntry{filepath.Base(page), m[1]})
			}
		}
	}
	return entries
}

// told reports whether one of the parts of a message is in one of the others, or the other way round.
func told(part string, others []string) bool {
	return slices.ContainsFunc(others, func(other string) bool { return strings.Contains(other, part) || strings.Contains(part, other) })
}

// errorTexts are the messages of the errors that a package makes, and of what it logs at level warn and above.
func errorTexts(t *testing.T, dir string) (texts []string) {
	eachFile(t, dir, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				called, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) == 0 || !slices.Contains([]string{"New", "Errorf", "BadRequest", "Warn", "Error"}, called.Sel.Name) {
					break
				}
				if text, ok := literal(n.Args[0]); ok {
					texts = append(texts, text)
				}
			case *ast.CompositeLit:
				for _, e := range answered(n) {
					if text, ok := literal(e); ok {
						texts = append(texts, text)
					}
				}
			}
			return true
		})
	})
	return texts
}

// answered are the values of an error that is answered with a status.
func answered(n *ast.CompositeLit) (values []ast.Expr) {
	name := ""
	switch kind := n.Type.(type) {
	case *ast.Ident:
		name = kind.Name
	case *ast.SelectorExpr:
		name = kind.Sel.Name
	}
	if !slices.Contains([]string{"HTTPError", "Denial"}, name) {
		return nil
	}
	for _, e := range n.Elts {
		if keyed, ok := e.(*ast.KeyValueExpr); ok {
			e = keyed.Value
		}
		values = append(values, e)
	}
	return values
}

func TestEachErrorHasItsEntry(t *testing.T) {
	var quoted []string
	for _, e := range errorEntries(t) {
		quoted = append(quoted, fixedParts(e.text)...)
	}
	for _, dir := range documentedErrors {
		for _, text := range errorTexts(t, dir) {
			parts := fixedParts(text)
			if len(parts) == 0 || slices.ContainsFunc(undocumentedErrors, func(one string) bool { return strings.Contains(text, one) }) {
				continue // it says where, and its cause says what
			}
			longest := slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) })
			if len(longest) >= 10 && !told(longest, quoted) {
				t.Errorf("%s: docs/reference/errors has no entry for %q", dir, text)
			}
		}
	}
}

func TestEachEntryQuotesTheProgram(t *testing.T) {
	var said []string
	for _, dir := range sourceDirs(t) {
		eachFile(t, dir, func(file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text, ok := literal(e)
				if ok {
					said = append(said, fixedParts(text)...)
				}
				return !ok
			})
		})
	}
	for _, e := range errorEntries(t) {
		for _, part := range fixedParts(e.text) {
			if !told(part, said) && !slices.ContainsFunc(foreignTexts, func(one string) bool { return strings.Contains(part, one) }) {
				t.Errorf("%s quotes %q, and no text of the program has %q", e.page, e.text, part)
			}
		}
	}
}

// sourceDirs are the packages of the product.
func sourceDirs(t *testing.T) (dirs []string) {
	t.Helper()
	const top = "../../.."
	for _, room := range []string{"api", "cmd/internal", "engine", "watcher", "worker"} {
		err := filepath.WalkDir(filepath.Join(top, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" || d.Name() == "static" {
				return filepath.SkipDir
			}
			files, err := filepath.Glob(filepath.Join(path, "*.go"))
			if slices.ContainsFunc(files, func(name string) bool { return !strings.HasSuffix(name, "_test.go") }) {
				dirs = append(dirs, strings.TrimPrefix(filepath.ToSlash(path), top+"/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

// Codes are for programs: each has an entry, whoever meets it.
func TestEachCodeHasItsEntry(t *testing.T) {
	var quoted []string
	for _, e := range errorEntries(t) {
		quoted = append(quoted, e.text)
	}
	ofKind := func(kinds ...string) func(name, kind string) bool {
		return func(_, kind string) bool { return slices.Contains(kinds, kind) }
	}
	begins := func(prefix string) func(name, kind string) bool {
		return func(name, _ string) bool { return strings.HasPrefix(name, prefix) }
	}
	for _, from := range []struct {
		dir    string
		chosen func(name, kind string) bool
	}{
		{"engine/diagnostic", begins("Code")}, {"engine", ofKind("Stage")}, {"watcher/fleet/record", ofKind("Code")}, {"api/opa", begins("code")},
	} {
		codes := constants(t, from.dir, from.chosen)
		if len(codes) < 2 {
			t.Errorf("%s declares the codes %q", from.dir, codes)
		}
		for _, code := range codes {
			if !slices.Contains(quoted, code) {
				t.Errorf("docs/reference/errors has no entry for the code %s of %s", code, from.dir)
			}
		}
	}
}

// TestEachReasonOfAMetricHasItsEntry reads which page tells what to do, and looks for each reason there.
func TestEachReasonOfAMetricHasItsEntry(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("`(?:[a-z]+_)?reason`: ([^|<]*).*\\| [^|]* \\[(docs/[a-z/-]*\\.md)\\]\\([^)]*\\) lists what to do").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 4 {
		t.Fatalf("%d metrics have reasons", len(rows))
	}
	for _, row := range rows {
		page, err := os.ReadFile("../../../" + row[2])
		if err != nil {
			t.Fatal(err)
		}
		for reason := range strings.SplitSeq(strings.TrimSpace(row[1]), ", ") {
			if !regexp.MustCompile("(?m)^\\| [^|]*`" + reason + "`").Match(page) {
				t.Errorf("%s does not say what to do for the reason %s", row[2], reason)
			}
		}
	}
}
