package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"defenseclaw/api"
	"defenseclaw/engine"
	"defenseclaw/policies"

	"github.com/urfave/cli/v2"
)

func validateCommand() *cli.Command {
	return &cli.Command{
		Name:  "validate",
		Usage: "parse, compile and check a policy directory; all problems at once",
		Flags: append(dirFlags(), &cli.StringFlag{
			Name: "format", Value: "pretty", Usage: "print problems as `FORMAT`: pretty, line, json, sarif or github",
		}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			print, ok := formats[c.String("format")]
			if !ok {
				return fmt.Errorf("--format is %q: pretty, line, json, sarif or github was expected", c.String("format"))
			}
			dir, src, err := source(c)
			if err != nil {
				return err
			}
			g, err := engine.Load(c.Context, src, nil)
			found := verdict{generation: g}
			if err == nil {
				found.diagnostics, err = checkSchema(g)
			} else {
				found.refused = &engine.Refused{Err: err}
				errors.As(err, &found.refused)
				found.diagnostics, err = checkDraft(c.Context, src)
				found.diagnostics = inOrder(append(api.Diagnostics(found.refused.Diagnostics), found.diagnostics...))
			}
			if err != nil {
				return err
			}
			if err := print(c.App.Writer, dir, found); err != nil {
				return err
			}
			switch {
			case len(found.diagnostics) > 0:
				return &exitError{code: exitFailure, err: fmt.Errorf("%s: %d problems", dir, len(found.diagnostics))}
			case found.refused != nil:
				return fmt.Errorf("%s: %w", dir, found.refused)
			}
			return nil
		},
		OnUsageError: usageError,
	}
}

// embeddedPack stands where a directory's name would.
const embeddedPack = "(embedded)"

// dirFlags choose the directory of a command that needs no sidecar.
func dirFlags() []cli.Flag {
	return append(settingFlags("policy-dir", "data-dir"),
		&cli.StringFlag{Name: "rego-dir", Usage: "take the policy in `DIR`; without it the policy directory of the settings, or the embedded default pack"})
}

// source opens the directory that dirFlags chose. The process is short: nobody closes it.
func source(c *cli.Context) (dir string, src fs.FS, err error) {
	dir = c.String("rego-dir")
	if dir == "" {
		s, err := settings(c)
		if err != nil {
			return "", nil, err
		}
		dir = s.PolicyDir
	}
	if dir == "" {
		fmt.Fprintln(os.Stderr, "no directory is set: taking the embedded default pack")
		return embeddedPack, policies.FS(), nil
	}
	opened, err := engine.OpenDir(dir, engine.DirConfig{})
	if err != nil {
		return dir, nil, err
	}
	return dir, opened, nil
}
