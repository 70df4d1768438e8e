package explain

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Document is something that can be evaluated.
type Document struct {
	Path       string // such as a/b/allow, with escapes where a part needs them
	Package    string // such as data.a.b
	Entrypoint bool   // its author named it as one that callers ask for
	IsPackage  bool   // the whole package
}

// Find lists the documents that rules make whose path has all words of search in it, entrypoints first and then by path: at
// most limit, and how many there are besides. Tests and functions are left out. An empty search finds all.
func Find(g *engine.Generation, search string, limit int) (found []Document, more int) {
	words := strings.FieldsFunc(strings.ToLower(search), func(r rune) bool { return r == '/' || r == '.' || r == ' ' })
	if len(words) > 0 && words[0] == "data" {
		words = words[1:]
	}
	known := map[string]int{}
	add := func(d Document) {
		lower := strings.ToLower(d.Path)
		for _, w := range words {
			if !strings.Contains(lower, w) {
				return
			}
		}
		if i, ok := known[d.Path]; ok {
			found[i].Entrypoint = found[i].Entrypoint || d.Entrypoint
			return
		}
		known[d.Path] = len(found)
		found = append(found, d)
	}
	for _, f := range g.Files() {
		if m := g.Module(f.Path); m != nil {
			documentsOf(m, add)
		}
	}
	slices.SortFunc(found, func(a, b Document) int {
		if a.Entrypoint != b.Entrypoint {
			if a.Entrypoint {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Path, b.Path)
	})
	if more = len(found) - limit; more > 0 {
		found = found[:limit]
	}
	return found, max(more, 0)
}

func documentsOf(m *ast.Module, add func(Document)) {
	whole, ok := pathOf(m.Package.Path)
	if !ok {
		return
	}
	inPackage := m.Package.Path.String()
	points := map[string]bool{}
	for _, a := range m.Annotations {
		if a.Entrypoint && a.GetTargetPath() != nil {
			points[a.GetTargetPath().String()] = true
		}
	}
	if len(m.Rules) > 0 {
		add(Document{Path: whole, Package: inPackage, IsPackage: true, Entrypoint: points[inPackage]})
	}
	for _, r := range m.Rules {
		ref := m.Package.Path.Extend(r.Head.Ref().GroundPrefix())
		path, ok := pathOf(ref)
		if !ok || len(r.Head.Args) > 0 || strings.HasPrefix(string(r.Head.Name), "test_") {
			continue
		}
		add(Document{Path: path, Package: inPackage, Entrypoint: points[ref.String()]})
	}
}

// pathOf is a reference as a path; false where a path cannot name it.
func pathOf(ref ast.Ref) (string, bool) {
	var parts []string
	for _, term := range ref[1:] {
		part, ok := term.Value.(ast.String)
		if !ok || part == "" || strings.Contains(string(part), `"`) {
			return "", false
		}
		parts = append(parts, strings.ReplaceAll(url.PathEscape(string(part)), ".", "%2E"))
	}
	return strings.Join(parts, "/"), len(parts) > 0
}

// ParsePath parses the path of a document as people write it: b/allow, b.allow or data.b.allow. Where it has a slash, dots
// are part of names. An error says what is wrong with it.
func ParsePath(text string) (engine.Path, error) {
	if !strings.Contains(text, "/") {
		text = strings.ReplaceAll(strings.TrimPrefix(text, "data."), ".", "/")
	}
	return engine.ParsePath(text)
}
