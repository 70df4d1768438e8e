package cli

import (
	"fmt"

	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func approveCommand() *cli.Command {
	return digestCommand("approve", "have the held candidate of this digest serve, as it was held: nothing is read again")
}

func rejectCommand() *cli.Command {
	return digestCommand("reject", "keep the held candidate of this digest from being approved")
}

// digestCommand gives an order about the candidate that is held.
func digestCommand(order, usage string) *cli.Command {
	return &cli.Command{
		Name:      order,
		Usage:     usage,
		ArgsUsage: "DIGEST",
		Flags:     orderFlags(),
		Action: func(c *cli.Context) error {
			digest, err := optionalArgument(c)
			if err != nil {
				return err
			}
			if digest == "" {
				return &exitError{exitUsage, fmt.Errorf("policy %s needs the DIGEST of what is held; policy status shows it", order)}
			}
			return giveOrder(c, order, api.ControlRequest{Digest: digest})
		},
		OnUsageError: usageError,
	}
}
