package cli

import (
	"context"
	"fmt"

	"defenseclaw/cmd/internal/fleet"

	"github.com/urfave/cli/v2"
)

func fleetRollbackCommand() *cli.Command {
	return &cli.Command{
		Name: "rollback",
		Usage: "have all agents of a channel serve an earlier release, by a new record; exits with 0 if that is done, 3 if agents refuse it or are lost, " +
			"4 if somebody else was first, 5 if time ran out, 6 if no broker answers",
		Flags: fleetFlags(append(keyFlags(),
			channelFlag(), messageFlag(), byFlag(),
			&cli.StringFlag{Name: "to", Usage: "the `REVISION` of the release, or its beginning (default: the one that served before)"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until the agents serve it, as fleet wait does"},
			expectFlag(), lostAfterFlag(), timeoutFlag(),
		)...),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			return fleetExit(fleetRollback(c))
		},
	}
}

func fleetRollback(c *cli.Context) error {
	by, keys, err := signing(c)
	if err != nil {
		return err
	}
	return inChannel(c, func(ctx context.Context, l *fleet.Link, channel string) error {
		now, err := l.Now(ctx, channel, keys)
		if err != nil {
			return err
		}
		history, err := l.History(ctx, channel, keys)
		if err != nil {
			return err
		}
		to, err := fleet.Earlier(history, c.String("to"))
		if err != nil {
			return fmt.Errorf("channel %s: %w", channel, err)
		}
		view, err := l.View(ctx, channel)
		if err != nil {
			return err
		}
		message := c.String("message")
		if message == "" {
			message = "rollback"
		}
		done, err := l.Rollback(ctx, fleet.Draft{After: now, By: author(c), Message: message, Agents: len(view.Names())}, to, by)
		if err != nil {
			return err
		}
		sayPublished(c, done, false)
		if !c.Bool("wait") {
			return nil
		}
		return waitFor(ctx, c, l, done.Now, nil)
	})
}
