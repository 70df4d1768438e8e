package cli

import (
	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func confirmCommand() *cli.Command {
	return &cli.Command{
		Name:      "confirm",
		Usage:     "keep what policy reload --confirm or policy rollback --confirm has put in service",
		ArgsUsage: "[REVISION]",
		Flags:     orderFlags(),
		Action: func(c *cli.Context) error {
			revision, err := optionalArgument(c)
			if err != nil {
				return err
			}
			return giveOrder(c, "confirm", api.ControlRequest{Revision: revision})
		},
		OnUsageError: usageError,
	}
}
