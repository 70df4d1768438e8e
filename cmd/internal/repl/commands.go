package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/cmd/internal/query"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
)

// command is a word that is not evaluated.
type command struct {
	argument, help string
	optional       bool // it may do without its argument
	run            func(ctx context.Context, s *Session, argument string, w io.Writer) error
}

// takes reports whether a line is this command, and not a query such as input == 1.
func (c command) takes(argument string) bool {
	if argument == "" {
		return c.argument == "" || c.optional
	}
	return c.argument != "" && !strings.ContainsAny(argument[:1], ":=<>!|&+*%[") && !strings.HasPrefix(argument, "with ") && !strings.HasPrefix(argument, "in ")
}

var commands map[string]command

func init() { // help lists them
	commands = map[string]command{
		"help":    {help: "this list", run: help},
		"exit":    {help: "end (also quit and Ctrl-D)"},
		"package": {argument: "PATH", help: "queries stand in this package; without PATH, in none", optional: true, run: setPackage},
		"import":  {argument: "PATH [as NAME]", help: "queries have this import", run: addImport},
		"input":   {argument: "FILE", help: "read the input, JSON or YAML; input := VALUE sets it, input alone shows it", run: readInput},
		"explain": {help: "say why, or stop saying it", run: func(_ context.Context, s *Session, _ string, w io.Writer) error {
			s.explain = !s.explain
			fmt.Fprintf(w, "explanations: %t\n", s.explain)
			return nil
		}},
		"json": {help: "print results as JSON", run: func(_ context.Context, s *Session, _ string, _ io.Writer) error {
			s.asJSON = true
			return nil
		}},
		"pretty": {help: "print results for people", run: func(_ context.Context, s *Session, _ string, _ io.Writer) error {
			s.asJSON = false
			return nil
		}},
		"deps":  {argument: "QUERY", help: "what it depends on, and who refers to it", run: deps},
		"show":  {help: "package, imports and rules of this session", run: show},
		"unset": {argument: "NAME", help: "forget a rule that was defined; input, package, imports or rules: all of that", run: unset},
	}
}

func help(_ context.Context, _ *Session, _ string, w io.Writer) error {
	fmt.Fprint(w, "A line is a query, such as data.app.allow, a rule to define, such as x := 1 or ok if x > 0, or one of:\n")
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		c := commands[name]
		fmt.Fprintf(w, "  %-24s %s\n", strings.TrimSpace(name+" "+c.argument), c.help)
	}
	fmt.Fprint(w, "Tab completes, the arrow keys find earlier lines. A line goes on while a bracket is open.\n")
	return nil
}

func setPackage(ctx context.Context, s *Session, path string, _ io.Writer) error {
	path = strings.TrimPrefix(path, "data.")
	if _, err := query.Parse("true", path, nil); err != nil {
		return err
	}
	before := s.pkg
	s.pkg = path
	return s.again(ctx, func() { s.pkg = before })
}

func addImport(ctx context.Context, s *Session, path string, _ io.Writer) error {
	if _, err := query.Parse("true", "", []string{path}); err != nil {
		return err
	}
	before := s.imports
	if !slices.Contains(before, path) {
		s.imports = append(slices.Clone(before), path)
	}
	return s.again(ctx, func() { s.imports = before })
}

// again compiles the rules of the session where package or imports are others, and undoes that where they do not compile.
func (s *Session) again(ctx context.Context, undo func()) error {
	with, err := s.compile(ctx, s.base, s.rules)
	if err != nil {
		undo()
		return err
	}
	s.with = with
	return nil
}

func readInput(_ context.Context, s *Session, file string, _ io.Writer) error {
	text, err := explain.ReadInputFile(file, strings.NewReader(""))
	if err != nil {
		return err
	}
	s.input, err = engine.ParseJSON(text)
	return err
}

func deps(_ context.Context, s *Session, text string, w io.Writer) error {
	found, err := query.DepsOf(s.with, text)
	if err != nil {
		return err
	}
	return found.Write(w, report.PlaceIn(s.cfg.Dir))
}

func show(_ context.Context, s *Session, _ string, w io.Writer) error {
	terminal.Fprintf(w, "%s\n", terminal.Text(strings.TrimSpace(s.module(s.rules))))
	return nil
}

func unset(ctx context.Context, s *Session, name string, _ io.Writer) error {
	pkg, imports, rules := s.pkg, s.imports, s.rules
	switch name {
	case "input":
		s.input = nil
		return nil
	case "package":
		s.pkg = ""
	case "imports":
		s.imports = nil
	case "rules":
		s.rules = nil
	default:
		kept := slices.DeleteFunc(slices.Clone(s.rules), func(r string) bool { n, _ := ruleIn(r); return n == name })
		if len(kept) == len(s.rules) {
			return errors.New("no rule of this name was defined: show lists them")
		}
		s.rules = kept
	}
	return s.again(ctx, func() { s.pkg, s.imports, s.rules = pkg, imports, rules })
}
