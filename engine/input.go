package engine

import (
	"sync"

	"defenseclaw/engine/internal/eval"
)

// inputReads holds what [Generation.ReadsInput] found: it asks for a walk over compiled rules, once for each question.
type inputReads struct {
	mu    sync.Mutex
	known map[string]bool // by path and field
}

// ReadsInput reports whether the document at path may depend on the input's field with this name: whether its rules, or
// rules that they refer to, read it, pass the input on as a whole or look up a field by a computed name. The answer no
// is certain. The first call for a path and a name takes time in proportion to these rules. Safe for concurrent use.
func (g *Generation) ReadsInput(path Path, name string) bool {
	question := path.String() + "\x00" + name
	g.reads.mu.Lock()
	defer g.reads.mu.Unlock()
	reads, known := g.reads.known[question]
	if !known {
		reads = eval.ReadsInput(g.policy.Compiler(), path.ref(), name)
		if g.reads.known == nil {
			g.reads.known = map[string]bool{}
		}
		g.reads.known[question] = reads
	}
	return reads
}
