package builtins

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// renderTemplate is strings.render_template, whose templates are programs: they loop and call each other. OPA's
// runs them without a limit. Ours looks at the deadline in every loop and every call, and counts the text.
func renderTemplate(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
	text, err := builtins.StringOperand(operands[0].Value, 1)
	if err != nil {
		return err
	}
	variables, err := builtins.ObjectOperand(operands[1].Value, 2)
	if err != nil {
		return err
	}
	if len(text) > MaxPattern {
		return tooLarge("the template", "bytes", MaxPattern)
	}
	if err := small(bctx, operands); err != nil {
		return err
	}
	var values map[string]any
	if err := ast.As(variables, &values); err != nil {
		return err
	}
	r := rendering{bctx: bctx}
	t, err := template.New("template").Funcs(r.functions()).Parse(string(text))
	if err != nil {
		return err
	}
	if err := watch(t); err != nil {
		return err
	}
	if err := t.Execute(&r, values); err != nil {
		if r.err != nil {
			return r.err
		}
		return err
	}
	return iter(ast.StringTerm(strings.ReplaceAll(r.out.String(), "<no value>", "<undefined>")))
}

// rendering is one execution of a template. It implements [io.Writer].
type rendering struct {
	bctx topdown.BuiltinContext
	out  bytes.Buffer
	made int   // bytes, with those of intermediate texts
	err  error // why it was ended
}

// Write is [io.Writer]'s.
func (r *rendering) Write(p []byte) (int, error) {
	if err := r.count(len(p)); err != nil {
		return 0, err
	}
	return r.out.Write(p)
}

func (r *rendering) count(n int) error {
	if r.made += n; r.made > MaxBytes {
		r.err = tooLarge("the result", "bytes", MaxBytes)
	} else if cancelled(r.bctx) {
		r.err = errCancelled
	}
	return r.err
}

// step is called at the begin of every loop's body and every template's, and writes nothing.
func (r *rendering) step() (string, error) { return "", r.count(0) }

const stepName = "_step"

// functions are text/template's that make text, and step.
func (r *rendering) functions() template.FuncMap {
	counted := func(f func(...any) string) func(...any) (string, error) {
		return func(args ...any) (string, error) {
			size := 0
			for _, a := range args {
				if s, ok := a.(string); ok {
					size += len(s)
				}
			}
			if err := r.count(size); err != nil {
				return "", err
			}
			s := f(args...)
			return s, r.count(len(s))
		}
	}
	return template.FuncMap{
		stepName:   r.step,
		"print":    counted(fmt.Sprint),
		"println":  counted(fmt.Sprintln),
		"html":     counted(template.HTMLEscaper),
		"js":       counted(template.JSEscaper),
		"urlquery": counted(template.URLQueryEscaper),
		"printf": func(format string, args ...any) (string, error) {
			longest := MaxDigits
			for _, a := range args {
				if s, ok := a.(string); ok {
					longest = max(longest, len(s))
				}
			}
			if err := formatted(format, longest); err != nil {
				return "", err
			}
			s := fmt.Sprintf(format, args...)
			return s, r.count(len(s))
		},
		"call": func(...any) (string, error) { return "", errors.New("a template has no functions to call") },
	}
}

// watch puts a call of step into every template and every loop of one, and refuses templates that call
// themselves: text/template recurses 100,000 levels deep.
func watch(t *template.Template) error {
	calls := map[string][]string{}
	for _, one := range t.Templates() {
		if one.Tree != nil {
			calls[one.Name()] = watchList(one.Root, nil)
		}
	}
	const underWay, done = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case underWay:
			return refusal(fmt.Sprintf("the template %q calls itself", name))
		case done:
			return nil
		}
		state[name] = underWay
		for _, callee := range calls[name] {
			if err := visit(callee); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for name := range calls {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// watchList puts a call of step in front of the nodes, and returns calls with the templates that they call.
func watchList(l *parse.ListNode, calls []string) []string {
	if l == nil {
		return calls
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			calls = watchList(n.ElseList, watchList(n.List, calls))
		case *parse.RangeNode:
			calls = watchList(n.ElseList, watchList(n.List, calls))
		case *parse.WithNode:
			calls = watchList(n.ElseList, watchList(n.List, calls))
		case *parse.TemplateNode:
			calls = append(calls, n.Name)
		}
	}
	step := template.Must(template.New("").Funcs(template.FuncMap{stepName: func() string { return "" }}).Parse("{{" + stepName + "}}"))
	l.Nodes = append([]parse.Node{step.Root.Nodes[0]}, l.Nodes...)
	return calls
}
