package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/review"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Gap is an answer that allows because a field is missing, where a condition is negated: "not input.x in data.y" is
// undefined, and not true, without x.
type Gap struct {
	Path    string // of the answer, as in a decision log
	Missing string // such as input.person.name
	File    string // of the negated condition
	Row     int
	Column  int
	Text    string          // the line, as its author wrote it
	Denied  json.RawMessage // an input with the field that is denied
	Allowed json.RawMessage // the same one without the field
	Hint    string          // what to write instead
}

// Message says it in one sentence.
func (g Gap) Message() string {
	return fmt.Sprintf("%s allows when %s is missing: %s is denied, and %s is not", g.Path, g.Missing, g.Denied, g.Allowed)
}

// Open searches one generation for gaps, as [Run] searches two for differences. Each that it returns was evaluated with the
// field and without it; of a negated condition and a field, one is returned. None is no proof that there is none. The
// error is as [Run]'s.
func Open(ctx context.Context, g *engine.Generation, seeds []Seed, opts Options) ([]Gap, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	alone := g.Alone(timeLimit)
	c := &change{packages: packagesOf(g)}
	s := newSearch(ctx, [2]*engine.Generation{alone, alone}, c, opts)
	s.gaps = map[string]Gap{}
	if err := s.plant(seeds); err != nil {
		return nil, err
	}
	s.run()
	var found []Gap
	for _, gap := range s.gaps {
		found = append(found, gap)
	}
	slices.SortFunc(found, func(a, b Gap) int {
		return strings.Compare(fmt.Sprintf("%s:%9d:%s", a.File, a.Row, a.Missing), fmt.Sprintf("%s:%9d:%s", b.File, b.Row, b.Missing))
	})
	return found, ctx.Err()
}

// packagesOf lists the packages of a generation, each once; those below system answer the program, and no caller.
func packagesOf(g *engine.Generation) (packages []ast.Ref) {
	seen := map[string]bool{}
	for _, f := range g.Files() {
		m := g.Module(f.Path)
		if m == nil || seen[m.Package.Path.String()] {
			continue
		}
		seen[m.Package.Path.String()] = true
		if path, ok := pathOf(m.Package.Path); ok && len(path) > 0 && path[0] != "system" {
			packages = append(packages, m.Package.Path)
		}
	}
	return packages
}

// maxRemoved bounds the fields that are taken out of one input.
const maxRemoved = 12

// gapsOf takes fields away that negated conditions look at, where an answer denies.
func (s *search) gapsOf(t *target, input any, value ast.Value, w *watch) {
	if len(s.gaps) >= s.opts.MaxFound || value == nil {
		return
	}
	var denied []string
	for _, name := range t.names() {
		if s.outcomeOf(t, name, value) == review.OutcomeDeny {
			denied = append(denied, name)
		}
	}
	if len(denied) == 0 {
		return
	}
	tried := map[string]bool{}
	for _, at := range w.sites {
		if !at.negates() {
			continue
		}
		for _, field := range fieldsOf(at) {
			key := at.where() + field.key()
			if tried[field.key()] || len(tried) >= maxRemoved {
				continue
			}
			if _, known := s.gaps[key]; known {
				continue
			}
			tried[field.key()] = true
			s.remove(t, input, field, denied)
		}
	}
}

func (t *target) names() []string {
	if t.answer == nil {
		return []string{""}
	}
	return t.answer
}

func (t *target) document(name string) engine.Path {
	if name == "" {
		return t.path
	}
	return append(slices.Clone(t.path), name)
}

// outcomeOf is what the value of a target means at one of its answers.
func (s *search) outcomeOf(t *target, name string, value ast.Value) review.Outcome {
	if name != "" {
		o, ok := value.(ast.Object)
		if !ok {
			return review.OutcomeOther
		}
		value = valueAt(o, ast.StringTerm(name))
	}
	var text json.RawMessage
	if value != nil {
		var err error
		if text, err = engine.InputJSON(value); err != nil {
			return review.OutcomeOther
		}
	}
	return s.means.Of(s.ctx, strings.Join(t.document(name), "/"), text, false)
}

// remove evaluates an input without a field, and notes which negated condition that leaves undefined, where an answer that was
// denied is allowed then.
func (s *search) remove(t *target, input any, field place, denied []string) {
	without := set(input, field, absent{})
	for _, name := range denied {
		path := t.document(name)
		was, okWas := s.ask(path, input)
		is, okIs := s.ask(path, without)
		if !okWas || !okIs {
			continue
		}
		means := func(a answer) review.Outcome {
			return s.means.Of(s.ctx, strings.Join(path, "/"), a.text, a.failed != "")
		}
		if means(was[base]) != review.OutcomeDeny || means(is[base]) != review.OutcomeAllow {
			continue
		}
		if at := s.undefinedAt(path, without, field); at != nil {
			s.note(at, path, field, input)
		}
	}
}

// undefinedAt is the negated condition that a missing field leaves undefined.
func (s *search) undefinedAt(path engine.Path, input any, field place) *site {
	places := map[*ast.Term]place{}
	root := terms(input, place{}, places)
	w := s.newWatch(base, root, places)
	if _, err := s.observe(s.sides[base], path, root.Value, engine.Observation{Steps: w, EveryRule: true}); err != nil {
		return nil
	}
	for _, at := range w.sites {
		if at.negates() && slices.ContainsFunc(at.missing, func(m place) bool { return m.key() == field.key() || strings.HasPrefix(m.key(), field.key()+".") }) {
			return at
		}
	}
	return nil
}

func (s *search) note(at *site, path engine.Path, field place, denied any) {
	key := at.where() + field.key()
	if _, known := s.gaps[key]; known {
		return
	}
	denied = s.smallest(path, denied, field)
	gap := Gap{
		Path: strings.Join(path, "/"), Missing: "input" + referenceOf(field), File: at.key.file, Row: at.key.row, Column: at.key.col,
		Denied: json.RawMessage(textOf(denied)), Allowed: json.RawMessage(textOf(set(denied, field, absent{}))),
	}
	if at.negated {
		gap.Hint = "ask for the field first, by a condition of its own such as is_string(" + gap.Missing + ")"
	} else {
		gap.Hint = hintUndefined
	}
	for _, f := range s.sides[base].Files() {
		if lines := strings.Split(string(f.Bytes), "\n"); f.Path == gap.File && gap.Row <= len(lines) {
			gap.Text = lines[gap.Row-1]
		}
	}
	s.gaps[key] = gap
}

// smallest takes members away for as long as the field makes the difference.
func (s *search) smallest(path engine.Path, input any, field place) any {
	opens := func(v any) bool {
		was, okWas := s.ask(path, v)
		is, okIs := s.ask(path, set(v, field, absent{}))
		means := func(a answer) review.Outcome {
			return s.means.Of(s.ctx, strings.Join(path, "/"), a.text, a.failed != "")
		}
		return okWas && okIs && means(was[base]) == review.OutcomeDeny && means(is[base]) == review.OutcomeAllow
	}
	for _, at := range placesOf(input) {
		if _, there := get(input, at); len(at) == 0 || !there || strings.HasPrefix(field.key(), at.key()) {
			continue
		}
		if _, isIndex := at[len(at)-1].(int); isIndex {
			continue // what stands behind it would move
		}
		if smaller := set(input, at, absent{}); opens(smaller) {
			input = smaller
		}
	}
	return input
}

func (s *site) where() string { return fmt.Sprintf("%s:%d", s.key.file, s.key.row) }

// referenceOf writes a place as a reference's end.
func referenceOf(at place) string {
	var b strings.Builder
	for _, step := range at {
		switch step := step.(type) {
		case string:
			if ast.IsVarCompatibleString(step) {
				b.WriteString("." + step)
			} else {
				fmt.Fprintf(&b, "[%q]", step)
			}
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		}
	}
	return b.String()
}

// negates reports whether a condition stands within a not, with something to compare, or was made for one that does. A
// negated is_string or the like asks whether the field is there, so it has thought of its lack.
func (s *site) negates() bool {
	if s.negated && (s.op == "truth" || strings.HasPrefix(s.op, "is_")) {
		return false
	}
	v, ok := local(s.expr)
	if !ok || !s.expr.Generated {
		return s.negated
	}
	at := slices.Index(s.body, s.expr)
	for _, next := range s.body[at+1:] {
		if !mentions(next, v) {
			continue
		}
		if terms, isCall := next.Terms.([]*ast.Term); isCall && strings.HasPrefix(terms[0].Value.String(), "is_") {
			return false
		}
		_, isNot := next.Terms.(*ast.Not)
		return s.negated || isNot || next.Negated
	}
	return s.negated
}

func mentions(expr *ast.Expr, v ast.Var) bool {
	found := false
	ast.WalkVars(expr, func(x ast.Var) bool {
		found = found || x == v
		return found
	})
	return found
}

// fieldsOf are the places of the input that a condition looks at.
func fieldsOf(s *site) (fields []place) {
	for _, a := range append(slices.Clone(s.args), pairedOf(s)...) {
		if a.from != nil && a.from.call == "" && len(a.from.at) > 0 {
			fields = append(fields, a.from.at)
		}
	}
	return fields
}

func pairedOf(s *site) (all []operand) {
	for _, p := range s.pairs {
		all = append(all, p[0], p[1])
	}
	return all
}
