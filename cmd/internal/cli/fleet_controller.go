package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
)

func fleetControllerCommand() *cli.Command {
	return &cli.Command{
		Name: "controller",
		Usage: "move the rollouts of channels on, from stage to stage, and take back what fails, until it is interrupted; it keeps nothing, several may run, " +
			"and a stage key is enough; exits with 6 if no broker answers",
		Flags: fleetFlags(append(keyFlags(),
			&cli.StringFlag{Name: "channel", Aliases: []string{"C"}, Usage: "the `CHANNELS`, with commas between them; one may also be the path of the URL"},
			byFlag(),
			&cli.StringFlag{Name: "metrics", Usage: "answer GET /metrics at `ADDR`, an address of this machine such as 127.0.0.1:9464 (default: nowhere)"},
		)...),
		OnUsageError: usageExit,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return &exitError{exitUsage, err}
			}
			return fleetExit(runController(c))
		},
	}
}

func runController(c *cli.Context) error {
	by, keys, err := signing(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l, channels, err := link(ctx, c)
	if err != nil {
		return err
	}
	defer l.Close()
	all := strings.Split(channels, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
		if err := record.CheckName("--channel", all[i]); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	group, running := errgroup.WithContext(ctx)
	metrics := controller.NewMetrics()
	if addr := c.String("metrics"); addr != "" {
		on, err := controller.Listen(ctx, addr)
		if err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
		terminal.Fprintf(c.App.Writer, "metrics at http://%s/metrics\n", on.Addr())
		group.Go(func() error { return metrics.Serve(running, on) })
	}
	var mu sync.Mutex // of the narrator
	tell := newNarrator(c)
	for _, channel := range all {
		group.Go(func() error {
			return controller.Run(running, l, controller.Config{
				Channel: channel, Keys: keys, Signers: by.Note(), Name: "controller " + author(c),
				Tell: func(seen controller.Seen) bool {
					metrics.Observe(seen)
					mu.Lock()
					defer mu.Unlock()
					tell.tell(seen)
					return false
				},
			})
		})
	}
	if err := group.Wait(); !errors.Is(err, context.Canceled) || ctx.Err() == nil {
		return err
	}
	return nil
}
