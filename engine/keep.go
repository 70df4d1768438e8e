package engine

import (
	"fmt"
	"io/fs"
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

// Removals name what is meant to be gone. The zero value names nothing.
type Removals struct {
	All      bool     // whatever is gone
	Packages []Path   // of [Keep].Packages
	Files    []string // of data, relative to the policy directory: see [Keep].DataOf
}

// A RemovingSource is a source that says what is meant to be gone from it. What it names is accepted as if the [Trigger]
// accepted it.
type RemovingSource interface {
	fs.FS
	Removals() Removals
}

// removals is what a source says of itself.
func removals(src fs.FS) Removals {
	if says, ok := src.(RemovingSource); ok {
		return says.Removals()
	}
	return Removals{}
}

func (r *Removals) some() bool { return r.All || len(r.Packages) > 0 || len(r.Files) > 0 }

func (r *Removals) hasPackage(path Path) bool {
	return r.All || slices.ContainsFunc(r.Packages, func(p Path) bool { return slices.Equal(p, path) })
}

func (r *Removals) hasFile(file *source.File) bool {
	return r.All || slices.Contains(r.Files, file.Rel())
}

// Lost is what a candidate lacks of it that before has and that is not meant to be gone, for programs and for people.
func (k Keep) Lost(before, candidate *Generation, meant Removals) (lost Removals, said diagnostic.List) {
	said = k.check(before, candidate, meant, &lost)
	return lost, said
}

// Still is what of r a candidate lacks.
func (r *Removals) Still(candidate *Generation) Removals {
	var left Removals
	for _, path := range r.Packages {
		if len(candidate.policy.Graph().Package(unit.PathKey(path.ref())).Rules()) == 0 {
			left.Packages = append(left.Packages, path)
		}
	}
	for _, name := range r.Files {
		if !slices.ContainsFunc(candidate.Files(), func(f *source.File) bool { return f.Rel() == name }) {
			left.Files = append(left.Files, name)
		}
	}
	return left
}

// check lists what the candidate lacks of it and is not meant to, and notes that in noted, which may be nil. The list is
// empty if it lacks nothing.
func (k Keep) check(before, candidate *Generation, meant Removals, noted *Removals) diagnostic.List {
	wrong := k.lostPackages(before, candidate, meant, noted)
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
	for file, places := range byFile {
		if meant.hasFile(file) {
			continue
		}
		if d, ok := k.lostData(file, places, candidate.policy.Graph()); ok {
			wrong = append(wrong, d)
			if noted != nil {
				noted.Files = append(noted.Files, file.Rel())
			}
		}
	}
	if noted != nil {
		slices.Sort(noted.Files)
	}
	return wrong.Sorted()
}

func (k Keep) lostPackages(before, candidate *Generation, meant Removals, noted *Removals) diagnostic.List {
	var wrong diagnostic.List
	for _, path := range k.Packages {
		key := unit.PathKey(path.ref())
		was := before.policy.Graph().Package(key)
		if len(was.Rules()) == 0 || len(candidate.policy.Graph().Package(key).Rules()) > 0 || meant.hasPackage(path) {
			continue
		}
		if noted != nil {
			noted.Packages = append(noted.Packages, path)
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
