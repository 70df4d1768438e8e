package replay

import (
	"slices"

	"defenseclaw/engine"
)

// path is what is known of the path of records.
type path struct {
	engine.Path
	reached  bool
	varies   bool  // the time or chance may decide, in one of the two generations
	records  int   // that are reached
	replayed []int // records
}

// stratum is the reached records of one kind of decision.
type stratum struct {
	records []int // the newest first

	weight          float64 // of all of them
	tried, replayed int     // the others of those that were tried are not replayable
	done, flips, sq float64 // weights of what was replayed, of its flips, and the sum of squares of the former
}

// pathOf looks a path up once for all its records.
func (r *run) pathOf(name string) *path {
	if p, ok := r.paths[name]; ok {
		return p
	}
	p := &path{}
	r.paths[name] = p
	var err error
	if p.Path, err = engine.ParsePath(name); err == nil {
		p.reached = r.review == nil || r.review.Reaches(p.Path)
	}
	if p.reached {
		p.varies = len(r.candidate.NondeterministicBuiltins(p.Path)) > 0 ||
			r.base != nil && len(r.base.NondeterministicBuiltins(p.Path)) > 0
	}
	return p
}

// worthAProgram is the number of records of a path for which a program is made at once: that takes about a millisecond,
// and a decision by it takes a few tens of microseconds less.
const worthAProgram = 64

// order lists the reached records: one of each stratum, then another one of each, so that a cut is still a picture.
func (r *run) order() []int {
	var names []string
	for i := range r.recs {
		p := r.pathOf(r.recs[i].Path)
		if !p.reached {
			continue
		}
		p.records++
		r.result.Reached++
		name := r.recs[i].Stratum()
		s := r.strata[name]
		if s == nil {
			s = &stratum{}
			r.strata[name] = s
			names = append(names, name)
		}
		s.records = append(s.records, i)
		s.weight += weightOf(&r.recs[i])
	}
	for _, s := range r.strata {
		slices.SortStableFunc(s.records, func(a, b int) int { return r.recs[b].Time.Compare(r.recs[a].Time) })
	}
	all := make([]int, 0, r.result.Reached)
	for round := 0; len(all) < r.result.Reached; round++ {
		for _, name := range names {
			if s := r.strata[name]; round < len(s.records) {
				all = append(all, s.records[round])
			}
		}
	}
	return all
}
