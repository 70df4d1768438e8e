// Package repl answers queries line by line, for policy repl. Most callers need [New] and [Session.Run]; [Session.Line] is one
// line without a terminal.
package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"defenseclaw/cmd/internal/query"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/memfs"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Config says what a Session works on.
type Config struct {
	Dir     string                // that is watched; empty: nothing is
	Source  func() (fs.FS, error) // opens the policy
	Input   ast.Value             // nil: none
	Strict  bool                  // an error of a builtin is an error
	History string                // the file of earlier lines; empty: none is kept
}

// Session is what was said so far. Safe for concurrent use.
type Session struct {
	cfg Config

	mu      sync.Mutex
	base    *engine.Generation // the policy; nil: it never loaded
	with    *engine.Generation // and the rules of this session; base if there are none
	pkg     string
	imports []string
	rules   []string // as they were typed
	input   ast.Value
	explain bool
	asJSON  bool
}

// New loads the policy. An error is a *[engine.Refused], or of the source.
func New(ctx context.Context, cfg Config) (*Session, error) {
	s := &Session{cfg: cfg, input: cfg.Input}
	return s, s.load(ctx)
}

// load reads the policy anew, and compiles the rules of the session with it.
func (s *Session) load(ctx context.Context) error {
	src, err := s.cfg.Source()
	if err != nil {
		return err
	}
	g, err := engine.Load(ctx, src, s.base)
	if err != nil {
		return err
	}
	with, err := s.compile(ctx, g, s.rules)
	if err != nil {
		s.rules, with = nil, g // they do not go with the new policy
		err = fmt.Errorf("the rules that you defined are gone, since they do not compile any more: %w", err)
	}
	s.base, s.with = g, with
	return err
}

// sessionPackage has the rules of a session where no package was chosen.
const sessionPackage = "repl"

const sessionFile = "repl/typed.rego"

// compile makes a policy of g and rules.
func (s *Session) compile(ctx context.Context, g *engine.Generation, rules []string) (*engine.Generation, error) {
	if len(rules) == 0 {
		return g, nil
	}
	files := map[string][]byte{}
	for _, f := range g.Files() {
		files[f.Path] = f.Bytes
	}
	files[sessionFile] = []byte(s.module(rules))
	return engine.Load(ctx, memfs.New(maps.All(files)), g)
}

func (s *Session) module(rules []string) string {
	text := strings.Builder{}
	fmt.Fprintf(&text, "package %s\n", s.packageOrOwn())
	for _, i := range s.imports {
		fmt.Fprintf(&text, "import %s\n", i)
	}
	return text.String() + strings.Join(rules, "\n") + "\n"
}

func (s *Session) packageOrOwn() string {
	if s.pkg != "" {
		return s.pkg
	}
	return sessionPackage
}

// Reload reads the policy anew, and says on w what came of it. What served the session before goes on where it is refused.
func (s *Session) Reload(ctx context.Context, w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.base
	if err := s.load(ctx); err != nil {
		terminal.Fprintf(w, "the policy changed, and does not load; the one before answers:\n")
		s.say(w, err)
	} else if s.base != before {
		modules, data := s.base.Counts()
		terminal.Fprintf(w, "reloaded: %s, %s\n", terminal.Count(modules, "module"), terminal.Count(data, "data file"))
	}
}

// say prints an error.
func (s *Session) say(w io.Writer, err error) {
	var list diagnostic.List
	if refused := new(engine.Refused); errors.As(err, &refused) {
		list = report.In(s.cfg.Dir, refused.Diagnostics)
	}
	if len(list) > 0 || errors.As(err, &list) {
		report.Write(w, list)
		return
	}
	terminal.Fprintf(w, "Error: %s\n", terminal.Error(err))
}

// Line answers one line, and reports whether it ends the session.
func (s *Session) Line(ctx context.Context, line string, w io.Writer) (end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line = strings.TrimSpace(line)
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if word == "exit" || word == "quit" {
		return true
	}
	if c, ok := commands[word]; ok && c.takes(rest) {
		if err := c.run(ctx, s, rest, w); err != nil {
			s.say(w, err)
		}
		return false
	}
	if line != "" && !strings.HasPrefix(line, "#") {
		if err := s.answer(ctx, line, w); err != nil {
			s.say(w, err)
		}
	}
	return false
}

// answer defines a rule, sets the input or evaluates a query.
func (s *Session) answer(ctx context.Context, line string, w io.Writer) error {
	if text, ok := strings.CutPrefix(line, "input :="); ok {
		term, err := ast.ParseTerm(text)
		if err != nil || !term.IsGround() {
			return fmt.Errorf("input: expected a value, such as input := {\"role\": \"admin\"}")
		}
		if _, isRef := term.Value.(ast.Ref); isRef {
			return errors.New("input: expected a value without references")
		}
		s.input = term.Value
		return nil
	}
	if name, ok := ruleIn(line); ok {
		return s.define(ctx, name, line, w)
	}
	pkg := s.pkg
	if pkg == "" && len(s.rules) > 0 {
		pkg = sessionPackage
	}
	q, err := query.Parse(line, pkg, s.imports)
	if err != nil {
		return err
	}
	answer, err := query.Evaluate(ctx, s.with, line, q, s.input, query.Options{Strict: s.cfg.Strict, Explain: s.explain, Print: topdown.NewPrintHook(w), Place: report.PlaceIn(s.cfg.Dir)})
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	if s.asJSON {
		return answer.Write(w, "json")
	}
	return answer.Write(w, "pretty")
}

// ruleIn is the name of the rule that a line defines: with :=, if, contains or default, as in a module.
func ruleIn(line string) (name string, ok bool) {
	m, err := ast.ParseModuleWithOpts("", "package p\n"+line, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil || len(m.Rules) == 0 {
		return "", false
	}
	name = m.Rules[0].Head.Ref().String()
	if body, err := ast.ParseBodyWithOpts(line, ast.ParserOptions{RegoVersion: ast.RegoV1}); err == nil {
		// a query, too: x := 1 defines x, and every other is one
		return name, len(body) == 1 && body[0].IsAssignment() && len(body[0].With) == 0 && !strings.ContainsAny(line, "\n;")
	}
	return name, true
}

func (s *Session) define(ctx context.Context, name, line string, w io.Writer) error {
	rules := append(slices.Clone(s.rules), line)
	if again, is := strings.CutPrefix(line, name); is && strings.HasPrefix(strings.TrimSpace(again), ":=") { // another value in place of the one before
		rules = append(slices.DeleteFunc(slices.Clone(s.rules), func(r string) bool { n, _ := ruleIn(r); return n == name }), line)
	}
	with, err := s.compile(ctx, s.base, rules)
	if err != nil {
		return err
	}
	s.rules, s.with = rules, with
	terminal.Fprintf(w, "%s is defined in package %s\n", name, s.packageOrOwn())
	return nil
}
