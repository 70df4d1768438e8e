package replay

import (
	"context"
	"slices"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
)

// causes finds what makes flips: the deepest rule whose value differs while what it refers to agrees.
type causes struct {
	*run

	edited   map[string]bool // rules with a clause or a default that is not what it was
	rules    map[string]*definition
	canVary  map[string]bool // a definition, or something that it refers to, is not what it was
	names    map[*ast.Rule]string
	evalPath map[string]*path
}

// definition is what both generations know of a rule.
type definition struct {
	base, candidate []*ast.Rule
	function        bool
	refers          []string // names of rules that its clauses refer to, in their order, in either generation
	data            string   // a place of the data that differs and that its clauses may read; empty: none
}

func newCauses(r *run) *causes {
	c := &causes{
		run: r, edited: map[string]bool{}, rules: map[string]*definition{}, canVary: map[string]bool{}, names: map[*ast.Rule]string{},
		evalPath: map[string]*path{},
	}
	if r.review == nil {
		return c
	}
	for _, rule := range r.review.Rules {
		if rule.Change != review.Moved {
			c.edited[rule.Path] = true
		}
	}
	for _, d := range r.review.Defaults {
		c.edited[d.Path] = true
	}
	return c
}

// maxReferred bounds the rules that are looked at for one reference: data as a whole is all of them.
const maxReferred = 200

// define looks a rule up; nil if neither generation has it.
func (c *causes) define(name string) *definition {
	if d, ok := c.rules[name]; ok {
		return d
	}
	c.rules[name] = nil
	ref, err := ast.ParseRef(name)
	if err != nil {
		return nil
	}
	d := &definition{}
	named := func(rules []*ast.Rule) []*ast.Rule {
		return slices.DeleteFunc(slices.Clone(rules), func(rule *ast.Rule) bool { return nameOf(rule) != name })
	}
	d.base, d.candidate = named(c.base.RulesAt(ref)), named(c.candidate.RulesAt(ref))
	all := append(slices.Clone(d.candidate), d.base...)
	if len(all) == 0 {
		return nil
	}
	d.function = len(all[0].Head.Args) > 0
	for _, rule := range all {
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			if ref.HasPrefix(ast.DefaultRootRef) {
				c.refer(d, name, ref)
			}
			return false
		})
	}
	c.rules[name] = d
	return d
}

func (c *causes) refer(d *definition, self string, ref ast.Ref) {
	for _, name := range c.rulesAt(ref) {
		if name != self && !slices.Contains(d.refers, name) {
			d.refers = append(d.refers, name)
		}
	}
	if d.data == "" {
		d.data = c.changedData(ref)
	}
}

// rulesAt lists the names of rules that a reference may mean, in either generation.
func (c *causes) rulesAt(ref ast.Ref) (names []string) {
	for _, g := range []*engine.Generation{c.candidate, c.base} {
		rules := g.RulesAt(ref)
		for _, rule := range rules[:min(len(rules), maxReferred)] {
			if name := nameOf(rule); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// changedData is a place of the data that differs and that a reference may read.
func (c *causes) changedData(ref ast.Ref) string {
	ref = ref.GroundPrefix()
	for _, d := range c.review.Data {
		place, err := ast.ParseRef(d.Path)
		if err == nil && (place.HasPrefix(ref) || ref.HasPrefix(place)) {
			return d.Path
		}
	}
	return ""
}

// may reports whether a rule can have another value in the two generations.
func (c *causes) may(name string) bool {
	if known, ok := c.canVary[name]; ok {
		return known
	}
	c.canVary[name] = false // while it is looked at: rules do not refer to themselves
	d := c.define(name)
	varies := c.edited[name] || d != nil && (d.data != "" || slices.ContainsFunc(d.refers, c.may))
	c.canVary[name] = varies
	return varies
}

// comparison is one flip, evaluated on both sides.
type comparison struct {
	*causes
	rec     *records.Record
	was, is *exits // of the base and of the candidate
	visited map[string]bool
}

// of finds the cause of a flip.
func (c *causes) of(ctx context.Context, f *flip) review.Cause {
	rec := &c.recs[f.record]
	x := &comparison{causes: c, rec: rec, was: newExits(c.names), is: newExits(c.names), visited: map[string]bool{}}
	p := c.paths[rec.Path]
	x.observe(ctx, c.candidate, p, x.is)
	ref := refOf(p.Path)
	if c.base == nil {
		return x.answering(ref)
	}
	x.observe(ctx, c.base, p, x.was)
	if name := x.deepestOf(ctx, c.rulesAt(ref)); name != "" {
		return x.causeIn(name)
	}
	return review.Cause{Data: c.changedData(ref)}
}

// answering is the clause that gives the candidate's answer, or would: the deepest cause is not known without a base.
func (x *comparison) answering(ref ast.Ref) review.Cause {
	rules := x.candidate.RulesAt(ref)
	if len(rules) == 0 {
		return review.Cause{}
	}
	rule := rules[0]
	if held := clausesOf(x.is.rules[nameOf(rule)]); len(held) > 0 {
		rule = held[0]
	}
	return review.Cause{Rule: nameOf(rule), File: rule.Location.File, Row: rule.Location.Row}
}

func refOf(p engine.Path) ast.Ref {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, part := range p {
		ref = append(ref, ast.StringTerm(part))
	}
	return ref
}

func (x *comparison) observe(ctx context.Context, g *engine.Generation, p *path, into *exits) {
	if input, err := inputOf(g, p.Path, x.rec.Input); err == nil {
		x.again(ctx, g, x.rec, p, input, into)
	}
}

// deepestOf follows the first of the rules that differs down to what makes it differ; empty if none does.
func (x *comparison) deepestOf(ctx context.Context, names []string) string {
	for _, name := range names {
		if x.visited[name] || !x.may(name) {
			continue
		}
		x.visited[name] = true
		if !x.differs(ctx, name) {
			continue
		}
		if deeper := x.deepestOf(ctx, x.define(name).refers); deeper != "" {
			return deeper
		}
		return name
	}
	return ""
}

// differs compares the values of a rule for the input of the record, or the results that a function had on the way.
func (x *comparison) differs(ctx context.Context, name string) bool {
	d := x.define(name)
	if d == nil {
		return false
	}
	if d.function {
		return functionDiffers(x.was.rules[name], x.is.rules[name])
	}
	p := x.pathOfRule(name)
	if p == nil {
		return false
	}
	before, after := x.valueOf(ctx, x.base, p), x.valueOf(ctx, x.candidate, p)
	return !before.same(&after)
}

func (x *comparison) valueOf(ctx context.Context, g *engine.Generation, p *path) answer {
	input, err := inputOf(g, p.Path, x.rec.Input)
	if err != nil {
		return answer{failed: err}
	}
	return x.again(ctx, g, x.rec, p, input, nil)
}

// pathOfRule is nil for a rule that no path can name.
func (c *causes) pathOfRule(name string) *path {
	if p, ok := c.evalPath[name]; ok {
		return p
	}
	c.evalPath[name] = nil
	ref, err := ast.ParseRef(name)
	if err != nil {
		return nil
	}
	p := &path{varies: true}
	for _, part := range ref[1:] {
		s, ok := part.Value.(ast.String)
		if !ok {
			return nil
		}
		p.Path = append(p.Path, string(s))
	}
	c.evalPath[name] = p
	return p
}

// causeIn says which clause of a rule it is, or which data.
func (x *comparison) causeIn(name string) review.Cause {
	d := x.define(name)
	cause := review.Cause{Rule: name}
	at := func(rule *ast.Rule) review.Cause {
		cause.File, cause.Row = rule.Location.File, rule.Location.Row
		return cause
	}
	before, after := clausesOf(x.was.rules[name]), clausesOf(x.is.rules[name])
	appeared, gone := beyond(before, after), beyond(after, before)
	switch {
	case !x.edited[name] && d.data != "":
		cause.Data = d.data
	case len(appeared) > 0 && (x.isEdited(appeared[0]) || len(gone) == 0):
		return at(appeared[0])
	case len(gone) > 0:
		if rule, ok := x.editOf(name, gone[0]); ok {
			cause.File, cause.Row = rule.File, rule.Row
			return cause
		}
		if len(appeared) > 0 {
			return at(appeared[0])
		}
	}
	switch {
	case len(d.candidate) > 0:
		return at(first(d.candidate, x.isEdited))
	default:
		return at(d.base[0])
	}
}

// isEdited reports whether a clause of the candidate is not what it was.
func (c *causes) isEdited(rule *ast.Rule) bool {
	return slices.ContainsFunc(c.review.Rules, func(r review.Rule) bool {
		return r.Change != review.Moved && r.Change != review.Removed && r.File == rule.Location.File && r.Row == rule.Location.Row
	})
}

// editOf is what became of a clause of the base.
func (c *causes) editOf(name string, was *ast.Rule) (review.Rule, bool) {
	text := textOf(was)
	i := slices.IndexFunc(c.review.Rules, func(r review.Rule) bool {
		return r.Path == name && r.Change != review.Moved && r.Before == text
	})
	if i < 0 {
		return review.Rule{}, false
	}
	return c.review.Rules[i], true
}

// first is the first rule that is so, or the first of all.
func first(rules []*ast.Rule, is func(*ast.Rule) bool) *ast.Rule {
	if i := slices.IndexFunc(rules, is); i >= 0 {
		return rules[i]
	}
	return rules[0]
}
