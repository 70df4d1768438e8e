package cli

import (
	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func resumeCommand() *cli.Command {
	return &cli.Command{
		Name:  "resume",
		Usage: "follow the files again after policy rollback or policy hold: reload, and print the JSON answer",
		Flags: orderFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			sidecar, err := client(c)
			if err != nil {
				return err
			}
			answer, err := sidecar.Order(c.Context, "resume", api.ControlRequest{Reason: c.String("reason")})
			return printReload(c, sidecar, answer, err)
		},
		OnUsageError: usageError,
	}
}
