package cli

import (
	"context"
	"fmt"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/engine"
	"defenseclaw/engine/memfs"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

func fleetRollbackCommand() *cli.Command {
	return &cli.Command{
		Name: "rollback",
		Usage: "have all agents of a channel serve an earlier release, by a new record, and at once unless stages are asked for; " +
			"exits with 0 if that is done, 3 if agents refuse it, are lost, or a rollout was taken back, 4 if somebody else was first, 5 if time ran out, 6 if no broker answers",
		Flags: fleetFlags(append(append(keyFlags(),
			channelFlag(), messageFlag(), byFlag(),
			&cli.StringFlag{Name: "to", Usage: "the `REVISION` of the release, or its beginning (default: the one that served before)"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until the agents serve it, as fleet wait does"},
			expectFlag(), lostAfterFlag(), timeoutFlag(),
		), planFlags()...)...),
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
	plan, err := readPlan(c)
	if err != nil {
		return err
	}
	plan.accepted = true // whoever goes back means to lose what has come since
	by, keys, err := signing(c)
	if err != nil {
		return err
	}
	return inChannel(c, func(ctx context.Context, l *fleet.Link, channel string) error {
		now, err := l.Now(ctx, channel, keys)
		if err != nil {
			return err
		}
		files, err := earlier(ctx, c, l, channel, keys)
		if err != nil {
			return err
		}
		g, err := engine.Load(ctx, memfs.New(files.All()), nil)
		if err != nil {
			return fmt.Errorf("the release %s: %w", files.Revision, err)
		}
		view, err := l.View(ctx, channel)
		if err != nil {
			return err
		}
		draft, err := plan.draft(ctx, c, l, now, view, g)
		if err != nil {
			return err
		}
		if draft.Message == "" {
			draft.Message = "rollback"
		}
		done, err := l.Publish(ctx, draft, by)
		if err != nil {
			return err
		}
		sayPublished(c, done, false)
		sayPlan(ctx, c, l, plan, done.Now.Record())
		return waitForPublished(ctx, c, l, done.Now, nil, keys, by)
	})
}

// earlier fetches the release to go back to, and checks that its files are those that were signed.
func earlier(ctx context.Context, c *cli.Context, l *fleet.Link, channel string, keys *record.Keys) (fleet.Files, error) {
	history, err := l.History(ctx, channel, keys)
	if err != nil {
		return fleet.Files{}, err
	}
	to, err := fleet.Earlier(history, c.String("to"))
	if err != nil {
		return fleet.Files{}, fmt.Errorf("channel %s: %w", channel, err)
	}
	return l.Fetch(ctx, to)
}
