package cli

import (
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func tokenCommand() *cli.Command {
	return &cli.Command{
		Name:  "token",
		Usage: "print the token of the running sidecar",
		Flags: settingFlags("data-dir"),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			s, err := resolve(c)
			if err != nil {
				return err
			}
			token, _, err := s.Token()
			if err == nil {
				terminal.Fprintf(c.App.Writer, "%s\n", token)
			}
			return err
		},
		OnUsageError: usageError,
	}
}
