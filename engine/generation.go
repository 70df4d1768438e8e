package engine

import (
	"cmp"
	"sync"
	"time"

	"defenseclaw/engine/internal/parse"
	"defenseclaw/engine/internal/unit"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Generation is one complete loaded state: policy, data and what is needed to decide by them. It
// never changes, whatever happens to the files or to later generations, and stays usable for as
// long as somebody holds it. Safe for concurrent use.
type Generation struct {
	number   uint64
	loadedAt time.Time

	reading  *source.Reading
	revision string
	parsed   []*parse.File // of the files, in their order
	policy   *policy
	data     *store
	changed  []string

	timeout time.Duration // of a decision; 0: DecisionTimeout

	limiter *limiter                // of the engine; nil where nothing bounds the decisions
	often   func(*Generation, Path) // told once of a path that is asked for often; may be nil

	plans plans // the only part that grows: prepared queries, by path
}

func newGeneration(s *successor, policy *policy) *Generation {
	g := &Generation{
		number: 1, reading: s.reading, revision: s.reading.Revision(), policy: policy, data: s.data,
		parsed: s.parsed, plans: plans{mu: &sync.Mutex{}},
	}
	var before *source.Reading
	if s.previous != nil {
		g.number = s.previous.number + 1
		before = s.previous.reading
	}
	g.changed = s.reading.ChangedSince(before)
	return g
}

// Number counts the generations of one process from 1; a later one has a higher number.
func (g *Generation) Number() uint64 { return g.number }

// Revision is "sha256:" and a hash of the paths and bytes that are served: the same bytes give the
// same revision on every machine.
func (g *Generation) Revision() string { return g.revision }

// LoadedAt is when the generation began to serve; zero for one that [Load] made and nobody serves.
func (g *Generation) LoadedAt() time.Time { return g.loadedAt }

// Timeout is how long a decision may take whose context has no deadline of its own.
func (g *Generation) Timeout() time.Duration { return cmp.Or(g.timeout, DecisionTimeout) }

// Changed lists the files that were added, altered or removed since the generation before, as
// slash paths relative to the policy directory, sorted. Not to be changed.
func (g *Generation) Changed() []string { return g.changed }

// Root is the folder of the policy directory that the policy was found in: "." or "rego".
func (g *Generation) Root() string { return g.reading.Root() }

// Files are the policy and data files, sorted by path. Not to be changed.
func (g *Generation) Files() []*source.File { return g.reading.Files() }

// Counts tells how many modules and data files the generation was made of.
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
	return g.policy.graph.Package(unit.PathKey(path.ref())) != nil
}

// Data is the whole document that the data files make. Not to be changed.
func (g *Generation) Data() ast.Object { return g.data.root }
