package engine

import (
	"sync/atomic"
	"time"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/compile"
	"defenseclaw/engine/internal/eval"
	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/store"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Generation is one complete loaded state: policy, data and what is needed to decide by them. It never
// changes, whatever happens to the files or to later generations, and stays usable for as long as a caller
// holds it. Only its cache of prepared queries grows. Safe for concurrent use.
type Generation struct {
	number   uint64
	loadedAt time.Time

	reading   *source.Reading
	revision  string
	parsed    []*parse.File // of the files, in their order
	policy    *compile.Policy
	data      *store.Store
	evaluator *eval.Evaluator
	changed   source.Changed
	verified  Verified
	elsewhere Elsewhere // evaluates decisions; nil: the evaluator does
	reads     *inputReads
	printing  int                              // modules that call print()
	strict    *atomic.Pointer[diagnostic.List] // what [Generation.Strict] found; nil in it before
}

func newGeneration(s *successor, policy *compile.Policy, cfg eval.Config) *Generation {
	g := &Generation{
		number: 1, loadedAt: time.Now(), reading: s.reading, revision: s.reading.Revision(), parsed: s.parsed,
		policy: policy, data: s.data, evaluator: eval.New(policy, s.data, cfg), reads: &inputReads{},
		strict: new(atomic.Pointer[diagnostic.List]),
	}
	var before *source.Reading
	if s.previous != nil {
		g.number = s.previous.number + 1
		before, g.printing = s.previous.reading, s.previous.printing
	}
	g.printing = printingAfter(g.printing, s.edit)
	g.changed = s.reading.ChangedSince(before)
	return g
}

// Number counts the generations of one process from 1; a later one has a higher number.
func (g *Generation) Number() uint64 { return g.number }

// Numbered is the same generation under another number: that of the process for which this one evaluates.
func (g *Generation) Numbered(number uint64) *Generation {
	renamed := *g
	renamed.number = number
	return &renamed
}

// Revision is "sha256:" and a hash of the paths and bytes that are served: the same bytes give the same
// revision on every machine.
func (g *Generation) Revision() string { return g.revision }

// LoadedAt is when the generation was complete. An Engine serves it from then on, unless a [Check] takes time.
func (g *Generation) LoadedAt() time.Time { return g.loadedAt }

// Timeout bounds a decision whose context has no deadline.
func (g *Generation) Timeout() time.Duration { return g.evaluator.Timeout() }

// Changed lists the files that were added, altered or removed since the generation before, as slash paths
// relative to the policy directory, sorted. Not to be changed.
func (g *Generation) Changed() []string { return g.changed.All }

// Edit is Changed with what was added and what was removed. Not to be changed.
func (g *Generation) Edit() source.Changed { return g.changed }

// Root is the folder of the policy directory that holds the policy: "." or "rego".
func (g *Generation) Root() string { return g.reading.Root() }

// Files are the policy and data files, sorted by path. Not to be changed.
func (g *Generation) Files() []*source.File { return g.reading.Files() }

// Counts returns the number of modules and of data files.
func (g *Generation) Counts() (modules, dataFiles int) {
	for _, f := range g.reading.Files() {
		if f.Kind() == source.KindModule {
			modules++
		} else {
			dataFiles++
		}
	}
	return modules, dataFiles
}

// HasPackage reports whether some module declares the package at path.
func (g *Generation) HasPackage(path Path) bool {
	return g.policy.Graph().Package(unit.PathKey(path.ref())) != nil
}

// Data is the whole document that the data files make. Not to be changed.
func (g *Generation) Data() ast.Object { return g.data.Root() }
