// Package review says what differs between two generations: files, packages, rules, defaults, data, builtins and entry
// points. It evaluates nothing and has no state: the same two generations give the same review.
//
// Most callers need [Of], and [TextOf] for a text diff of the files. [Findings] names what callers of decisions lose.
//
// Rules are compared as they were compiled, without places and without the names of local variables and imports: a
// comment, a format or another name for a variable is no change. What both generations share is not looked at, so
// the review of an edit takes time for the edit.
package review

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Review is what differs between a base and a candidate. Places are Rego references, such as data.lib.allow, and lists
// are sorted by place.
type Review struct {
	Base      *Side // nil where there is none: the candidate is the first
	Candidate Side

	Files       []File
	Packages    Packages
	Rules       []Rule // other than default values
	Defaults    []Default
	Data        []Data
	DataSize    Size // leaves of the whole data
	Builtins    []string
	EntryPoints EntryPoints
	Tests       *Tests   // nil where the tests of one side are not held
	Incomplete  []string // what was not compared: tests

	reach *engine.Reach
}

// Reaches reports whether the document at path can be another one in the two generations. The answer no is certain.
func (r *Review) Reaches(path engine.Path) bool { return r.reach.Reaches(path) }

// Side is one of the two generations.
type Side struct {
	Revision string
	Modules  int
	Verified engine.Verified // who signed it; zero where no signature is asked for
}

// The kinds of a change.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
	Moved   = "moved" // the same rule, in another file
)

// Packages are names of packages. A changed package has a rule that is not what it was; an affected one can see a changed
// package or place of data, directly or through others, and is not changed itself.
type Packages struct{ Added, Removed, Changed, Affected []string }

// EntryPoints are the rules and packages with the annotation entrypoint: true.
type EntryPoints struct{ Added, Removed []string }

// Tests are the names of tests, as data.p.test_x.
type Tests struct{ Added, Removed []string }

// Size is a number before and after.
type Size struct{ Before, After int }

// Same reports whether both sides serve the same files.
func (r *Review) Same() bool { return r.Base != nil && r.Base.Revision == r.Candidate.Revision }

// Of reviews the step from base, which may be nil, to candidate. Tests are not part of a generation: see [Review.WithTests].
func Of(base, candidate *engine.Generation) *Review {
	r := &Review{Candidate: sideOf(candidate), Incomplete: []string{"tests"}}
	r.DataSize.After = candidate.DataLeaves()
	noData := ast.NewObject()
	before := noData
	if base != nil {
		side := sideOf(base)
		r.Base, r.DataSize.Before, before = &side, base.DataLeaves(), base.Data()
	}
	delta := engine.DeltaOf(base, candidate)
	r.Files = filesOf(delta.Files)
	changed := r.comparePackages(delta.Packages)
	places := r.compareData(before, candidate.Data())
	r.reach = delta.Reach(changed, places)
	r.Packages.Affected = names(r.reach.Affected())
	r.Builtins = delta.NewBuiltins()
	return r
}

func sideOf(g *engine.Generation) Side {
	modules, _ := g.Counts()
	return Side{Revision: g.Revision(), Modules: modules, Verified: g.Verified()}
}

// WithTests adds the tests of both sides.
func (r *Review) WithTests(before, after *engine.Suite) *Review {
	r.Tests = CompareTests(before, after)
	r.Incomplete = slices.DeleteFunc(r.Incomplete, func(s string) bool { return s == "tests" })
	return r
}

// CompareTests says which tests came and went.
func CompareTests(before, after *engine.Suite) *Tests {
	was, is := testsIn(before), testsIn(after)
	return &Tests{Added: missingFrom(was, is), Removed: missingFrom(is, was)}
}

// missingFrom lists what is in all and not in have. Both are sorted.
func missingFrom(have, all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		_, found := slices.BinarySearch(have, s)
		return found
	})
}

// Digest names one step: what an approval is bound to. guards is the revision of what judged it, empty where nothing did.
func Digest(base, candidate, guards string) string {
	text, err := json.Marshal([]string{base, candidate, guards}) // no two lists give one text
	if err != nil {
		return "" // strings can always be marshalled
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func names(refs []ast.Ref) []string {
	var all []string
	for _, ref := range refs {
		all = append(all, ref.String())
	}
	slices.Sort(all)
	return all
}
