package cli

import (
	"context"
	"errors"
	"fmt"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func fleetForgetCommand() *cli.Command {
	return &cli.Command{
		Name:         "forget",
		Usage:        "forget agents that are gone for good, so that nobody waits for them; one that runs is known again after its next acknowledgement",
		ArgsUsage:    "AGENT…",
		Flags:        fleetFlags(channelFlag(), askTimeoutFlag()),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			agents := c.Args().Slice()
			if len(agents) == 0 {
				return &exitError{exitUsage, errors.New("the names of agents were expected: fleet forget AGENT…")}
			}
			return fleetExit(inChannel(c, func(ctx context.Context, l *fleet.Link, channel string) error {
				for _, agent := range agents {
					known, err := l.Forget(ctx, channel, agent)
					if err != nil {
						return err
					}
					if !known {
						return fmt.Errorf("no agent %s is known in channel %s", agent, channel)
					}
					terminal.Fprintf(c.App.Writer, "%s is forgotten\n", agent)
				}
				return nil
			}))
		},
	}
}
