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

// Loss is what a new generation lacks because files are gone, and what decisions used and files that are still there do
// not define any more.
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

// LossOf describes what callers would lose if the candidate followed base; nil is nothing. Safe for concurrent use.
func (e *Engine) LossOf(base, candidate *Generation) *Loss {
	if base == nil || base == candidate {
		return nil
	}
	return lossOf(base, candidate, e.asked.all())
}

// lostByEdit lists what decisions used and files that are still there took away: a package whose clause was changed, a
// rule with another name. Callers get undefined, and no error anywhere says why.
func lostByEdit(before, now *Generation, used func(lost) bool) (places []lost) {
	for _, p := range editSince(before.parsed, now.parsed).removed {
		if p.Unit == nil || p.Source.Kind() == source.KindTest || now.parsedAt(p.Path()) == nil {
			continue
		}
		for _, ref := range lostRules(p.Unit, now) {
			at := lost{p.Source, ref, unit.PathKey(ref)}
			same := func(other lost) bool { return other.key == at.key }
			if !slices.ContainsFunc(places, same) && used(at) {
				places = append(places, at)
			}
		}
	}
	return places
}

// lossOf describes what a new generation lacks, nil if nothing is gone. asked are the paths of decisions.
func lossOf(before, now *Generation, asked []eval.Path) *Loss {
	gone, places := lostBetween(before, now)
	use := usedBy(before, asked)
	places = append(places, lostByEdit(before, now, func(p lost) bool {
		if before.policy.Graph().Package(p.key) != nil {
			return use(p)
		}
		// Of a rule that is gone by an edit only its own callers are told: a rule that refers to it was edited too, or is
		// refused.
		return slices.ContainsFunc(asked, func(path eval.Path) bool { return p.key.Holds(unit.PathKey(path.Ref())) })
	})...)
	if len(gone) == 0 && len(places) == 0 {
		return nil
	}
	const maxFiles = 100
	loss := &Loss{More: max(0, len(gone)-maxFiles) + max(0, len(places)-maxNamed)}
	for _, f := range gone[:min(len(gone), maxFiles)] {
		loss.Files = append(loss.Files, f.Path)
	}
	for _, p := range places[:min(len(places), maxNamed)] {
		loss.Documents = append(loss.Documents, LostDocument{Path: p.ref.String(), Used: use(p)})
	}
	return loss
}

// usedBy reports whether decisions for the paths used a place: they asked for it, for a part of it, for what it is a part
// of, or for rules that refer to it.
func usedBy(before *Generation, asked []eval.Path) func(lost) bool {
	graph := before.policy.Graph()
	reached := sync.OnceValue(func() (all []unit.Reach) {
		for _, path := range asked {
			all = append(all, graph.Reach(unit.PathKey(path.Ref())))
		}
		return all
	})
	return func(p lost) bool {
		readers := graph.Readers([]unit.Key{p.key})
		return slices.ContainsFunc(asked, func(path eval.Path) bool { return unit.PathKey(path.Ref()).Overlaps(p.key) }) ||
			slices.ContainsFunc(reached(), func(r unit.Reach) bool {
				return slices.ContainsFunc(r.Packages, func(pkg unit.Key) bool { return readers[pkg] })
			})
	}
}

// stillLost lists the documents that decisions used and the newest generation does not define, those of before first.
func stillLost(before []LostDocument, report *Report) []LostDocument {
	if report.Result != Success || report.Generation == nil {
		return before
	}
	defined := func(d LostDocument) bool {
		ref, err := ast.ParseRef(d.Path)
		return err != nil || report.Generation.defines(ref)
	}
	still := slices.DeleteFunc(slices.Clone(before), defined)
	if report.Loss != nil {
		for _, d := range report.Loss.Documents {
			if d.Used && !slices.Contains(still, d) {
				still = append(still, d)
			}
		}
	}
	const maxStill = 100
	return still[:min(len(still), maxStill)]
}

// defines reports whether there are rules or data at a place.
func (g *Generation) defines(ref ast.Ref) bool {
	if g.policy.Compiler().RuleTree.Find(ref) != nil {
		return true
	}
	_, err := g.data.Root().Find(ref[1:])
	return err == nil
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
