package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"

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
		}, &cli.StringFlag{
			Name: "override", Usage: "have the files serve whatever their review says, for `REASON`, which is on record; only over the local socket or with a client certificate",
		}, &cli.DurationFlag{
			Name:  "confirm",
			Usage: "go back to what served before unless policy confirm follows within `DURATION`",
		}, &cli.DurationFlag{
			Name: "timeout", Value: api.DefaultClientTimeout, Usage: "wait at most `DURATION` for the answer",
		}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.IsSet("override") && strings.TrimSpace(c.String("override")) == "" {
				return errors.New("--override needs a reason: it is on record")
			}
			sidecar, err := client(c)
			if err != nil {
				return err
			}
			sidecar.Timeout = c.Duration("timeout")
			answer, err := sidecar.ReloadWith(c.Context, api.ReloadOptions{
				AcceptRemovals: c.Bool("accept-removals"), Confirm: c.Duration("confirm"), DryRun: c.Bool("dry-run"), Override: c.String("override"),
			})
			if err := printReload(c, sidecar, answer, err); err != nil {
				return asFailure(err)
			}
			if c.Duration("confirm") > 0 {
				sayWhetherItWaits(c, answer)
			}
			return nil
		},
		OnUsageError: usageError,
	}
}

// printReload prints the answer of a reload, or why there is none.
func printReload(c *cli.Context, sidecar *api.Client, answer []byte, err error) error {
	var refused *api.AnswerError
	if errors.As(err, &refused) {
		printIndented(c.App.Writer, refused.Body)
		sayWhyNoDirectory(c, sidecar, refused)
		var body api.ReloadAnswer
		if json.Unmarshal(refused.Body, &body) == nil && len(body.Diagnostics) > 0 {
			told := toldIn(servedDirectory(c, sidecar), received(body.Diagnostics))
			report.Write(c.App.ErrWriter, told)
			return &refusedAnswer{refused, "reload failed: ", "; what served before still serves", told}
		}
		return err
	}
	if err == nil {
		printIndented(c.App.Writer, answer)
	}
	return err
}

// refusedAnswer is the error of a refusal whose diagnostics were shown: it does not say them again.
type refusedAnswer struct {
	answer      *api.AnswerError
	what, after string
	diagnostics diagnostic.List
}

func (e *refusedAnswer) Error() string {
	place, more := "", ""
	if d := e.diagnostics[0]; d.File != "" {
		place = fmt.Sprintf("%s:%d:%d, ", d.File, d.Line, d.Column)
	}
	if n := len(e.diagnostics) - 1; n > 0 {
		more = fmt.Sprintf(" with %d more", n)
	}
	return fmt.Sprintf("%s answered %d %s: %s%sas shown above%s%s",
		e.answer.URL, e.answer.StatusCode, http.StatusText(e.answer.StatusCode), e.what, place, more, e.after)
}

func (e *refusedAnswer) Unwrap() error { return e.answer }

// sayWhetherItWaits keeps a caller who asked for a way back from thinking that there is one.
func sayWhetherItWaits(c *cli.Context, answer []byte) {
	var body api.ReloadAnswer
	if json.Unmarshal(answer, &body) != nil {
		return
	}
	if body.Control == nil || body.Control.Deadline == nil {
		terminal.Fprintf(c.App.ErrWriter, "nothing waits to be confirmed: nothing has changed in the last ten minutes\n")
		return
	}
	terminal.Fprintf(c.App.ErrWriter, "goes back to %s at %s unless policy confirm comes before\n",
		body.Control.Base, body.Control.Deadline.Local().Format(time.DateTime))
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
