package cli

import (
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func tokenCommand() *cli.Command {
	return &cli.Command{
		Name:  "token",
		Usage: "print the token of the running sidecar, or make and revoke tokens for its callers",
		Flags: append(settingFlags("data-dir"), &cli.BoolFlag{
			Name: "header", Usage: "print it as the header Authorization, for the standard input of curl -H @-: all users of the machine can read arguments",
		}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			s, err := resolve(c)
			if err != nil {
				return err
			}
			token, _, err := s.Token()
			switch {
			case err != nil:
				return err
			case c.Bool("header"):
				terminal.Fprintf(c.App.Writer, "%s\n", "Authorization: Bearer "+token)
			default:
				terminal.Fprintf(c.App.Writer, "%s\n", token)
			}
			return nil
		},
		Subcommands:     []*cli.Command{tokenNewCommand(), tokenListCommand(), tokenRevokeCommand()},
		HideHelpCommand: true,
		OnUsageError:    usageError,
	}
}
