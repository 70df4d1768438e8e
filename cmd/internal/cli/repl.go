package cli

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/cmd/internal/repl"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"

	"github.com/urfave/cli/v2"
)

func replCommand() *cli.Command {
	return &cli.Command{
		Name:      "repl",
		Usage:     "evaluate queries line by line, with completion on the policy, which is loaded again when it changes",
		ArgsUsage: "[DIR]",
		Flags: append(dirFlags(),
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "read the input, JSON or YAML, from `FILE` (default: none)"},
			&cli.StringFlag{Name: "history", Usage: "keep earlier lines in `FILE`; an empty name keeps none (default: repl_history in the data directory)"},
			strictFlag(),
		),
		Action:       runREPL,
		OnUsageError: usageError,
	}
}

func runREPL(c *cli.Context) error {
	dir, first, err := openSource(c, c.Args().Slice()...)
	if err != nil {
		return err
	}
	cfg := repl.Config{Dir: dir, Strict: c.Bool("strict-builtin-errors"), History: historyFile(c)}
	cfg.Source = func() (fs.FS, error) {
		if first != nil {
			src := first
			first = nil
			return src, nil
		}
		_, src, err := openSource(c)
		return src, err
	}
	if dir == embeddedPack {
		cfg.Dir = ""
	} else if err := c.Set("rego-dir", dir); err != nil { // to be opened again
		return err
	}
	if file := c.String("input"); file != "" {
		text, err := explain.ReadInputFile(file, os.Stdin)
		if err == nil {
			cfg.Input, err = engine.ParseJSON(text)
		}
		if err != nil {
			return err
		}
	}
	session, err := repl.New(c.Context, cfg)
	if refused := new(engine.Refused); errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		printProblems(c.App.ErrWriter, dir, refused.Diagnostics)
		return errors.New(terminal.Sprintf("%s does not load: policy dev shows what is wrong as you edit", dir))
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGTERM)
	defer stop()
	stdout := os.Stdout //nolint:forbidigo // the editor's own escape sequences; package repl cleans the text between them
	return session.Run(ctx, os.Stdin, stdout, c.App.Writer)
}

// historyFile is where earlier lines are kept.
func historyFile(c *cli.Context) string {
	if c.IsSet("history") {
		return c.String("history")
	}
	s, err := resolve(c)
	if err != nil || s.DataDir == "" {
		return ""
	}
	return filepath.Join(s.DataDir, "repl_history")
}
