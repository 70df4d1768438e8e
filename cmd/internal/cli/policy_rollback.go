package cli

import (
	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name: "rollback",
		Usage: "serve an earlier policy now and keep it in service: the one before, or that of a number or the beginning of a revision; " +
			"the files are not written, and do not serve until policy resume or until they hold what is kept",
		ArgsUsage: "[N|REVISION]",
		Flags: orderFlags(&cli.BoolFlag{
			Name: "skip", Usage: "follow the files again when they hold anything that is sound and is not what is taken back",
		}, &cli.DurationFlag{
			Name: "confirm", Usage: "take the rollback itself back unless policy confirm follows within `DURATION`",
		}),
		Action: func(c *cli.Context) error {
			to, err := optionalArgument(c)
			if err != nil {
				return err
			}
			in := api.ControlRequest{To: to, Skip: c.Bool("skip")}
			if within := c.Duration("confirm"); within > 0 {
				in.Confirm = within.String()
			}
			return giveOrder(c, "rollback", in)
		},
		OnUsageError: usageError,
	}
}
