package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func fleetWaitCommand() *cli.Command {
	return &cli.Command{
		Name: "wait",
		Usage: "wait until it is proved that the agents of a channel serve what its record asks of them; exits with 0 if so, 3 if agents refuse it or are lost, " +
			"4 if the channel says something else, 5 if time ran out, 6 if no broker answers",
		Flags: fleetFlags(
			sourceKeysFlag(), channelFlag(),
			&cli.StringFlag{Name: "revision", Usage: "the channel has to ask for this `REVISION`, or for one that begins so"},
			&cli.StringFlag{Name: "selector", Usage: "only agents with all of these `LABELS` count, NAME=VALUE with commas between them"},
			expectFlag(), lostAfterFlag(), timeoutFlag(),
		),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			return fleetExit(fleetWait(c))
		},
	}
}

func fleetWait(c *cli.Context) error {
	selector, err := labelsOf("--selector", c.String("selector"))
	if err != nil {
		return err
	}
	ctx, cancel := within(c, c.Duration("timeout"))
	defer cancel()
	l, now, err := trustedNow(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	r := now.Record()
	if want := c.String("revision"); want != "" && !sameRevision(r.Target.Revision, want) {
		return &exitError{exitBeaten, fmt.Errorf("the channel %s asks for %s by %s since %s, and not for %s",
			r.Channel, r.Target.Revision, r.By, r.Time.Local().Format(time.DateTime), want)}
	}
	return waitFor(ctx, c, l, now, selector)
}

// trustedNow reads what a channel says, which has to be a record that is trusted.
func trustedNow(ctx context.Context, c *cli.Context) (*fleet.Link, fleet.Now, error) {
	by, err := signers(c)
	if err != nil {
		return nil, fleet.Now{}, err
	}
	keys, err := trusted(c, by)
	if err != nil {
		return nil, fleet.Now{}, err
	}
	l, channel, err := channelLink(ctx, c)
	if err != nil {
		return nil, fleet.Now{}, err
	}
	now, err := l.Now(ctx, channel, keys)
	switch {
	case err != nil:
	case now.Err != nil:
		err = fmt.Errorf("what the channel %s says is not trusted: %w", channel, now.Err)
	case now.Record() == nil:
		err = fmt.Errorf("the channel %s has no release: fleet publish makes the first", channel)
	}
	if err != nil {
		l.Close()
		return nil, now, err
	}
	return l, now, nil
}

// waitFor waits for a record, and prints the proof, or what is in its way.
func waitFor(ctx context.Context, c *cli.Context, l *fleet.Link, now fleet.Now, selector map[string]string) error {
	v, err := l.Wait(ctx, now, fleet.Question{Selector: selector, LostAfter: c.Duration("lost-after")}, c.Int("expect"))
	timedOut := errors.As(err, new(*fleet.Timeout))
	if err != nil && !timedOut {
		return err
	}
	sayStandings(c, v)
	terminal.Fprintf(c.App.Writer, "%s\n", v)
	switch {
	case timedOut && len(v.Agents) < c.Int("expect"):
		return &exitError{exitTime, fmt.Errorf("time ran out: %d of %d expected agents are known", len(v.Agents), c.Int("expect"))}
	case timedOut:
		return &exitError{exitTime, errors.New("time ran out")}
	case !v.Converged(c.Int("expect")):
		return &exitError{code: exitNot}
	default:
		return nil
	}
}

// sayStandings names the agents that are in the way, and why.
func sayStandings(c *cli.Context, v fleet.Verdict) {
	const most = 20 // of each kind
	for _, s := range []fleet.Standing{fleet.Refuses, fleet.Lost, fleet.Waits, fleet.Behind, fleet.Ahead} {
		some := v.Of(s)
		for i, j := range some {
			if i == most {
				terminal.Fprintf(c.App.ErrWriter, "%s: and %d more\n", s, len(some)-most)
				break
			}
			terminal.Fprintf(c.App.ErrWriter, "%s: %s%s\n", s, j.Agent.Agent, whyNot(j))
		}
	}
}

func whyNot(j fleet.Judged) string {
	switch j.Standing {
	case fleet.Refuses:
		return fmt.Sprintf(": %s: %s", j.Code, j.Error)
	case fleet.Lost, fleet.Gone:
		return fmt.Sprintf(", not heard of for %s, serves %s", j.Silent.Round(time.Second), j.Serves)
	case fleet.Ahead:
		return fmt.Sprintf(": it has seen epoch %d, and the record says less: the broker went back; publish again", j.Epoch)
	case fleet.Waits:
		if j.Error != "" {
			return ": " + j.Error
		}
		fallthrough
	default:
		return ", serves " + j.Serves
	}
}
