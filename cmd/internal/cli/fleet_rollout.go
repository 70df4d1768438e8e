package cli

import (
	"context"
	"errors"
	"fmt"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

// order is what a person asks of a rollout: it makes the next record, none if nothing is to be done.
type order func(s rollout.Situation, by string) (*record.Record, error)

func fleetPromoteCommand() *cli.Command {
	return orderCommand("promote", "have a rollout go on to its next stage before it has gone well for long enough, or though too few decisions were made; "+
		"exits with 3 if agents refuse it or another gate was not passed", nil,
		func(*cli.Context) order { return rollout.Promote })
}

func fleetPauseCommand() *cli.Command {
	return orderCommand("pause", "keep a rollout at its stage; what fails is taken back all the same", nil,
		func(*cli.Context) order {
			return func(s rollout.Situation, by string) (*record.Record, error) { return rollout.Pause(s.Record, by) }
		})
}

func fleetResumeCommand() *cli.Command {
	return orderCommand("resume", "have a rollout that was paused go on", nil,
		func(*cli.Context) order {
			return func(s rollout.Situation, by string) (*record.Record, error) { return rollout.Resume(s.Record, by) }
		})
}

func fleetAbortCommand() *cli.Command {
	return orderCommand("abort", "take a rollout back: all agents serve what they did before it", []cli.Flag{messageFlag()},
		func(c *cli.Context) order {
			return func(s rollout.Situation, by string) (*record.Record, error) {
				return rollout.Abort(s.Record, c.String("message"), by)
			}
		})
}

func orderCommand(name, usage string, flags []cli.Flag, of func(*cli.Context) order) *cli.Command {
	return &cli.Command{
		Name:         name,
		Usage:        usage + "; exits with 1 if no rollout runs, 4 if somebody else was first",
		Flags:        fleetFlags(append(append(keyFlags(), channelFlag(), byFlag(), timeoutFlag()), flags...)...),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			return fleetExit(fleetOrder(c, of(c)))
		},
	}
}

func fleetOrder(c *cli.Context, do order) error {
	by, keys, err := signing(c)
	if err != nil {
		return err
	}
	return inChannel(c, func(ctx context.Context, l *fleet.Link, channel string) error {
		was, is, err := controller.Order(ctx, l, channel, keys, by.Note(), func(s rollout.Situation) (*record.Record, error) {
			return do(s, author(c))
		})
		if errors.As(err, new(*rollout.FailedError)) {
			return &exitError{exitNot, fmt.Errorf("channel %s: %w: fleet abort takes it back", channel, err)}
		}
		if err != nil {
			return err
		}
		sayOrder(c, was, is)
		return nil
	})
}

// sayOrder says what the channel says after an order.
func sayOrder(c *cli.Context, was, is fleet.Now) {
	before, after := was.Record(), is.Record()
	if after == nil {
		terminal.Fprintf(c.App.Writer, "%s: it is so already\n", before.Channel)
		return
	}
	text := fmt.Sprintf("at %s", rollout.StageName(after))
	switch p := after.Plan; {
	case p.Halted != "":
		text = fmt.Sprintf("halted %s; taken back: %s everywhere", p.Halted, after.Base.Revision)
	case !p.Runs():
		text = fmt.Sprintf("the rollout of %s has ended", after.Target.Revision)
	case p.Stage != before.Plan.Stage || before.State != after.State:
		text = fmt.Sprintf("from %s to %s", rollout.StageName(before), rollout.StageName(after))
	}
	if after.Plan.Runs() && after.Plan.Paused {
		text += ", paused"
	}
	terminal.Fprintf(c.App.Writer, "%s: %s, epoch %d\n", after.Channel, text, after.Epoch)
}

// narrator tells how rollouts go on, each thing once.
type narrator struct {
	c    *cli.Context
	last map[string]string // by channel
}

func newNarrator(c *cli.Context) *narrator { return &narrator{c, map[string]string{}} }

// tell prints what a look has found, if it is new. For one goroutine.
func (n *narrator) tell(seen controller.Seen) {
	channel, v := seen.Now.Channel, seen.Verdict
	key := fmt.Sprint(v.Step, v.Stage, seen.Err)
	if key == n.last[channel] && !seen.Moved {
		return
	}
	n.last[channel] = key
	switch r := seen.Now.Record(); {
	case seen.Err != nil:
		if !errors.Is(seen.Err, context.Canceled) {
			terminal.Fprintf(n.c.App.ErrWriter, "%s: %s\n", channel, terminal.Error(seen.Err))
		}
	case seen.Moved && v.Step == rollout.TakeBack:
		terminal.Fprintf(n.c.App.Writer, "%s: halted at %s: %s; taken back\n", channel, v.Stage, v.Reason)
	case seen.Moved && !r.Plan.Runs():
		terminal.Fprintf(n.c.App.Writer, "%s: %s went well: %s; the rollout has ended\n", channel, v.Stage, v.Reason)
	case seen.Moved:
		terminal.Fprintf(n.c.App.Writer, "%s: %s went well: %s; now %s\n", channel, v.Stage, v.Reason, rollout.StageName(r))
	case v.Step == rollout.Inconclusive:
		terminal.Fprintf(n.c.App.Writer, "%s: %s is inconclusive: %s; fleet promote goes on all the same\n", channel, v.Stage, v.Reason)
	case v.Step == rollout.Nothing:
		terminal.Fprintf(n.c.App.Writer, "%s: no rollout runs: %s\n", channel, v.Reason)
	default:
		terminal.Fprintf(n.c.App.Writer, "%s: at %s: %s\n", channel, v.Stage, v.Reason)
	}
}
