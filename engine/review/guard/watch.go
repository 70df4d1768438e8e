package guard

import (
	"sync"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// place is where a rule is.
type place struct {
	file string
	row  int
}

// watch sees which clause of a rule gives which member. It is a tracer of one evaluation, which may outlive its caller:
// hence the lock.
type watch struct {
	rule ast.Ref // data.system.reload.deny

	mu      sync.Mutex
	mine    map[*ast.Rule]bool
	current place            // of the clause that was entered last
	by      map[string]place // the text of a member → the clause that gave it first
}

func newWatch(path engine.Path) *watch {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, name := range path {
		ref = append(ref, ast.StringTerm(name))
	}
	return &watch{rule: ref, mine: map[*ast.Rule]bool{}, by: map[string]place{}}
}

// Enabled is [topdown.QueryTracer]'s.
func (*watch) Enabled() bool { return true }

// Config is [topdown.QueryTracer]'s. Members are plugged here, and only those of guards.
func (*watch) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is [topdown.QueryTracer]'s.
func (w *watch) TraceEvent(e topdown.Event) {
	if e.Op != topdown.EnterOp && e.Op != topdown.ExitOp {
		return
	}
	rule, ok := e.Node.(*ast.Rule)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	mine, known := w.mine[rule]
	if !known {
		mine = rule.Ref().HasPrefix(w.rule)
		w.mine[rule] = mine
	}
	if !mine || rule.Location == nil {
		return
	}
	at := place{rule.Location.File, rule.Location.Row}
	w.current = at
	if e.Op == topdown.ExitOp && rule.Head.Key != nil {
		member := e.Plug(rule.Head.Key).Value.String()
		if _, known := w.by[member]; !known {
			w.by[member] = at
		}
	}
}

// now is the clause that was entered last.
func (w *watch) now() place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// of is the clause that gave a member first; where the rule gives all at once, that rule.
func (w *watch) of(member *ast.Term) place {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, known := w.by[member.Value.String()]; known {
		return at
	}
	return w.current
}
