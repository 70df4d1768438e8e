package engine

import (
	"fmt"
	"slices"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"
)

// Keep names what a reload must not take away, unless its [Trigger] accepts removals: what fails open without it, or is
// asked for by name. The zero value keeps nothing.
type Keep struct {
	Packages []Path // which must not lose all their rules
	DataOf   []Path // packages at or below these, which must not lose data that they read to files that are gone
}

const acceptHint = "put it back, or accept that it is gone: policy reload --accept-removals"

// check lists what the candidate lacks of it. The list is empty if it lacks nothing.
func (k Keep) check(before, candidate *Generation) diagnostic.List {
	wrong := k.lostPackages(before, candidate)
	if len(k.DataOf) == 0 {
		return wrong
	}
	_, places := lostBetween(before, candidate)
	byFile := map[*source.File][]lost{}
	for _, p := range places {
		if p.file.Kind() == source.KindData || p.file.Kind() == source.KindOverlay {
			byFile[p.file] = append(byFile[p.file], p)
		}
	}
	for file, lost := range byFile {
		if d, ok := k.lostData(file, lost, candidate.policy.Graph()); ok {
			wrong = append(wrong, d)
		}
	}
	return wrong.Sorted()
}

func (k Keep) lostPackages(before, candidate *Generation) diagnostic.List {
	var wrong diagnostic.List
	for _, path := range k.Packages {
		key := unit.PathKey(path.ref())
		was := before.policy.Graph().Package(key)
		if len(was.Rules()) == 0 || len(candidate.policy.Graph().Package(key).Rules()) > 0 {
			continue
		}
		wrong = append(wrong, diagnostic.Diagnostic{
			File: was.Modules[0].File, Code: diagnostic.CodePackageRemoved, Hint: acceptHint,
			Message: fmt.Sprintf("the package %s, which callers ask for, has no rules any more", path),
		})
	}
	return wrong
}

// lostData is about one data file that is gone: which packages read what it held.
func (k Keep) lostData(file *source.File, places []lost, graph *unit.Graph) (_ diagnostic.Diagnostic, found bool) {
	keys := make([]unit.Key, 0, len(places))
	for _, p := range places {
		keys = append(keys, p.key)
	}
	readers := k.kept(graph.Readers(keys))
	if len(readers) == 0 {
		return diagnostic.Diagnostic{}, false
	}
	const maxInSentence = 5
	var read []string
	for _, p := range places[:min(len(places), maxNamed)] { // each takes a look at the whole graph
		if len(k.kept(graph.Readers([]unit.Key{p.key}))) > 0 {
			read = append(read, p.ref.String())
		}
	}
	slices.Sort(read)
	return diagnostic.Diagnostic{
		File: file.Path, Code: diagnostic.CodeDataRemoved, Hint: acceptHint,
		Message: fmt.Sprintf("the file is gone, and its data is read by %s", firstOf(readers, maxInSentence)),
		Details: []string{"no longer in the data: " + firstOf(read, maxInSentence)},
	}, true
}

// kept are the names of those packages whose data is kept, sorted.
func (k Keep) kept(packages unit.Set) []string {
	var names []string
	for pkg := range packages {
		if slices.ContainsFunc(k.DataOf, func(path Path) bool { return unit.PathKey(path.ref()).Holds(pkg) }) {
			names = append(names, pkg.String())
		}
	}
	slices.Sort(names)
	return names
}
