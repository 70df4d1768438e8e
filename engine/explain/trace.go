package explain

import (
	"context"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/internal/turns"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// MaxReasons bounds an explanation, and maxOfPlace what it says of one condition: in a loop over a thousand elements, a
// condition fails a thousand times.
const (
	MaxReasons = 200
	maxOfPlace = 20
)

// stepsOfATurn is how many steps pass before another look at whether decisions should have the processor.
const stepsOfATurn = 64

// Kind is what became of a rule or a condition.
type Kind string

// The kinds.
const (
	Fired   Kind = "fired"   // the rule gave a value
	Default Kind = "default" // no rule gave a value, and this is the default
	Failed  Kind = "failed"  // the condition does not hold
)

// Reason is what became of one rule or condition. Equal ones appear once.
type Reason struct {
	Kind   Kind
	Rule   string // such as data.p.allow; empty: unknown
	File   string
	Line   int
	Text   string // the first line of it
	Values []Value
}

// Value is that of a variable, or of a part of the input, which a condition names.
type Value struct {
	Name string
	Text string // as Rego writes it, shortened where it is long; empty: undefined
}

// place is where in the policy something is.
type place struct {
	file               string
	row, column, bytes int
}

func placeOf(l *ast.Location) (place, bool) {
	if l == nil || l.File == "" {
		return place{}, false // of the query, or made by the compiler
	}
	return place{l.File, l.Row, l.Col, len(l.Text)}, true
}

// trace is told the steps of one evaluation, in one goroutine, and keeps what is explained. It needs no values of variables
// but those of conditions that fail, so it takes each from the evaluation while it stands there.
type trace struct {
	g     *engine.Generation
	input ast.Value
	end   context.CancelCauseFunc // of the evaluation
	turns context.Context         //nolint:containedctx // whose turns it works in; a tracer is handed none
	left  int                     // steps; below 0: it was ended

	reached map[place]bool

	explains bool
	reasons  []Reason
	known    map[string]bool
	ofPlace  map[place]int
	more     bool
}

func newTrace(g *engine.Generation, input ast.Value, explains bool) *trace {
	return &trace{g: g, input: input, explains: explains, reached: map[place]bool{}, known: map[string]bool{}, ofPlace: map[place]int{}}
}

// Enabled is [topdown.QueryTracer]'s.
func (*trace) Enabled() bool { return true }

// Config is [topdown.QueryTracer]'s.
func (*trace) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is [topdown.QueryTracer]'s.
func (t *trace) TraceEvent(e topdown.Event) {
	if t.left--; t.left < 0 {
		t.end(errSteps)
		return
	}
	if t.left%stepsOfATurn == 0 {
		_ = turns.Next(t.turns) // the evaluation itself ends with its context
	}
	switch node := e.Node.(type) {
	case *ast.Rule:
		if e.Op == topdown.ExitOp {
			t.reach(node.Head.Location)
			t.fired(node)
		}
	case *ast.Expr:
		switch e.Op {
		case topdown.EvalOp:
			t.reach(node.Location)
		case topdown.FailOp:
			t.failed(&e, node)
		}
	}
}

func (t *trace) reach(l *ast.Location) {
	if at, ok := placeOf(l); ok {
		t.reached[at] = true
	}
}

func (t *trace) fired(rule *ast.Rule) {
	if at, ok := placeOf(rule.Location); ok && t.wants(at) {
		r := Reason{Kind: Fired, Rule: nameOf(rule), File: at.file, Line: at.row, Text: firstLine(rule.Location)}
		if rule.Default {
			r.Kind, r.Text = Default, short(rule.Head.String())
		}
		t.add(at, r)
	}
}

func (t *trace) failed(e *topdown.Event, condition *ast.Expr) {
	if at, ok := placeOf(condition.Location); ok && t.wants(at) {
		t.add(at, Reason{Kind: Failed, File: at.file, Line: at.row, Text: firstLine(condition.Location), Values: t.values(e, condition)})
	}
}

// wants tells whether one more reason of a place is of interest.
func (t *trace) wants(at place) bool {
	switch {
	case !t.explains:
		return false
	case len(t.reasons) >= MaxReasons, t.ofPlace[at] >= maxOfPlace:
		t.more = true
		return false
	}
	return true
}

func (t *trace) add(at place, r Reason) {
	key := strings.Builder{}
	for _, part := range append([]string{string(r.Kind), at.file, string(rune(at.row)), r.Text}, textsOf(r.Values)...) {
		key.WriteString(part)
		key.WriteByte(0)
	}
	if t.known[key.String()] {
		return
	}
	t.known[key.String()] = true
	t.ofPlace[at]++
	t.reasons = append(t.reasons, r)
}

func textsOf(values []Value) (texts []string) {
	for _, v := range values {
		texts = append(texts, v.Name, v.Text)
	}
	return texts
}

// explained are the reasons, in the order of the evaluation, with the rule that each condition belongs to.
func (t *trace) explained() (reasons []Reason, more bool) {
	for i := range t.reasons {
		if r := &t.reasons[i]; r.Rule == "" {
			if rule := ruleAt(t.g.Module(r.File), r.Line); rule != nil {
				r.Rule = nameOf(rule)
			}
		}
	}
	return t.reasons, t.more
}

// ruleAt is the rule of a module that a line belongs to; nil: none.
func ruleAt(m *ast.Module, line int) (found *ast.Rule) {
	if m == nil {
		return nil
	}
	for _, r := range m.Rules {
		if r.Location == nil {
			continue
		}
		if last, _ := r.Location.End(); r.Location.Row <= line && line <= last {
			found = r
		}
	}
	return found
}

func nameOf(rule *ast.Rule) string {
	for rule.Module == nil && rule.Else != nil {
		rule = rule.Else
	}
	if rule.Module == nil {
		return ""
	}
	return rule.Ref().GroundPrefix().String()
}
