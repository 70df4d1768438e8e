package cli

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"defenseclaw/cmd/internal/lsp"
	"defenseclaw/cmd/internal/pack"

	"github.com/urfave/cli/v2"
)

func lspCommand() *cli.Command {
	return &cli.Command{
		Name:      "lsp",
		Usage:     "be a language server for the policy in DIR, or that of the folder that the editor has open, over standard input and output; docs/how-to/editors.md says how editors start it",
		ArgsUsage: "[DIR]",
		Flags: []cli.Flag{&cli.BoolFlag{
			Name: "stdio", Usage: "talk over standard input and output; that is what it does, and editors say so",
		}},
		Action:       serveEditor,
		OnUsageError: usageError,
	}
}

func serveEditor(c *cli.Context) error {
	if c.Args().Len() > 1 {
		return errors.New("expected at most one directory")
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	named := c.Args().First()
	return lsp.Serve(ctx, os.Stdin, os.Stdout, lsp.Config{ //nolint:forbidigo // messages of a protocol, not text for a terminal
		Root: func(folder string) (string, error) {
			if named != "" {
				return named, nil
			}
			if folder == "" {
				folder = "."
			}
			if found, err := pack.Find(folder); err == nil && found.Dir != "" {
				return filepath.Join(folder, found.Dir), nil
			}
			return folder, nil
		},
		Overlays: s.Overlays, Version: version(),
	})
}
