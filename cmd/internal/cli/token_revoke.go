package cli

import (
	"errors"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/cmd/internal/tokens"

	"github.com/urfave/cli/v2"
)

func tokenRevokeCommand() *cli.Command {
	return &cli.Command{
		Name:      "revoke",
		Usage:     "revoke a token; it is refused once the command has ended",
		ArgsUsage: "NAME",
		Flags:     settingFlags("data-dir"),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("token revoke needs the NAME of one token after the flags; token list shows them")
			}
			s, err := resolve(c)
			if err != nil {
				return err
			}
			if err := (tokens.Store{DataDir: s.DataDir}).Revoke(c.Context, c.Args().First()); err != nil {
				return err
			}
			terminal.Fprintf(c.App.ErrWriter, "token %s is revoked\n", c.Args().First())
			return nil
		},
		OnUsageError: usageError,
	}
}
