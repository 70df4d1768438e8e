package guard

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A guard that says too much hides what matters, and could fill the memory.
const (
	maxFindings = 100     // of one level of one guard
	maxMsgBytes = 4 << 10 // of each text
)

// ask evaluates the rules of one generation, level by level, so that an error of one does not hide what another says. They
// share one deadline.
func (g *Guards) ask(ctx context.Context, v *Verdict, of string, from *engine.Generation, input ast.Value) {
	bounded, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	for _, level := range Levels() {
		path := append(Package(), string(level))
		if !from.CouldDefine(path) {
			continue
		}
		v.Asked = true
		a := &answer{verdict: v, level: level, of: of, watch: newWatch(path)}
		value, err := from.Apart(bounded, path, input, a.watch)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.fault(g.kindOf(err), err)
		case value != nil:
			a.read(value)
		}
	}
}

func (g *Guards) kindOf(err error) Kind {
	switch {
	case errors.Is(err, engine.ErrDecisionTimeout):
		return TooLong
	case engine.IsCrash(err):
		return Crashed
	default:
		return Failed
	}
}

// answer is what one guard says at one level.
type answer struct {
	verdict *Verdict
	level   Level
	of      string
	watch   *watch
}

// fault notes an error, with the place that it names, or else that of the rule that was evaluated.
func (a *answer) fault(kind Kind, err error) {
	at := a.watch.now()
	var own *topdown.Error
	if errors.As(err, &own) && own.Location != nil && own.Location.File != "" {
		at = place{own.Location.File, own.Location.Row}
	}
	msg := err.Error()
	if kind == TooLong {
		msg = fmt.Sprintf("the rule %s took too long: %v", a.name(), err)
	}
	a.add(kind, msg, at)
}

func (a *answer) name() string { return append(Package(), string(a.level)).String() }

func (a *answer) add(kind Kind, msg string, at place) {
	a.verdict.Faults = append(a.verdict.Faults, Fault{
		Kind: kind, Level: a.level, Msg: cut(msg), Of: a.of, File: at.file, Row: at.row,
	})
}

// read takes in the members of a set or a list, such as data holds.
func (a *answer) read(value ast.Value) {
	var terms []*ast.Term
	switch v := value.(type) {
	case ast.Set:
		terms = v.Slice() // sorted
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { terms = append(terms, t) })
	default:
		a.add(Malformed, fmt.Sprintf("%s is %s: a set of texts, or of objects with msg, was expected", a.name(), kindOfValue(value)), a.watch.now())
		return
	}
	if len(terms) > maxFindings {
		a.verdict.Left += len(terms) - maxFindings
		terms = terms[:maxFindings]
	}
	for _, t := range terms {
		at := a.watch.of(t)
		f, wrong := findingOf(t.Value)
		if wrong != "" {
			a.add(Malformed, fmt.Sprintf("%s has a member that %s", a.name(), wrong), at)
			continue
		}
		f.Level, f.Of, f.File, f.Row = a.level, a.of, at.file, at.row
		a.verdict.Findings = append(a.verdict.Findings, f)
	}
}

// findingOf reads a text, or an object with msg and perhaps code and path. wrong completes a sentence about the member.
func findingOf(v ast.Value) (f Finding, wrong string) {
	var object ast.Object
	switch v := v.(type) {
	case ast.String:
		if v == "" {
			return f, "is an empty text"
		}
		f.Msg = cut(string(v))
		return f, ""
	case ast.Object:
		object = v
	default:
		return f, "is " + kindOfValue(v) + ": a text, or an object with msg, was expected"
	}
	for name, to := range map[string]*string{"msg": &f.Msg, "code": &f.Code, "path": &f.Path} {
		t := object.Get(ast.StringTerm(name))
		if t == nil {
			continue
		}
		text, ok := t.Value.(ast.String)
		if !ok {
			return f, fmt.Sprintf("has as %s %s: a text was expected", name, kindOfValue(t.Value))
		}
		*to = cut(string(text))
	}
	if f.Msg == "" {
		return f, "is an object without msg"
	}
	return f, ""
}

func kindOfValue(v ast.Value) string {
	switch v := v.(type) {
	case ast.Object:
		return "an object"
	case *ast.Array:
		return "an array"
	case ast.Set:
		return "a set"
	case ast.Boolean, ast.Number, ast.Null:
		return v.String()
	default:
		return "a text"
	}
}

// cut shortens a text to maxMsgBytes, between two characters.
func cut(s string) string {
	if len(s) <= maxMsgBytes {
		return s
	}
	end := maxMsgBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
