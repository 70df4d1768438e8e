package cli

import (
	"strings"
	"time"

	"defenseclaw/cmd/internal/fleet/access"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/streams"

	"github.com/urfave/cli/v2"
)

func fleetInitCommand() *cli.Command {
	return &cli.Command{
		Name: "init",
		Usage: "make the streams of a fleet on its broker, and print what agents, publishers, controllers and observers have to be permitted there; " +
			"what exists stays as it is, but for what a fleet needs and an older version made without",
		Flags: fleetFlags(
			channelFlag(),
			&cli.IntFlag{Name: "replicas", Value: 1, Usage: "keep everything on `N` servers of a cluster: 1, 3 or 5"},
		),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			const limit = time.Minute
			ctx, cancel := within(c, limit)
			defer cancel()
			l, channel, err := link(ctx, c)
			if err != nil {
				return err
			}
			defer l.Close()
			made, err := streams.Create(ctx, l.JetStream(), streams.Options{Replicas: c.Int("replicas")})
			for _, one := range made {
				what := "made"
				switch {
				case len(one.Changed) > 0:
					what = "was there, and has now " + strings.Join(one.Changed, ", ")
				case one.Existed:
					what = "was there, and stays as it is"
				}
				terminal.Fprintf(c.App.ErrWriter, "%s: %s\n", one.Name, what)
			}
			if err != nil {
				return fleetExit(err)
			}
			if channel == "" {
				channel = "CHANNEL"
			}
			for _, u := range []access.User{
				{Role: access.Agent, Name: "AGENT", Channel: channel}, {Role: access.Publisher, Name: "publisher"}, {Role: access.Controller, Name: "controller"},
				{Role: access.Observer, Name: "observer"},
			} {
				if _, err := terminal.Fprintf(c.App.Writer, "%s", terminal.Text(u.Block(orEnv(c, "domain", fleetDomain)))); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
