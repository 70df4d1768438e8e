package api

import (
	"encoding/json"

	"defenseclaw/engine/review"
)

// Review is what differs between two sides: the body of GET /policy/diff. Places are Rego references.
type Review struct {
	Same        bool              `json:"same"`
	Base        *ReviewSide       `json:"base"` // null if the candidate is the first
	Candidate   ReviewSide        `json:"candidate"`
	First       bool              `json:"first"`
	Files       []ReviewFile      `json:"files"`
	Packages    ReviewPackages    `json:"packages"`
	Rules       []ReviewRule      `json:"rules"`
	Defaults    []ReviewDefault   `json:"defaults"`
	Data        []ReviewData      `json:"data"`
	DataSize    ReviewSize        `json:"data_size"`
	Builtins    ReviewBuiltins    `json:"builtins"`
	EntryPoints ReviewEntryPoints `json:"entry_points"`
	Tests       *ReviewTests      `json:"tests,omitempty"` // left out where they were not compared
	Replay      *ReviewReplay     `json:"replay,omitempty"`
	Probe       *ReviewProbe      `json:"probe,omitempty"`
	Signature   *Signature        `json:"signature,omitempty"` // of the candidate; left out where none is asked for
	Trigger     *ReviewTrigger    `json:"trigger,omitempty"`   // left out where nobody asked for the candidate to serve
	Incomplete  []string          `json:"incomplete"`          // what was not compared or not evaluated, and why
	Text        string            `json:"text,omitempty"`      // a unified diff, where it was asked for
}

// ReviewSide is a base or a candidate.
type ReviewSide struct {
	Name     string `json:"name,omitempty"` // as it was asked for: serving, disk, held, a number or a revision
	Seq      uint64 `json:"seq,omitempty"`  // in the history: as asked for, else of the newest entry with this revision; left out where there is none
	Revision string `json:"revision"`
	Modules  int    `json:"modules"`
}

// ReviewFile is a file that differs, with the lines that came and went.
type ReviewFile struct {
	Path    string `json:"path"`
	Change  string `json:"change"` // added, removed or changed
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
}

// ReviewPackages are names of packages.
type ReviewPackages struct {
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Changed  []string `json:"changed"`  // a rule is not what it was
	Affected []string `json:"affected"` // not changed, and can see what is
}

// ReviewRule is one clause of a rule.
type ReviewRule struct {
	Path   string `json:"path"`
	Change string `json:"change"` // added, removed, changed, or moved to another file
	Clause int    `json:"clause"` // from 1
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	File   string `json:"file"`
	Row    int    `json:"row"`
	From   string `json:"from,omitempty"` // the file before, if it moved
}

// ReviewDefault is a default value. What is left out is not there.
type ReviewDefault struct {
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// ReviewData is a place of the data. Values are left out where there is none, or it is longer than 4 KiB.
type ReviewData struct {
	Path     string          `json:"path"`
	Change   string          `json:"change"` // added, removed or changed
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
	Leaves   ReviewSize      `json:"leaves"`
	Elements *ReviewElements `json:"elements,omitempty"` // of lists
}

// ReviewElements are those of a list that came and went, at most 100 of each.
type ReviewElements struct {
	Added   []json.RawMessage `json:"added"`
	Removed []json.RawMessage `json:"removed"`
}

// ReviewSize counts values that are neither objects nor arrays.
type ReviewSize struct {
	Before int `json:"before"`
	After  int `json:"after"`
}

// ReviewBuiltins are those that the base does not call.
type ReviewBuiltins struct {
	Added []string `json:"added"`
}

// ReviewEntryPoints are rules and packages with the annotation entrypoint: true.
type ReviewEntryPoints struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

// ReviewTests are names of tests and, where they were run, what those said that the change can affect.
type ReviewTests struct {
	Added   []string           `json:"added"`
	Removed []string           `json:"removed"`
	Ran     int                `json:"ran"`
	NotRun  int                `json:"not_run"`
	Failed  []ReviewFailedTest `json:"failed"`
}

// ReviewOf converts a review. Lists are never null.
func ReviewOf(r *review.Review) *Review {
	w := &Review{
		Same: r.Same(), First: r.Base == nil, Candidate: ReviewSide{Revision: r.Candidate.Revision, Modules: r.Candidate.Modules},
		Files:    convert(r.Files, func(f review.File) ReviewFile { return ReviewFile(f) }),
		Packages: ReviewPackages{list(r.Packages.Added), list(r.Packages.Removed), list(r.Packages.Changed), list(r.Packages.Affected)},
		Rules:    convert(r.Rules, func(x review.Rule) ReviewRule { return ReviewRule(x) }),
		Defaults: convert(r.Defaults, func(d review.Default) ReviewDefault { return ReviewDefault(d) }),
		Data:     convert(r.Data, dataOf),
		DataSize: ReviewSize(r.DataSize), Builtins: ReviewBuiltins{list(r.Builtins)},
		EntryPoints: ReviewEntryPoints{list(r.EntryPoints.Added), list(r.EntryPoints.Removed)},
		Incomplete:  list(r.Incomplete), Signature: SignatureOf(r.Candidate.Verified),
	}
	if r.Base != nil {
		w.Base = &ReviewSide{Revision: r.Base.Revision, Modules: r.Base.Modules}
	}
	if r.Tests != nil {
		w.Tests = &ReviewTests{Added: list(r.Tests.Added), Removed: list(r.Tests.Removed), Failed: []ReviewFailedTest{}}
	}
	return w
}

func dataOf(d review.Data) ReviewData {
	w := ReviewData{Path: d.Path, Change: d.Change, Before: d.Before, After: d.After, Leaves: ReviewSize(d.Leaves)}
	if d.Elements != nil {
		w.Elements = &ReviewElements{list(d.Elements.Added), list(d.Elements.Removed)}
	}
	return w
}

// list is never nil.
func list[T any](from []T) []T { return append([]T{}, from...) }

func convert[A, B any](from []A, one func(A) B) []B {
	to := make([]B, len(from))
	for i, a := range from {
		to[i] = one(a)
	}
	return to
}
