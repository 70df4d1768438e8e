package cli

import (
	"time"

	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func healthcheckCommand() *cli.Command {
	return &cli.Command{
		Name: "healthcheck",
		Usage: "ask the running sidecar whether it is ready, for exec probes; needs no token and prints nothing if so. " +
			"Exits with 0 if it is, 1 otherwise",
		Flags: append(clientFlags(),
			&cli.BoolFlag{Name: "live", Usage: "ask only whether it answers, for a liveness probe: one that is not ready must not be restarted"},
			&cli.DurationFlag{Name: "timeout", Value: time.Second, Usage: "wait at most `DURATION` for the answer"},
		),
		Action:       healthcheck,
		OnUsageError: usageError,
	}
}

func healthcheck(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	s, err := resolve(c)
	if err != nil {
		return err
	}
	at, err := s.Endpoint()
	if err != nil {
		return err
	}
	sidecar := &api.Client{Addr: at.Addr, TLS: at.TLS, Socket: at.Socket, Timeout: c.Duration("timeout")}
	ask := sidecar.Ready
	if c.Bool("live") {
		ask = sidecar.Live
	}
	if err := ask(c.Context); err != nil {
		return &exitError{exitFailure, err}
	}
	return nil
}
