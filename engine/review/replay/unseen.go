package replay

import (
	"fmt"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// place is that of a clause.
type place struct {
	file string
	row  int
}

// unseen is the clauses of changed rules that held in no record yet. It is a tracer until all of them have.
type unseen struct{ clauses map[place]bool }

// newUnseen watches for the clauses that a review names; it may be nil.
func newUnseen(r *review.Review, candidate *engine.Generation) *unseen {
	u := &unseen{clauses: map[place]bool{}}
	if r == nil {
		return u
	}
	for _, rule := range r.Rules {
		if rule.Change != review.Changed && rule.Change != review.Added {
			continue
		}
		m := candidate.Module(rule.File)
		if m == nil {
			continue
		}
		for _, clause := range m.Rules {
			if clause.Location.Row == rule.Row {
				for c := clause; c != nil; c = c.Else {
					u.clauses[placeOf(c)] = true
				}
			}
		}
	}
	return u
}

func placeOf(rule *ast.Rule) place { return place{rule.Location.File, rule.Location.Row} }

// wants reports whether a clause has not held yet. Watching for it makes an evaluation take longer.
func (u *unseen) wants() bool { return len(u.clauses) > 0 }

// Enabled is [topdown.QueryTracer]'s.
func (u *unseen) Enabled() bool { return true }

// Config is [topdown.QueryTracer]'s.
func (u *unseen) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is [topdown.QueryTracer]'s.
func (u *unseen) TraceEvent(e topdown.Event) {
	if e.Op != topdown.ExitOp {
		return
	}
	if rule, ok := e.Node.(*ast.Rule); ok {
		delete(u.clauses, placeOf(rule))
	}
}

// left lists the clauses as file:row, sorted.
func (u *unseen) left() []string {
	var all []place
	for p := range u.clauses {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b place) int {
		if a.file != b.file {
			return slices.Compare([]string{a.file}, []string{b.file})
		}
		return a.row - b.row
	})
	var names []string
	for _, p := range all {
		names = append(names, fmt.Sprintf("%s:%d", p.file, p.row))
	}
	return names
}
