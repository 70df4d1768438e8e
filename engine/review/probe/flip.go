package probe

import (
	"encoding/json"
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
)

// compare looks for answers that differ, in what an input gave on both sides.
func (s *search) compare(t *target, input any, values [2]ast.Value, failed [2]error) {
	if t.answer == nil {
		if failed[base] != nil || failed[candidate] != nil || !equal(values[base], values[candidate]) {
			s.verify(t.path, input)
		}
		return
	}
	x, isX := values[base].(ast.Object)
	y, isY := values[candidate].(ast.Object)
	broken := failed[base] != nil || failed[candidate] != nil
	for _, name := range t.answer {
		if !broken {
			key := ast.StringTerm(name)
			var a, b ast.Value
			if isX {
				a = valueAt(x, key)
			}
			if isY {
				b = valueAt(y, key)
			}
			if equal(a, b) {
				continue
			}
		}
		s.verify(append(slices.Clone(t.path), name), input)
	}
}

func equal(a, b ast.Value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Compare(b) == 0
}

// answer is one side's.
type answer struct {
	text   json.RawMessage // nil: undefined, or failed
	failed string
	value  ast.Value
}

func (a answer) key() string { return string(a.text) + "\x00" + a.failed }

// ask evaluates as a decision is evaluated: without a trace, and with errors of builtins as errors.
func (s *search) ask(path engine.Path, input any) (answers [2]answer, ok bool) {
	v := terms(input, place{}, map[*ast.Term]place{}).Value
	for sd, g := range s.sides {
		value, err := s.observe(g, path, v, engine.Observation{})
		switch {
		case s.ctx.Err() != nil || isTimeout(err):
			return answers, false
		case err != nil:
			answers[sd].failed = reasonOf(err)
		case value != nil:
			text, err := engine.InputJSON(value)
			if err != nil {
				text = []byte(textOf(value.String()))
			}
			answers[sd].text, answers[sd].value = text, value
		}
	}
	return answers, true
}

func isTimeout(err error) bool {
	_, again := engine.RetryAfter(err)
	return err != nil && (again || strings.Contains(err.Error(), engine.ErrDecisionTimeout.Error()))
}

// reasonOf is an error without the places of the source, which move with each edit.
func reasonOf(err error) string {
	text := err.Error()
	if i := strings.Index(text, "eval_"); i >= 0 {
		text = text[i:]
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func differs(a [2]answer) bool {
	if a[base].failed != "" && a[candidate].failed != "" {
		return false
	}
	return a[base].key() != a[candidate].key()
}

func (s *search) kind(path engine.Path, a [2]answer) review.FlipKind {
	name := strings.Join(path, "/")
	of := func(a answer) review.Outcome { return s.means.Of(s.ctx, name, a.text, a.failed != "") }
	return review.KindOf(of(a[base]), of(a[candidate]))
}

// verify evaluates an input once more as decisions are evaluated, twice, and makes it smaller. Of each document and kind of flip,
// one is kept.
func (s *search) verify(path engine.Path, input any) {
	a, ok := s.ask(path, input)
	if !ok || !differs(a) {
		return
	}
	kind := s.kind(path, a)
	key := path.String() + "\x00" + string(kind)
	if s.foundAt[key] || len(s.found) >= s.opts.MaxFound {
		return // of errors, at most two of a document
	}
	if again, ok := s.ask(path, input); !ok || again[base].key() != a[base].key() || again[candidate].key() != a[candidate].key() {
		return // chance decides, not the edit
	}
	s.foundAt[key] = true
	input, a = s.minimise(path, input, a, kind)
	to := &s.found
	if kind == review.ToError || kind == review.FromError {
		to = &s.errors
	}
	*to = append(*to, review.Flip{
		Path: strings.Join(path, "/"), Kind: kind, Input: json.RawMessage(textOf(input)),
		Before: a[base].text, After: a[candidate].text, BeforeError: a[base].failed, AfterError: a[candidate].failed,
	})
}

const maxMinimised = 60 // evaluations

// minimise takes members away for as long as the flip stays of its kind.
func (s *search) minimise(path engine.Path, input any, a [2]answer, kind review.FlipKind) (any, [2]answer) {
	left := maxMinimised
	for changed := true; changed; {
		changed = false
		places := placesOf(input)
		for _, at := range places {
			if len(at) == 0 {
				continue
			}
			if _, there := get(input, at); !there {
				continue
			}
			if left--; left < 0 {
				return input, a
			}
			smaller := set(input, at, absent{})
			if now, ok := s.ask(path, smaller); ok && differs(now) && s.kind(path, now) == kind {
				input, a, changed = smaller, now, true
				if _, isIndex := at[len(at)-1].(int); isIndex {
					break // what stood behind it has moved
				}
			}
		}
	}
	return input, a
}

// conditionsOf lists the conditions of a rule: of what the compiler made of one, the last.
func conditionsOf(rule *ast.Rule, sd side) (keys []siteKey) {
	for r := rule; r != nil; r = r.Else {
		var body []siteKey
		for _, expr := range r.Body {
			key, ok := conditionKey(expr, sd)
			if !ok {
				continue
			}
			if n := len(body); n > 0 && body[n-1].row == key.row && body[n-1].col == key.col {
				body[n-1] = key
				continue
			}
			body = append(body, key)
		}
		keys = append(keys, body...)
	}
	return keys
}

func conditionKey(expr *ast.Expr, sd side) (key siteKey, ok bool) {
	if expr.Location == nil || expr.Generated {
		return key, false
	}
	key = siteKey{file: expr.Location.File, row: expr.Location.Row, col: expr.Location.Col, side: sd}
	switch t := expr.Terms.(type) {
	case []*ast.Term:
		key.op = t[0].Value.String()
	case *ast.Term:
		if _, constant := t.Value.(ast.Boolean); constant {
			return key, false
		}
		key.op = "truth"
	default:
		key.op = "block"
	}
	return key, true
}
