package cli

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/cmd/internal/testrun"

	"github.com/urfave/cli/v2"
)

// watchTests runs the tests at once and after each change. Its exit code is that of the last run.
func watchTests(c *cli.Context) error {
	dir, _, err := openSource(c, c.Args().Slice()...)
	if err != nil {
		return err
	}
	if dir == embeddedPack {
		return errors.New("--watch needs a directory: the embedded default pack never changes")
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	failed, err := testrun.Watch(ctx, dir, func(ctx context.Context) error {
		err := runTests(ctx, c)
		if err != nil && ctx.Err() == nil {
			printError(c.App.ErrWriter, err)
		}
		terminal.Fprintf(c.App.ErrWriter, "-- watching %s; interrupt to end --\n", dir)
		return err
	})
	if err == nil && failed != nil {
		return &exitError{code: exitFailure} // the run has printed the error
	}
	return err
}
