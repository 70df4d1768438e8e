package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func reloadCommand() *cli.Command {
	return &cli.Command{
		Name:  "reload",
		Usage: "reload the policy of the running sidecar now, and print its JSON answer",
		Flags: append(clientFlags(), &cli.BoolFlag{
			Name:  "accept-removals",
			Usage: "accept that files which serve are gone, also where a domain loses its package or its data with them",
		}, &cli.BoolFlag{
			Name: "dry-run", Usage: "load, check and compare what the directory holds, and change nothing",
		}, &cli.DurationFlag{
			Name: "timeout", Value: api.DefaultClientTimeout, Usage: "wait at most `DURATION` for the answer",
		}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			sidecar, err := client(c)
			if err != nil {
				return err
			}
			sidecar.Timeout = c.Duration("timeout")
			reload := sidecar.Reload
			if c.Bool("accept-removals") {
				reload = sidecar.AcceptRemovals
			}
			if c.Bool("dry-run") {
				reload = func(ctx context.Context) ([]byte, error) { return sidecar.DryRun(ctx, c.Bool("accept-removals")) }
			}
			answer, err := reload(c.Context)
			var refused *api.AnswerError
			if errors.As(err, &refused) {
				printIndented(c.App.Writer, refused.Body)
				sayWhyNoDirectory(c, sidecar, refused)
				var body api.ReloadAnswer
				if json.Unmarshal(refused.Body, &body) == nil {
					report.Write(c.App.ErrWriter, received(body.Diagnostics))
				}
				return err
			}
			if err == nil {
				printIndented(c.App.Writer, answer)
			}
			return err
		},
		OnUsageError: usageError,
	}
}

// sayWhyNoDirectory prints why a sidecar has no directory to reload.
func sayWhyNoDirectory(c *cli.Context, sidecar *api.Client, refused *api.AnswerError) {
	if refused.StatusCode != http.StatusServiceUnavailable {
		return
	}
	if status, err := sidecar.Status(c.Context); err == nil && status.PolicyWhy != "" {
		terminal.Fprintf(c.App.ErrWriter, "the embedded default pack serves: %s\n", status.PolicyWhy)
	}
}

// printIndented prints JSON indented by two spaces, and other text unchanged.
func printIndented(w io.Writer, body []byte) {
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(body), "", "  ") != nil {
		out.Reset()
		out.Write(body)
	}
	terminal.Fprintf(w, "%s\n", terminal.Text(out.String()))
}
