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
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

// The states of fleet agents that are no standings.
const (
	silentAgents = "silent" // lost, whatever it had acknowledged
	staleAgents  = "stale"  // silent for longer than its own bound
)

func fleetAgentsCommand() *cli.Command {
	states := []string{silentAgents, staleAgents}
	for _, s := range fleet.Standings() {
		states = append(states, string(s))
	}
	return &cli.Command{
		Name:  "agents",
		Usage: "list the agents of a channel, a line each",
		Flags: fleetFlags(
			sourceKeysFlag(), channelFlag(),
			&cli.StringFlag{Name: "state", Usage: "only those in this `STATE`: " + oneOf(states)},
			&cli.StringFlag{Name: "selector", Usage: "only those with all of these `LABELS`, NAME=VALUE with commas between them"},
			&cli.StringFlag{Name: "without-key", Usage: "only those that do not trust the key `NAME`, which may have + and its hash"},
			lostAfterFlag(), askTimeoutFlag(), jsonFlag(),
		),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			if s := c.String("state"); s != "" && !slices.Contains(states, s) {
				return &exitError{exitUsage, fmt.Errorf("--state is %q: %s was expected", s, oneOf(states))}
			}
			return fleetExit(fleetAgents(c))
		},
	}
}

// seen reads what a channel says, trusted or not, and its agents. An observer's rights are enough for it.
func seen(ctx context.Context, c *cli.Context) (*fleet.Link, fleet.Now, *fleet.View, error) {
	keys, err := trusted(c, nil)
	if err != nil {
		return nil, fleet.Now{}, nil, err
	}
	l, channel, err := channelLinkBy(ctx, c, fleet.Config{Observe: true})
	if err != nil {
		return nil, fleet.Now{}, nil, err
	}
	var v *fleet.View
	var now fleet.Now
	reader, err := l.Reader(channel)
	if err == nil {
		v, err = reader.Read(ctx) // before the record: an agent is not ahead of what it saw
	}
	if err == nil {
		now, err = l.Now(ctx, channel, keys)
	}
	if err != nil {
		l.Close()
		return nil, now, nil, err
	}
	return l, now, v, nil
}

func fleetAgents(c *cli.Context) error {
	selector, err := labelsOf("--selector", c.String("selector"))
	if err != nil {
		return err
	}
	ctx, cancel := within(c, c.Duration("timeout"))
	defer cancel()
	l, now, v, err := seen(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	lostAfter := c.Duration("lost-after")
	found := fleet.Judge(v, fleet.Question{Record: now.Record(), Selector: selector, LostAfter: lostAfter}).Agents
	found = slices.DeleteFunc(found, func(j fleet.Judged) bool {
		return !inState(j, c.String("state"), lostAfter) || c.IsSet("without-key") && trusts(j, c.String("without-key"))
	})
	if c.Bool("json") {
		return report.JSON(c.App.Writer, agentsJSON(found))
	}
	for _, j := range found {
		if _, err := terminal.Fprintf(c.App.Writer, "%s\n", agentLine(j)); err != nil {
			return err
		}
	}
	return nil
}

func inState(j fleet.Judged, state string, lostAfter time.Duration) bool {
	switch state {
	case "":
		return true
	case silentAgents:
		return j.Silent >= lostAfter
	case staleAgents:
		return j.Stale.After > 0 && j.Silent.Seconds() > j.Stale.After
	default:
		return string(j.Standing) == state
	}
}

// trusts reports whether an agent trusts a key, by its name or its name and hash.
func trusts(j fleet.Judged, key string) bool {
	return slices.ContainsFunc(j.Keys, func(has string) bool {
		name, _, _ := strings.Cut(has, "+")
		return has == key || name == key
	})
}

func agentLine(j fleet.Judged) string {
	serves := j.Serves
	if serves == "" {
		serves = "nothing"
	}
	line := fmt.Sprintf("%s  %s  serves %s  epoch %d  heard of %s ago  %s", j.Agent.Agent, j.Standing, serves, j.Epoch, j.Silent.Round(time.Second), j.Version)
	for _, name := range slices.Sorted(maps.Keys(j.Labels)) {
		line += fmt.Sprintf("  %s=%s", name, j.Labels[name])
	}
	if j.State == record.Refused {
		line += fmt.Sprintf("  %s: %s", j.Code, j.Error)
	}
	if j.Flapping {
		line += "  two agents have this name"
	}
	return line
}

// agentJSON is an agent in fleet agents --json: what it said last, and how far that is.
type agentJSON struct {
	record.Ack
	Standing fleet.Standing `json:"standing"`
	Wants    string         `json:"wants"` // the revision that the record asks of it
	InCohort bool           `json:"in_cohort"`
	Heard    time.Time      `json:"heard"` // by the broker's clock
	Silent   float64        `json:"silent_s"`
	Flapping bool           `json:"flapping,omitempty"`
}

func agentsJSON(found []fleet.Judged) []agentJSON {
	all := make([]agentJSON, 0, len(found)) // never null
	for _, j := range found {
		all = append(all, agentJSON{j.Ack, j.Standing, j.Wants, j.InCohort, j.Heard, j.Silent.Seconds(), j.Flapping})
	}
	return all
}
