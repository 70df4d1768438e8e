package replay

import (
	"context"
	"errors"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// OverTime is the reason for which [Cover] leaves records out: the budget was used up before them.
const OverTime = "time"

// Cover makes recorded decisions again with a generation and says which lines they reach: one of each kind of decision, then
// another one of each, until all are made, or ctx or the budget ends, which is no error. Of the options it uses Timeout,
// Budget and Share.
//
// Every clause of a rule is evaluated, also those that an index of the rule excludes or that come after the one which gave
// the value: a condition is reached where it was false, however the evaluator may find that out.
//
// A record that was masked counts if it is answered as it was recorded: else it may not be what decided. The generation is
// not changed. Cover uses one goroutine; several may run at the same time.
func Cover(ctx context.Context, g *engine.Generation, recs []records.Record, o Options) (*review.Coverage, error) {
	if g == nil {
		return nil, errors.New("coverage: there is no policy")
	}
	r := newRun(nil, g, recs, o)
	c := &review.Coverage{Records: len(recs), LeftOut: map[string]int{}}
	all := newLines()
	order, told := r.order(), review.ProgressOf(ctx)
	for done, i := range order {
		if told != nil {
			told(review.Progress{Done: done, Total: len(order)})
		}
		if r.ended(ctx) {
			c.LeftOut[OverTime] += len(order) - done
			break
		}
		if reason := r.cover(ctx, &recs[i], all); reason == "" {
			c.Evaluated++
		} else {
			c.LeftOut[reason]++
		}
		r.pace(ctx)
	}
	if gone := len(recs) - len(order); gone > 0 { // their paths are none
		c.LeftOut[Gone] += gone
	}
	c.Files = all.of(g)
	return c, nil
}

// cover makes one record again, and returns why it does not count; empty: it does.
func (r *run) cover(ctx context.Context, rec *records.Record, all *lines) string {
	p := r.paths[rec.Path]
	if !r.candidate.CouldDefine(p.Path) {
		return Gone
	}
	input, err := inputOf(r.candidate, p.Path, rec.Input)
	if err != nil {
		return Failed
	}
	mine := newLines()
	value, err := r.candidate.Again(ctx, p.Path, input, engine.Circumstances{
		// A builtin that fails ends a decision that is strict, but which of the conditions came before it is chance.
		Time: rec.Time, ND: rec.Known(), Lenient: true, Tracer: mine, EveryClause: true,
	})
	if ctx.Err() != nil {
		return OverTime
	}
	if rec.Masked {
		a := answer{failed: err}
		if err == nil && value != nil {
			a.text, a.failed = r.candidate.AppendJSON(nil, value)
		}
		if was := recorded(rec); !a.same(&was) {
			return Masked
		}
	}
	all.add(mine)
	if errors.Is(err, engine.ErrDecisionTimeout) {
		return Timeout
	}
	return ""
}

// lines are places that evaluations reached. It is a tracer of one evaluation at a time.
type lines struct {
	seen   map[*ast.Location]bool // that rows has, for a loop meets each many times
	rows   map[place]bool
	valued map[place]bool // heads of rules that gave a value
}

func newLines() *lines {
	return &lines{seen: map[*ast.Location]bool{}, rows: map[place]bool{}, valued: map[place]bool{}}
}

func (l *lines) add(other *lines) {
	for at := range other.rows {
		l.rows[at] = true
	}
	for at := range other.valued {
		l.valued[at] = true
	}
}

// Enabled is [topdown.QueryTracer]'s.
func (l *lines) Enabled() bool { return true }

// Config is [topdown.QueryTracer]'s.
func (l *lines) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is [topdown.QueryTracer]'s.
func (l *lines) TraceEvent(e topdown.Event) {
	switch node := e.Node.(type) {
	case *ast.Expr:
		if e.Op == topdown.EvalOp {
			l.reach(node.Location)
		}
	case *ast.Rule:
		switch e.Op {
		case topdown.EnterOp:
			l.reach(node.Head.Location)
		case topdown.ExitOp:
			l.reach(node.Head.Location)
			l.valued[placeAt(node.Head.Location)] = true
		}
	}
}

func (l *lines) reach(at *ast.Location) {
	if at.HasFile() && !l.seen[at] {
		l.seen[at] = true
		l.rows[placeAt(at)] = true
	}
}

func placeAt(at *ast.Location) place {
	if at == nil {
		return place{}
	}
	return place{at.File, at.Row}
}

// of are all lines of a generation that can be reached, by what became of them.
func (l *lines) of(g *engine.Generation) (files []review.FileCoverage) {
	for _, f := range g.Files() { // by path
		m := g.Module(f.Path)
		if m == nil {
			continue
		}
		all, heads := map[place]bool{}, map[place]bool{}
		ast.WalkRules(m, func(rule *ast.Rule) bool {
			if rule.Head.Location.HasFile() {
				all[placeAt(rule.Head.Location)] = true
				heads[placeAt(rule.Head.Location)] = true
			}
			return false
		})
		ast.WalkExprs(m, func(x *ast.Expr) bool {
			if _, declares := x.Terms.(*ast.SomeDecl); !declares && x.Location.HasFile() {
				all[placeAt(x.Location)] = true
			}
			return false
		})
		found := review.FileCoverage{Path: f.Path}
		for at := range all {
			if !l.rows[at] {
				found.Missed = append(found.Missed, at.row)
				continue
			}
			found.Reached = append(found.Reached, at.row)
			if heads[at] && !l.valued[at] {
				found.NoValue = append(found.NoValue, at.row)
			}
		}
		slices.Sort(found.Missed)
		slices.Sort(found.Reached)
		slices.Sort(found.NoValue)
		files = append(files, found)
	}
	return files
}
