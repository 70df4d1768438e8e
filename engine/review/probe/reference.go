package probe

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func (w *watch) root0() operand { return operand{w.root, &origin{at: place{}, was: w.root.Value}} }

// varOrigin is what a call of this query, or of one around it, bound the variable to.
func (w *watch) varOrigin(f *frame, v ast.Var) *origin {
	for depth := 0; f != nil && depth < 10; depth++ {
		if o := f.vars[v]; o != nil {
			return o
		}
		next := w.frames[f.parent]
		if next == nil || next.rule != f.rule {
			return nil
		}
		f = next
	}
	return nil
}

func (w *watch) originOf(t *ast.Term) *origin {
	if at, ok := w.places[t]; ok {
		return &origin{at: at, was: t.Value}
	}
	return w.derived[t]
}

// reference walks a reference from its head: what is missing in the input is noted, and keys that came from the input.
func (w *watch) reference(e *topdown.Event, f *frame, s *site, ref ast.Ref) operand {
	var now operand
	switch {
	case ref[0].Value.Compare(ast.InputRootDocument.Value) == 0:
		now = w.root0()
	case ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0:
		w.dataReference(e, f, s, ref)
		return operand{}
	default:
		now = w.operand(e, f, s, ref[0])
	}
	if now.term == nil {
		return operand{}
	}
	for i, t := range ref[1:] {
		key := t
		if v, isVar := t.Value.(ast.Var); isVar {
			key = e.Plug(t)
			if from := w.varOrigin(f, v); from == nil {
				_ = from
			}
			if _, unbound := key.Value.(ast.Var); unbound { // iterates
				s.iterates(now, ref[i+2:])
				return operand{}
			}
		}
		next := child(now.term.Value, key)
		if next == nil {
			s.lacks(now, key, ref[i+2:])
			return operand{}
		}
		from := w.originOf(next)
		if from == nil && now.from != nil {
			from = &origin{call: elem, of: now.from, key: key.Value, was: next.Value}
		}
		now = operand{next, from}
	}
	return now
}

func child(v ast.Value, key *ast.Term) *ast.Term {
	switch v := v.(type) {
	case ast.Object:
		return v.Get(key)
	case *ast.Array:
		return v.Get(key)
	case ast.Set:
		if v.Contains(key) {
			return key
		}
	}
	return nil
}

// iterates notes that a collection of the input is walked and is empty, or is none.
func (s *site) iterates(now operand, rest ast.Ref) {
	if now.from == nil || now.from.at == nil && now.from.call != "" {
		return
	}
	switch v := now.term.Value.(type) {
	case *ast.Array:
		s.missing = append(s.missing, constants(now.from.at.with(v.Len()), rest))
	case ast.Object:
		if v.Len() == 0 {
			s.missing = append(s.missing, constants(now.from.at.with(0), rest))
		}
	default:
		s.missing = append(s.missing, constants(now.from.at.with(0), rest))
	}
}

func (s *site) lacks(now operand, key *ast.Term, rest ast.Ref) {
	if now.from == nil || now.from.call != "" {
		return
	}
	step := stepOf(key.Value)
	if step == nil {
		return
	}
	s.missing = append(s.missing, constants(now.from.at.with(step), rest))
}

func stepOf(v ast.Value) any {
	switch v := v.(type) {
	case ast.String:
		return string(v)
	case ast.Number:
		if n, ok := v.Int(); ok {
			return n
		}
	}
	return nil
}

// constants extends a place by the constant steps of a reference; one that varies is an element of a list.
func constants(at place, rest ast.Ref) place {
	for _, t := range rest {
		step := stepOf(t.Value)
		if _, isVar := t.Value.(ast.Var); isVar {
			step = 0
		}
		if step == nil {
			break
		}
		at = at.with(step)
	}
	return at
}

func (w *watch) dataReference(e *topdown.Event, f *frame, s *site, ref ast.Ref) {
	for i, t := range ref[1:] {
		if _, isVar := t.Value.(ast.Var); !isVar {
			continue
		}
		key := w.operand(e, f, s, t)
		if key.term == nil {
			return
		}
		if key.from != nil {
			ground := make(ast.Ref, 0, i+1)
			for _, g := range ref[:i+1] {
				ground = append(ground, e.Plug(g))
			}
			ground[0] = ast.DefaultRootDocument
			s.lookups = append(s.lookups, lookup{ground, key})
		}
	}
}
