package cli

import (
	"errors"

	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func rejectCommand() *cli.Command {
	return &cli.Command{
		Name:      "reject",
		Usage:     "keep the held candidate of this digest from being approved",
		ArgsUsage: "DIGEST",
		Flags:     orderFlags(),
		Action: func(c *cli.Context) error {
			digest, err := optionalArgument(c)
			if err != nil {
				return err
			}
			if digest == "" {
				return errors.New("policy reject needs the DIGEST of what is held; policy status shows it")
			}
			return giveOrder(c, "reject", api.ControlRequest{Digest: digest})
		},
		OnUsageError: usageError,
	}
}
