package cli

import (
	"errors"

	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func approveCommand() *cli.Command {
	return &cli.Command{
		Name:      "approve",
		Usage:     "have the held candidate of this digest serve, as it was held: nothing is read again",
		ArgsUsage: "DIGEST",
		Flags:     orderFlags(),
		Action: func(c *cli.Context) error {
			digest, err := optionalArgument(c)
			if err != nil {
				return err
			}
			if digest == "" {
				return errors.New("policy approve needs the DIGEST of what is held; policy status shows it")
			}
			return giveOrder(c, "approve", api.ControlRequest{Digest: digest})
		},
		OnUsageError: usageError,
	}
}
