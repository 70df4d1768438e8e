package eval

import (
	"cmp"
	"slices"
	"time"
)

// Way says how a path is decided.
type Way struct {
	Path Path
	// Program says that a program decides; else OPA's evaluator does.
	Program bool
	// Since is when the program was made; zero: there is none.
	Since time.Time
	// Why there is no program, or why it is not used any more.
	Why string
	// Decisions are those of the path, however they were made.
	Decisions uint64
	// ByProgram are those of them that a program was asked for.
	ByProgram uint64
	// Asked are those of ByProgram that the program left to OPA's evaluator.
	Asked uint64
	// Compared are those that were made in both ways, and Differed those of them that had two answers.
	Compared, Differed uint64
}

// Ways says how the paths are decided that were asked for, the most asked for first.
func (e *Evaluator) Ways() []Way {
	// A snapshot: decisions go on while it is taken, so its numbers need not add up.
	var all []Way
	e.plans.byPath.Range(func(_, v any) bool {
		all = append(all, v.(*plan).way()) //nolint:errcheck,forcetypeassert // nothing else is stored
		return true
	})
	slices.SortFunc(all, func(a, b Way) int {
		return cmp.Or(cmp.Compare(b.Decisions, a.Decisions), slices.Compare(a.Path, b.Path))
	})
	return all
}

// way says how a path is decided, and why not by a program if it is not.
func (p *plan) way() Way {
	w := Way{Path: p.path, Decisions: p.uses.Load()}
	t := p.program.Load()
	if t == nil {
		w.Why = "it was not asked for often enough"
		if why := p.noProgram.Load(); why != nil {
			w.Why = *why
		}
		return w
	}
	w.Since, w.Compared, w.Differed = t.since, t.shadow.Load(), t.differs.Load()
	// One mode is enough for the path to have a program, if it is asked for in that: most are only ever asked for in one.
	unused := false
	for mode := range t.modes {
		use := &t.modes[mode]
		decisions := use.decisions.Load()
		w.ByProgram += decisions
		w.Asked += use.asked.Load()
		switch why := use.why.Load(); {
		case why != nil:
			w.Why = *why
		case decisions == 0:
			unused = true
		default:
			w.Program = true
		}
	}
	w.Program = w.Program || unused && w.Why == ""
	return w
}
