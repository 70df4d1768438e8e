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
	// Skipped were evaluated only because every rule was tried. The decision left them out: the rule index excludes the rule,
	// by comparing a part of the input with what the rule wants there, or a rule before it gave the value already.
	Skipped []int
	Missed  []int // nothing evaluated it: what comes before it did not hold, or the document does not need it
}

// state is what became of a line; the better one wins where several have the same claim.
type state int

const (
	missed state = iota
	skipped
	covered
)

// claim is what the node says that covers a line and the fewest others.
type claim struct {
	rows  int
	state state
}

// linesOf tells of the files that an evaluation reached: the decision, or one that tries every rule.
//
// Package cover of OPA counts what is within a condition that was evaluated as evaluated, such as the body of an `every`
// over nothing; so it is not asked.
func linesOf(g *engine.Generation, decision, every map[place]bool) map[string]Lines {
	files := map[string]Lines{}
	for _, reached := range []map[place]bool{decision, every} {
		for at := range reached {
			if _, known := files[at.file]; known {
				continue
			}
			if m := g.Module(at.file); m != nil {
				files[at.file] = linesIn(m, decision, every)
			}
		}
	}
	return files
}

func linesIn(m *ast.Module, decision, every map[place]bool) (lines Lines) {
	claims, last := map[int]claim{}, 0
	note := func(l *ast.Location) {
		at, ok := placeOf(l)
		if !ok {
			return
		}
		end, _ := l.End()
		c := claim{rows: end - l.Row}
		switch {
		case decision[at]:
			c.state = covered
		case every[at]:
			c.state = skipped
		}
		for row := l.Row; row <= end; row++ {
			if known, ok := claims[row]; !ok || c.rows < known.rows || c.rows == known.rows && c.state > known.state {
				claims[row] = c
			}
		}
		last = max(last, end)
	}
	ast.WalkRules(m, func(r *ast.Rule) bool {
		note(r.Head.Location)
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
		case c.state == skipped:
			lines.Skipped = append(lines.Skipped, row)
		default:
			lines.Missed = append(lines.Missed, row)
		}
	}
	return lines
}
