package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func fleetHistoryCommand() *cli.Command {
	return &cli.Command{
		Name:         "history",
		Usage:        "list what a channel said, the newest first: who published what, when, and who signed it; exits with 1 if a record is not trusted",
		Flags:        fleetFlags(sourceKeysFlag(), channelFlag(), askTimeoutFlag(), jsonFlag()),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			return fleetExit(fleetHistory(c))
		},
	}
}

// saidJSON is a record in fleet history --json.
type saidJSON struct {
	*fleet.Record
	Sequence uint64    `json:"sequence"`
	Stored   time.Time `json:"stored"`            // by the broker's clock
	Problem  string    `json:"problem,omitempty"` // why it is not trusted
}

func fleetHistory(c *cli.Context) error {
	keys, err := trusted(c, nil)
	if err != nil {
		return err
	}
	return inChannel(c, func(ctx context.Context, l *fleet.Link, channel string) error {
		all, err := l.History(ctx, channel, keys)
		if err != nil {
			return err
		}
		wrong := 0
		said := make([]saidJSON, 0, len(all)) // never null
		for _, n := range all {
			one := saidJSON{Sequence: n.Sequence, Stored: n.Time}
			switch {
			case n.Err != nil:
				one.Problem = n.Err.Error()
				wrong++
			case n.Record() == nil:
				one.Problem = "the channel was deleted"
			default:
				one.Record = fleet.InShort(n)
			}
			said = append(said, one)
		}
		if c.Bool("json") {
			err = report.JSON(c.App.Writer, said)
		} else {
			printSaid(c, said)
		}
		if err == nil && wrong > 0 {
			err = fmt.Errorf("%d of %d records are not trusted", wrong, len(all))
		}
		return err
	})
}

func printSaid(c *cli.Context, said []saidJSON) {
	for _, one := range said {
		when := one.Stored.Local().Format(time.DateTime)
		if one.Record == nil {
			terminal.Fprintf(c.App.Writer, "%s  %s\n", when, one.Problem)
			continue
		}
		r := one.Record
		terminal.Fprintf(c.App.Writer, "%s  epoch %d  %s  %s  by %s  signed by %s", when, r.Epoch, r.State, r.Target.Revision, r.By, strings.Join(r.Signers, ", "))
		if r.Cohort.Percent < 100 || len(r.Cohort.Labels) > 0 {
			terminal.Fprintf(c.App.Writer, "  for %v%% %s", r.Cohort.Percent, labelsText(r.Cohort.Labels))
		}
		if r.Message != "" {
			terminal.Fprintf(c.App.Writer, "  %s", r.Message)
		}
		terminal.Fprintf(c.App.Writer, "\n")
	}
}

// labelsText is what labelsOf reads.
func labelsText(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, name+"="+labels[name])
	}
	return strings.Join(all, ",")
}
