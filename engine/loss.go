package engine

import (
	"maps"
	"slices"
	"sync"

	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Loss is what a new generation lacks because files are gone.
type Loss struct {
	Files     []string // that are gone, relative to the policy directory, sorted; at most 100
	Documents []LostDocument
	More      int // documents and files beyond those listed
}

// LostDocument is a place under data that had rules or data, and has none any more.
type LostDocument struct {
	Path string // as a Rego reference

	// Used reports whether decisions used it since the process began: they asked for it, or for rules that refer
	// to it, directly or through others. Ad hoc queries do not count.
	Used bool
}

// lost is a place of a generation that the next one lacks.
type lost struct {
	file *source.File // that set it
	ref  ast.Ref
	key  unit.Key
}

// lostBetween lists what files of before that now lacks took with them: packages, rules of packages that still
// have others, and data. It takes time only if there are such files.
func lostBetween(before, now *Generation) (gone []*source.File, places []lost) {
	gone = now.reading.Missing(before.reading)
	seen := unit.Set{}
	for _, f := range gone {
		p := before.parsedAt(f.Path)
		var refs []ast.Ref
		if p.Unit != nil {
			refs = lostRules(p.Unit, now)
		} else {
			refs = lostData(p, now.data.Root())
		}
		for _, ref := range refs {
			if key := unit.PathKey(ref); !seen[key] {
				seen[key] = true
				places = append(places, lost{f, ref, key})
			}
		}
	}
	return gone, places
}

// lostRules is the package of a module where it has no rules any more, else those of the module's rules that it
// lacks.
func lostRules(m *unit.Module, now *Generation) []ast.Ref {
	left := now.policy.Graph().Package(m.Package).Rules()
	if len(left) == 0 {
		if len(m.Rules) == 0 {
			return nil
		}
		return []ast.Ref{m.Path}
	}
	still := unit.Set{}
	for _, r := range left {
		still[r.Path] = true
	}
	var refs []ast.Ref
	for _, r := range m.Rules {
		if ref, ok := r.Path.Ref(); ok && !still[r.Path] {
			still[r.Path] = true
			refs = append(refs, ref)
		}
	}
	return refs
}

// lostData lists the highest places of a file's data that the new data lacks.
func lostData(p *parse.File, now ast.Object) []ast.Ref {
	at := ast.Ref{ast.DefaultRootDocument}
	for _, folder := range p.Folders() {
		at = at.Append(ast.StringTerm(folder))
	}
	if p.Data.Len() == 0 {
		return nil
	}
	value, err := now.Find(at[1:])
	if err != nil {
		return []ast.Ref{at}
	}
	if there, isObject := value.(ast.Object); isObject {
		return lostKeys(p.Data, there, at, nil)
	}
	return nil // another file has set all of it
}

func lostKeys(before, now ast.Object, at ast.Ref, refs []ast.Ref) []ast.Ref {
	if before == now {
		return refs
	}
	before.Foreach(func(k, v *ast.Term) {
		left := now.Get(k)
		if left == nil {
			refs = append(refs, at.Append(k))
			return
		}
		a, isObject := v.Value.(ast.Object)
		b, stillIs := left.Value.(ast.Object)
		if isObject && stillIs {
			refs = lostKeys(a, b, at.Append(k), refs)
		}
	})
	return refs
}

// lossOf describes what a new generation lacks, nil if no file is gone. asked are the paths of decisions.
func lossOf(before, now *Generation, asked []eval.Path) *Loss {
	gone, places := lostBetween(before, now)
	if len(gone) == 0 {
		return nil
	}
	const maxFiles = 100
	loss := &Loss{More: max(0, len(gone)-maxFiles) + max(0, len(places)-maxNamed)}
	for _, f := range gone[:min(len(gone), maxFiles)] {
		loss.Files = append(loss.Files, f.Path)
	}
	graph := before.policy.Graph()
	var reached []unit.Reach
	for _, path := range asked {
		reached = append(reached, graph.Reach(unit.PathKey(path.Ref())))
	}
	for _, p := range places[:min(len(places), maxNamed)] {
		readers := graph.Readers([]unit.Key{p.key})
		used := slices.ContainsFunc(asked, func(path eval.Path) bool { return unit.PathKey(path.Ref()).Overlaps(p.key) }) ||
			slices.ContainsFunc(reached, func(r unit.Reach) bool {
				return slices.ContainsFunc(r.Packages, func(pkg unit.Key) bool { return readers[pkg] })
			})
		loss.Documents = append(loss.Documents, LostDocument{Path: p.ref.String(), Used: used})
	}
	return loss
}

// asked are the paths that decisions have asked for since the process began: a generation knows those of its own
// time alone. Safe for concurrent use.
type asked struct {
	mu    sync.Mutex
	paths map[string]eval.Path // by the path as a reference
}

// maxAsked bounds the paths that are remembered: callers choose them.
const maxAsked = 10_000

func (a *asked) add(path eval.Path) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paths == nil {
		a.paths = map[string]eval.Path{}
	}
	if len(a.paths) < maxAsked {
		a.paths[path.String()] = path
	}
}

func (a *asked) all() []eval.Path {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.paths))
}
