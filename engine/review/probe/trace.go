package probe

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// origin says where a value of an evaluation came from: a place of the input, or a call of a builtin of which some operand
// did.
type origin struct {
	at   place // of the input; nil with a call
	call string
	args []operand
	of   *origin   // with call elem: of the value that it is a part of
	key  ast.Value // with call elem
	was  ast.Value // the value
}

// elem is the call of an origin that is a part of another.
const elem = "[]"

// operand is a value that a condition looks at.
type operand struct {
	term *ast.Term // nil: undefined
	from *origin   // nil: not from the input
}

// siteKey names a condition of a policy: the same one in both generations, where its place is the same.
type siteKey struct {
	file     string
	row, col int
	op       string
	side     side
	via      uint32 // who called the function that it is in
}

// site is one evaluation of a condition.
type site struct {
	key     siteKey
	op      string
	expr    *ast.Expr
	args    []operand
	pairs   [][2]operand // that were unified: what an equality compared, or a head of a function asked for
	missing []place      // of the input, that the condition looks at and that are not there
	lookups []lookup
	body    ast.Body // that the condition is part of
	truth   int8     // 1 true, -1 false, 0 not known
	changed bool     // of a rule that the edit changed
	negated bool     // within a not
}

// lookup is a reference into data by a key that came from the input.
type lookup struct {
	ref ast.Ref // the ground part before
	key operand
}

// frame is one query of an evaluation.
type frame struct {
	parent  uint64
	rule    *ast.Rule
	body    ast.Body
	changed bool
	negated bool
	vars    map[ast.Var]*origin
	open    *site // evaluated, and it is not known yet how it ends
	call    *site // a call whose result may be bound now
	shape   uint64
	via     uint32
}

// watch follows one evaluation: it is told of each step, and keeps what conditions compared, and where that came from.
// Origins are found by the pointers of terms: the terms of the input are this evaluation's own.
type watch struct {
	side    side
	changed func(*ast.Location) bool

	places  map[*ast.Term]place
	derived map[*ast.Term]*origin
	frames  map[uint64]*frame
	sites   []*site
	byExpr  map[siteOf]*site
	rules   map[string]uint64 // values of rules by their path, hashed
	combos  map[uint64]bool   // outcomes of the conditions of changed rules, in the order of evaluation
	steps   int
	tooMany bool
	root    *ast.Term
	data    func(ast.Ref) ast.Value
}

type siteOf struct {
	query uint64
	expr  *ast.Expr
}

const (
	maxSites = 3000
	maxSteps = 60_000
)

// Enabled is [topdown.QueryTracer]'s.
func (w *watch) Enabled() bool { return true }

// Config is [topdown.QueryTracer]'s.
func (w *watch) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is [topdown.QueryTracer]'s.
func (w *watch) TraceEvent(e topdown.Event) {
	if w.steps++; w.tooMany || w.steps > maxSteps {
		w.tooMany = true
		return
	}
	switch e.Op {
	case topdown.EnterOp:
		w.enter(&e)
	case topdown.EvalOp:
		if expr, ok := e.Node.(*ast.Expr); ok {
			w.eval(&e, expr)
		}
	case topdown.UnifyOp:
		w.unify(&e)
	case topdown.FailOp:
		w.settle(&e, -1)
	case topdown.RedoOp:
		w.settle(&e, 1)
	case topdown.ExitOp:
		w.exit(&e)
	}
}

func (w *watch) frame(e *topdown.Event) *frame {
	f := w.frames[e.QueryID]
	if f == nil {
		f = &frame{parent: e.ParentID}
		if p := w.frames[e.ParentID]; p != nil {
			f.rule, f.changed, f.negated, f.body, f.via = p.rule, p.changed, p.negated, p.body, p.via
		}
		w.frames[e.QueryID] = f
	}
	return f
}

func (w *watch) enter(e *topdown.Event) {
	f := w.frame(e)
	switch node := e.Node.(type) {
	case *ast.Rule:
		f.rule, f.body = node, node.Body
		f.changed, f.negated = w.changed(node.Location), false
		if f.via = 0; len(node.Head.Args) > 0 {
			if p := w.frames[e.ParentID]; p != nil && p.open != nil {
				f.via = p.via*31 + uint32(p.open.key.row)*7 + uint32(p.open.key.col) //nolint:gosec // a hash
			}
		}
	case ast.Body:
		f.body = node
		if p := w.frames[e.ParentID]; p != nil && p.open != nil {
			if _, ok := p.open.expr.Terms.(*ast.Not); ok || p.open.expr.Negated {
				f.negated = true
			}
		}
	}
}

func (w *watch) exit(e *topdown.Event) {
	f := w.frame(e)
	w.bind(e, f)
	rule, ok := e.Node.(*ast.Rule)
	if !ok {
		return
	}
	value := rule.Head.Value
	h := uint64(14695981039346656037)
	mix := func(n uint64) { h = (h ^ n) * 1099511628211 }
	if value != nil {
		mix(hashOf(e.Plug(value)))
	}
	if rule.Head.Key != nil {
		mix(hashOf(e.Plug(rule.Head.Key)))
	}
	for _, arg := range rule.Head.Args {
		mix(hashOf(e.Plug(arg)))
	}
	w.rules[ruleName(rule)] += h // the order does not matter, and neither does who asks first
}

func ruleName(rule *ast.Rule) string {
	if rule.Module == nil {
		return rule.Head.Name.String()
	}
	return rule.Module.Package.Path.String() + "." + rule.Head.Ref().String()
}

func hashOf(t *ast.Term) uint64 {
	if t == nil || !t.IsGround() {
		return 7
	}
	return uint64(t.Value.Hash()) //nolint:gosec // bits
}

// eval is told of a condition before it is evaluated.
func (w *watch) eval(e *topdown.Event, expr *ast.Expr) {
	f := w.frame(e)
	w.bind(e, f)
	f.open, f.call = nil, nil
	if len(w.sites) >= maxSites {
		w.tooMany = true
		return
	}
	s := &site{expr: expr, body: f.body, changed: f.changed, negated: f.negated}
	if loc := e.Location; loc != nil {
		s.key = siteKey{file: loc.File, row: loc.Row, col: loc.Col, side: w.side, via: f.via}
	}
	switch terms := expr.Terms.(type) {
	case []*ast.Term:
		s.op = terms[0].Value.String()
		for _, t := range terms[1:] {
			s.args = append(s.args, w.operand(e, f, s, t))
		}
		if s.op != "eq" {
			f.call = s
		}
	case *ast.Term:
		s.op = "truth"
		s.args = []operand{w.operand(e, f, s, terms)}
	case *ast.SomeDecl:
		return
	default:
		s.op = "block"
	}
	s.key.op = s.op
	w.sites = append(w.sites, s)
	w.byExpr[siteOf{e.QueryID, expr}] = s
	f.open = s
}

// operand resolves an operand as far as it is known before the evaluation.
func (w *watch) operand(e *topdown.Event, f *frame, s *site, t *ast.Term) operand {
	switch v := t.Value.(type) {
	case ast.Var:
		got := e.Plug(t)
		if _, unbound := got.Value.(ast.Var); unbound {
			if got.Value.Compare(ast.InputRootDocument.Value) == 0 {
				return w.root0()
			}
			return operand{}
		}
		from := w.originOf(got)
		if from == nil || from.call != "" {
			if by := w.varOrigin(f, v); by != nil {
				from = by
			}
		}
		return operand{got, from}
	case ast.Ref:
		return w.reference(e, f, s, v)
	case ast.Call, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		return operand{}
	}
	if t.IsGround() {
		return operand{t, w.originOf(t)}
	}
	if got := e.Plug(t); got.IsGround() {
		return operand{got, w.originOf(got)}
	}
	return operand{}
}

// unify notes what an equality compared, once references are resolved.
func (w *watch) unify(e *topdown.Event) {
	f := w.frames[e.QueryID]
	if f == nil || f.open == nil || len(f.open.pairs) >= 12 {
		return
	}
	expr, ok := e.Node.(*ast.Expr)
	if !ok {
		return
	}
	a, b := e.Plug(expr.Operand(0)), e.Plug(expr.Operand(1))
	if !isValue(a) || !isValue(b) {
		return
	}
	x, y := operand{a, w.originOf(a)}, operand{b, w.originOf(b)}
	if x.from == nil && y.from == nil {
		return
	}
	f.open.pairs = append(f.open.pairs, [2]operand{x, y})
}

func isValue(t *ast.Term) bool {
	switch t.Value.(type) {
	case ast.Ref, ast.Var, ast.Call:
		return false
	}
	return t.IsGround()
}

// settle is told how a condition ended.
func (w *watch) settle(e *topdown.Event, truth int8) {
	expr, ok := e.Node.(*ast.Expr)
	if !ok {
		return
	}
	s := w.byExpr[siteOf{e.QueryID, expr}]
	if s == nil || s.truth != 0 {
		return
	}
	s.truth = truth
	if f := w.frames[e.QueryID]; f != nil && s.changed {
		h := uint64(s.key.row)*31 + uint64(s.key.col)*7 + uint64(truth+1) //nolint:gosec // a hash
		f.shape = f.shape*1099511628211 + h
		w.combos[f.shape] = true
	}
}
