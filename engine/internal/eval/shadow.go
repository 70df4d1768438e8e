package eval

import (
	"bytes"
	"context"
	"fmt"

	compiled "defenseclaw/engine/internal/eval/plan"
	"defenseclaw/engine/internal/jsonast"
)

// shadowsAll reports whether every decision is made in both ways. Then a path has its program at its first decision, as
// part of it: an answer that differs only in the first decisions would otherwise not be seen. And a program that is
// slower is kept: what is compared must not depend on the machine.
func (c *Config) shadowsAll() bool { return c.Shadow >= 1 && !c.NoPrograms }

// compareText makes a decision once more, as a text, where the caller asked for one: a comparison is of values, and would
// leave the program's own writer out. It reports whether the text is that of the value.
func (e *Evaluator) compareText(ctx context.Context, p *plan, t *program, r compiled.Result, d *decision) bool {
	if d.form != compiled.AsText || r.Value == nil || t.run.Varies {
		return true
	}
	// The text of the program's own value, not of OPA's: of equal numbers with several spellings each may have another.
	want, err := jsonast.Append(bytes.Clone(d.to), r.Value, d.maxBytes)
	call := d.call(ctx, e.cfg.maxDecisionBytes())
	call.To = bytes.Clone(d.to)
	written, err2 := t.run.Run(call)
	if err != nil || err2 != nil || bytes.Equal(want, written.Text) {
		return true // the caller finds the error anew
	}
	t.differs.Add(1)
	e.cfg.Counts.Differed.Add(1)
	t.giveUp("it writes its answer in another way than OPA's evaluator")
	if e.cfg.OnDifference != nil {
		err := fmt.Errorf("the program writes %s, and its value is %s", written.Text[len(d.to):], want[len(d.to):])
		e.cfg.OnDifference(Difference{Path: p.path, Mode: d.mode, Input: d.input.Value(), Program: r.Value, OPA: r.Value, Err: err})
	}
	return false
}

// Strict reports whether the mode of the decision was [Strict].
func (d Difference) Strict() bool { return d.Mode == Strict }
