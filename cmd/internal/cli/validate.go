package cli

import (
	"errors"
	"fmt"

	"defenseclaw/api"
	"defenseclaw/engine"

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
