package api

import (
	"time"

	"defenseclaw/engine"
)

// Way says how the decisions of a path are made.
type Way struct {
	Path      string     `json:"path"`
	By        string     `json:"by"`              // program, or opa
	Since     *time.Time `json:"since,omitempty"` // when the program was made
	Why       string     `json:"why,omitempty"`   // there is no program, or it is not used any more
	Decisions uint64     `json:"decisions"`
	Programs  uint64     `json:"program_decisions"` // that a program was asked for
	Asked     uint64     `json:"left_to_opa"`       // of those, what it left to OPA's evaluator
	Compared  uint64     `json:"compared"`          // and what was decided in both ways
	Differed  uint64     `json:"differed"`          // with another answer
}

// maxWays bounds the paths of GET /policy/status: callers make them up.
const maxWays = 100

func waysOf(g *engine.Generation) []Way {
	ways := g.Ways()
	var all []Way
	for _, w := range ways[:min(len(ways), maxWays)] {
		one := Way{
			Path: w.Path.String(), By: "opa", Since: OptionalTime(w.Since), Why: w.Why, Decisions: w.Decisions,
			Programs: w.ByProgram, Asked: w.Asked, Compared: w.Compared, Differed: w.Differed,
		}
		if w.Program {
			one.By = "program"
		}
		all = append(all, one)
	}
	return all
}
