package explain

import (
	"cmp"
	"container/heap"
	"net/url"
	"slices"
	"strings"
	"sync"
	"weak"

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
	return new(Finder).Find(g, search, limit)
}

// Finder finds documents in one generation after the other, and keeps what it knows of their modules, but no generation. The zero
// value is ready. Safe for concurrent use.
type Finder struct {
	mu       sync.Mutex // guards the fields below
	number   uint64     // of the generation that was asked for last
	revision string
	all      []*moduleDocuments // of its packages
	modules  map[weak.Pointer[ast.Module]]*moduleDocuments
}

// moduleDocuments is what one module makes, each path once.
type moduleDocuments struct {
	inPackage string
	documents []Document
	lower     []string // their paths
}

// Find is [Find].
func (f *Finder) Find(g *engine.Generation, search string, limit int) (found []Document, more int) {
	words := strings.FieldsFunc(strings.ToLower(search), func(r rune) bool { return r == '/' || r == '.' || r == ' ' })
	if len(words) > 0 && words[0] == "data" {
		words = words[1:]
	}
	first, matching := firstDocuments{}, 0
	for _, m := range f.of(g) {
		for i, d := range m.documents {
			if !hasAll(m.lower[i], words) {
				continue
			}
			if matching++; len(first) < limit {
				heap.Push(&first, d)
			} else if limit > 0 && compare(d, first[0]) < 0 {
				first[0] = d
				heap.Fix(&first, 0)
			}
		}
	}
	slices.SortFunc(first, compare)
	return first, matching - len(first)
}

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// of is what the modules of a generation make. Those of one package are one.
func (f *Finder) of(g *engine.Generation) []*moduleDocuments {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all != nil && f.number == g.Number() && f.revision == g.Revision() {
		return f.all
	}
	modules := map[weak.Pointer[ast.Module]]*moduleDocuments{}
	packages := map[string]int{} // their places in grouped
	var grouped [][]*moduleDocuments
	for _, file := range g.Files() {
		m := g.Module(file.Path)
		if m == nil {
			continue
		}
		key := weak.Make(m)
		is := f.modules[key]
		if is == nil {
			is = documentsIn(m)
		}
		modules[key] = is
		at, known := packages[is.inPackage]
		if !known {
			at = len(grouped)
			packages[is.inPackage], grouped = at, append(grouped, nil)
		}
		grouped[at] = append(grouped[at], is)
	}
	f.all = make([]*moduleDocuments, len(grouped))
	for i, of := range grouped {
		f.all[i] = together(of)
	}
	f.number, f.revision, f.modules = g.Number(), g.Revision(), modules
	return f.all
}

func documentsIn(m *ast.Module) *moduleDocuments {
	is := &moduleDocuments{inPackage: m.Package.Path.String()}
	known := map[string]int{}
	documentsOf(m, func(d Document) { is.add(d, known) })
	return is
}

func (m *moduleDocuments) add(d Document, known map[string]int) {
	if i, ok := known[d.Path]; ok {
		m.documents[i].Entrypoint = m.documents[i].Entrypoint || d.Entrypoint
		return
	}
	known[d.Path] = len(m.documents)
	m.documents, m.lower = append(m.documents, d), append(m.lower, strings.ToLower(d.Path))
}

// together is what the modules of one package make.
func together(modules []*moduleDocuments) *moduleDocuments {
	if len(modules) == 1 {
		return modules[0]
	}
	all, known := &moduleDocuments{inPackage: modules[0].inPackage}, map[string]int{}
	for _, m := range modules {
		for _, d := range m.documents {
			all.add(d, known)
		}
	}
	return all
}

// compare is the order of documents: entrypoints first.
func compare(a, b Document) int {
	if a.Entrypoint != b.Entrypoint {
		if a.Entrypoint {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Path, b.Path)
}

// firstDocuments is a heap with the last document on top.
type firstDocuments []Document

func (h firstDocuments) Len() int           { return len(h) }
func (h firstDocuments) Less(i, j int) bool { return compare(h[i], h[j]) > 0 }
func (h firstDocuments) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *firstDocuments) Push(x any) {
	d, _ := x.(Document) // it holds nothing else
	*h = append(*h, d)
}

// Pop implements [heap.Interface].
func (h *firstDocuments) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
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
