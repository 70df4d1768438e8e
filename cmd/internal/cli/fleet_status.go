package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

func fleetStatusCommand() *cli.Command {
	return &cli.Command{
		Name: "status",
		Usage: "show what a channel asks for, and how far its agents are; exits with 0 if all serve what they are asked to, 3 if not, " +
			"6 if no broker answers, 1 otherwise",
		Flags:        fleetFlags(sourceKeysFlag(), channelFlag(), lostAfterFlag(), askTimeoutFlag(), jsonFlag()),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			return fleetExit(fleetStatus(c))
		},
	}
}

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON"} }

// askTimeoutFlag is the time limit of commands that only ask.
func askTimeoutFlag() cli.Flag {
	const limit = 30 * time.Second
	return &cli.DurationFlag{Name: "timeout", Value: limit, Usage: "give up after `DURATION`"}
}

func fleetStatus(c *cli.Context) error {
	ctx, cancel := within(c, c.Duration("timeout"))
	defer cancel()
	l, now, v, err := seen(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	s := fleet.StatusOf(now, v, c.Duration("lost-after"))
	moving, err := controller.StatusOf(ctx, l, now, v)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = report.JSON(c.App.Writer, struct {
			fleet.Status
			Rollout *controller.Status `json:"rollout,omitempty"`
		}{s, moving})
	} else {
		printFleet(c.App.Writer, s)
		printRollout(c.App.Writer, moving)
	}
	if err == nil && !s.Converged {
		err = &exitError{code: exitNot}
	}
	return err
}

func printFleet(w io.Writer, s fleet.Status) {
	if r := s.Record; r != nil {
		terminal.Fprintf(w, "%s asks for %s (%s)\n", s.Channel, r.Target.Revision, terminal.Count(r.Target.Files, "file"))
		terminal.Fprintf(w, "  %s, epoch %d, by %s at %s, signed by %s\n", r.State, r.Epoch, r.By, r.Time.Local().Format(time.DateTime), strings.Join(r.Signers, ", "))
		if r.Message != "" {
			terminal.Fprintf(w, "  %s\n", r.Message)
		}
		if c := r.Cohort; r.Base.Revision != "" && (c.Percent < 100 || len(c.Labels) > 0 || r.State == record.Prepare) {
			terminal.Fprintf(w, "  of agents outside of its cohort, for %s\n", r.Base.Revision)
		}
	} else {
		terminal.Fprintf(w, "%s: %s\n", s.Channel, s.Problem)
	}
	terminal.Fprintf(w, "%s%s\n", terminal.Count(s.Agents, "agent"), countsText(s))
	for _, one := range s.Serve {
		what := one.Revision
		if what == "" {
			what = "nothing"
		}
		terminal.Fprintf(w, "  %d serve %s\n", one.Agents, what)
	}
	for _, r := range s.Refusals {
		terminal.Fprintf(w, "%d refused: %s: %s (%s)\n", len(r.Agents), r.Code, r.Error, fewOf(r.Agents))
	}
	if s.Lost > 0 {
		terminal.Fprintf(w, "%d not heard of for too long\n", s.Lost)
	}
	if o := s.Oldest; o != nil {
		terminal.Fprintf(w, "oldest contact: %s, %s ago\n", o.Agent, time.Duration(o.Silent*float64(time.Second)).Round(time.Second))
	}
	if len(s.Ahead) > 0 {
		terminal.Fprintf(w, "the broker went back; publish again: %s have seen a newer record\n", fewOf(s.Ahead))
	}
	if len(s.Flapping) > 0 {
		terminal.Fprintf(w, "two agents have one name: %s\n", fewOf(s.Flapping))
	}
	if len(s.Unkept) > 0 {
		terminal.Fprintf(w, "what they serve is not on their disk: %s\n", fewOf(s.Unkept))
	}
}

// printRollout says how a rollout stands, and who moves it. There may be none.
func printRollout(w io.Writer, s *controller.Status) {
	switch {
	case s == nil:
		return
	case s.Step == rollout.Nothing:
		terminal.Fprintf(w, "rollout: %s\n", s.Reason)
		return
	case s.Step == rollout.Inconclusive:
		terminal.Fprintf(w, "rollout: %s is inconclusive: %s\n", s.Stage, s.Reason)
	default:
		terminal.Fprintf(w, "rollout: at %s, %s: %s\n", s.Stage, s.Step, s.Reason)
	}
	switch {
	case !s.Away:
		terminal.Fprintf(w, "  moved by %s\n", s.Controller)
	case s.Seen.IsZero():
		terminal.Fprintf(w, "  no controller has run\n")
	default:
		terminal.Fprintf(w, "  no controller since %s\n", s.Seen.Local().Format(time.DateTime))
	}
}

// countsText says how many agents have come how far.
func countsText(s fleet.Status) string {
	var parts []string
	for _, standing := range fleet.Standings() {
		if n := s.States[standing]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, standing))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// fewOf names the first of many.
func fewOf(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
