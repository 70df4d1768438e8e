package cli

import (
	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func holdCommand() *cli.Command {
	return &cli.Command{
		Name:  "hold",
		Usage: "keep what serves in service, whatever becomes of the files, until policy resume or until they differed and hold it again",
		Flags: orderFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return giveOrder(c, "hold", api.ControlRequest{})
		},
		OnUsageError: usageError,
	}
}
