package explain

import (
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Lines are those of one file that hold a rule's head or a condition, each in one of the lists, ascending. A head counts as
// evaluated where its rule gave a value. A line with several conditions is in the first list to which one of them belongs;
// of a condition over several lines, the conditions within it count by themselves.
type Lines struct {
	Covered []int // the decision evaluated it
	// Excluded were reached, and what they belong to did not hold, as the rule index found without evaluating them: it compares
	// a part of the input with what the rule wants there. They are those that the decision evaluates without an index.
	Excluded []int
	// Skipped were evaluated only because every rule was tried: a rule before them gave the value already.
	Skipped []int
	Missed  []int // nothing evaluated it: what comes before it did not hold, or the document does not need it
}

// state is what became of a line; the better one wins where several have the same claim.
type state int

const (
	missed state = iota
	skipped
	excluded
	covered
)

// claim is what the node says that covers a line and the fewest others.
type claim struct {
	rows  int
	state state
}

// reaches are the places that the evaluations of one decision reached: the decision itself, it without the rule index, and
// one that tries every rule.
type reaches struct{ decision, noIndex, every map[place]bool }

// linesOf tells of the files that one of the evaluations reached.
//
// Package cover of OPA counts what is within a condition that was evaluated as evaluated, such as the body of an `every`
// over nothing; so it is not asked.
func linesOf(g *engine.Generation, r reaches) map[string]Lines {
	files := map[string]Lines{}
	for _, reached := range []map[place]bool{r.decision, r.noIndex, r.every} {
		for at := range reached {
			if _, known := files[at.file]; known {
				continue
			}
			if m := g.Module(at.file); m != nil {
				files[at.file] = linesIn(m, r)
			}
		}
	}
	return files
}

func linesIn(m *ast.Module, r reaches) (lines Lines) {
	claims, last := map[int]claim{}, 0
	note := func(l *ast.Location) {
		at, ok := placeOf(l)
		if !ok {
			return
		}
		end, _ := l.End()
		c := claim{rows: end - l.Row}
		switch {
		case r.decision[at]:
			c.state = covered
		case r.noIndex[at]:
			c.state = excluded
		case r.every[at]:
			c.state = skipped
		}
		for row := l.Row; row <= end; row++ {
			if known, ok := claims[row]; !ok || c.rows < known.rows || c.rows == known.rows && c.state > known.state {
				claims[row] = c
			}
		}
		last = max(last, end)
	}
	ast.WalkRules(m, func(rule *ast.Rule) bool {
		note(rule.Head.Location)
		return false
	})
	ast.WalkExprs(m, func(x *ast.Expr) bool {
		if _, declares := x.Terms.(*ast.SomeDecl); !declares {
			note(x.Location)
		}
		return false
	})
	for row := 1; row <= last; row++ {
		switch c, ok := claims[row]; {
		case !ok:
		case c.state == covered:
			lines.Covered = append(lines.Covered, row)
		case c.state == excluded:
			lines.Excluded = append(lines.Excluded, row)
		case c.state == skipped:
			lines.Skipped = append(lines.Skipped, row)
		default:
			lines.Missed = append(lines.Missed, row)
		}
	}
	return lines
}
