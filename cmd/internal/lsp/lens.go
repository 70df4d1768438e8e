package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"defenseclaw/cmd/internal/dev"
	"defenseclaw/cmd/internal/regofmt"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
	"defenseclaw/engine/explain"
)

// The commands of code lenses. Each answers with a text, which the server also shows as a message.
const (
	commandTest = "defenseclaw.runTest"   // URI, name of the test
	commandTry  = "defenseclaw.try"       // path of the document, saved input
	commandWhy  = "defenseclaw.whyAtLine" // path of the document, saved input, URI, line from 1
)

// formatting answers with the formatted text; a text that does not parse is not changed.
func (s *server) formatting(_ context.Context, in documentParams) ([]textEdit, error) {
	p, err := s.current()
	if err != nil {
		return nil, err
	}
	rel, ok := p.rel(in.TextDocument.URI)
	p.mu.Lock()
	b := p.buffers[rel]
	p.mu.Unlock()
	if !ok || b == nil {
		return nil, errors.New("the file is not open, or lies outside the policy directory")
	}
	f := regofmt.Source(rel, []byte(b.text))
	if len(f.Problems) > 0 {
		return nil, fmt.Errorf("it is not formatted: %w", f.Problems)
	}
	if !f.Changed() {
		return []textEdit{}, nil
	}
	return []textEdit{{b.whole(), string(f.Formatted)}}, nil
}

// lenses offers to run each test, and to evaluate each rule with the inputs that are saved for its file.
func (s *server) lenses(_ context.Context, in documentParams) ([]codeLens, error) {
	p, err := s.current()
	if err != nil {
		return nil, err
	}
	rel, _ := p.rel(in.TextDocument.URI)
	var inputs []string
	if g := p.generation(); g != nil {
		inputs = dev.InputsOf(p.root, g, rel)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.parsed[rel]
	found := []codeLens{}
	if of == nil || of.names == nil {
		return found, nil
	}
	seen := map[string]bool{}
	for _, m := range of.mentions {
		if !m.defines {
			continue
		}
		at := of.doc.span(m.start, m.end)
		name := strings.TrimPrefix(m.path, of.pkg+".")
		if strings.HasPrefix(name, "test_") {
			found = append(found, codeLens{at, command{"run test", commandTest, []any{in.TextDocument.URI, m.path}}})
			continue
		}
		rule := of.ruleAt(m.start)
		if rule == nil || len(rule.Head.Args) > 0 || strings.HasSuffix(rel, "_test.rego") {
			continue
		}
		for _, input := range inputs {
			if !seen[m.path] {
				found = append(found, codeLens{at, command{"try with " + input, commandTry, []any{m.path, input}}})
			}
			if !rule.Default {
				found = append(found, codeLens{at, command{
					"decision at this line with " + input, commandWhy, []any{m.path, input, in.TextDocument.URI, at.Start.Line + 1},
				}})
			}
		}
		seen[m.path] = true
	}
	return found, nil
}

// execute runs the command of a code lens.
func (s *server) execute(ctx context.Context, in commandParams) (string, error) {
	p, err := s.current()
	if err != nil {
		return "", err
	}
	var text string
	switch in.Command {
	case commandTest:
		var uri, name string
		if err := arguments(in, &uri, &name); err != nil {
			return "", err
		}
		text, err = p.test(ctx, name)
	case commandTry, commandWhy:
		var path, input, uri string
		line := 0
		to := []any{&path, &input}
		if in.Command == commandWhy {
			to = append(to, &uri, &line)
		}
		if err := arguments(in, to...); err != nil {
			return "", err
		}
		text, err = p.try(ctx, path, input, uri, line)
	default:
		return "", fmt.Errorf("unknown command %q: expected %s, %s or %s", in.Command, commandTest, commandTry, commandWhy)
	}
	if err != nil {
		return "", err
	}
	_ = s.rpc.Notify(ctx, "window/showMessage", messageParams{3, text}) // the editor may have left
	return text, nil
}

func arguments(in commandParams, to ...any) error {
	if len(in.Arguments) != len(to) {
		return fmt.Errorf("%s: expected %d arguments, got %d", in.Command, len(to), len(in.Arguments))
	}
	for i := range to {
		if err := json.Unmarshal(in.Arguments[i], to[i]); err != nil {
			return fmt.Errorf("%s: argument %d: %w", in.Command, i+1, err)
		}
	}
	return nil
}

// loaded is the pack as it is now; an error says why it does not load.
func (p *pack) loaded(ctx context.Context) (*engine.Generation, error) {
	if _, err := p.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
		return nil, err
	}
	return p.generation(), nil
}

// test runs one test.
func (p *pack) test(ctx context.Context, name string) (string, error) {
	g, err := p.loaded(ctx)
	if err != nil {
		return "", err
	}
	suite := g.Tests()
	out, err := testrun.Run(ctx, suite, testrun.Options{Filter: "^" + regexp.QuoteMeta(name) + "$"})
	if err != nil {
		return "", err
	}
	if len(out.Results) == 0 {
		return "", fmt.Errorf("there is no test %s", name)
	}
	if failed := out.Failed(); len(failed) > 0 {
		if err := testrun.Explain(ctx, suite, failed); err != nil {
			return "", err
		}
		lines := []string{"FAIL " + name}
		for _, r := range failed {
			lines = append(lines, testrun.Why(r, report.AsIs)...)
			lines = append(lines, strings.TrimSpace(string(r.Output)))
		}
		return strings.TrimSpace(strings.Join(lines, "\n")), nil
	}
	if out.Skipped() > 0 {
		return "SKIPPED " + name, nil
	}
	return fmt.Sprintf("PASS %s (%s)", name, out.Results[0].Duration.Round(time.Microsecond)), nil
}

// try evaluates a document with a saved input. With a line, it says what became of the clause at that line.
func (p *pack) try(ctx context.Context, document, input, uri string, line int) (string, error) {
	g, err := p.loaded(ctx)
	if err != nil {
		return "", err
	}
	path, err := explain.ParsePath(document)
	if err != nil {
		return "", err
	}
	file, err := filepath.Localize(input)
	if err != nil {
		return "", fmt.Errorf("%s: %w", input, err)
	}
	text, err := os.ReadFile(filepath.Join(p.root, file))
	if err != nil {
		return "", err
	}
	answer, err := explain.Evaluate(ctx, g, path, text, explain.Options{Explain: true})
	if err != nil {
		return "", err
	}
	result := "undefined"
	if answer.Defined {
		result = string(answer.Result)
	}
	lines := []string{fmt.Sprintf("%s = %s with %s", document, result, input)}
	if answer.Failed != nil {
		lines = []string{fmt.Sprintf("%s with %s: %s", document, input, answer.Failed)}
	}
	from, to := 0, 0
	rel, ok := p.rel(uri)
	if line > 0 {
		if !ok {
			return "", errors.New("the file is not of this pack")
		}
		from, to = p.clause(rel, line)
	}
	for _, r := range answer.Reasons {
		if line > 0 && (r.File != rel || r.Line < from || r.Line > to) {
			continue
		}
		values := ""
		for _, v := range r.Values {
			values += fmt.Sprintf("  %s = %s", v.Name, v.Text)
		}
		lines = append(lines, fmt.Sprintf("%s:%d: %s: %s%s", r.File, r.Line, r.Kind, r.Text, values))
	}
	if line > 0 && len(lines) == 1 {
		lines = append(lines, fmt.Sprintf("the clause at line %d was not reached", line))
	}
	return strings.Join(lines, "\n"), nil
}

// clause is the lines of the clause that begins at a line.
func (p *pack) clause(rel string, line int) (from, to int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.parsed[rel]
	if of == nil || of.names == nil {
		return line, line
	}
	to = len(of.doc.starts)
	for _, r := range of.module.Rules {
		if row := r.Loc().Row; row > line {
			to = min(to, row-1)
		}
	}
	return line, to
}
