package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"

	"github.com/urfave/cli/v2"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:         "status",
		Usage:        "show what the running sidecar serves: exit 0 when current, 3 when the last good policy serves, 1 otherwise",
		Flags:        statusFlags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return showStatus(c, printStatus) },
	}
}

func statusFlags() []cli.Flag {
	return append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print the sidecar's JSON"})
}

// showStatus prints the sidecar's status for people or programs; the exit code is for both.
func showStatus(c *cli.Context, print func(w io.Writer, addr string, s api.StatusAnswer)) error {
	if err := noArguments(c); err != nil {
		return err
	}
	sidecar, err := client(c)
	if err != nil {
		return err
	}
	sidecar.Timeout = 10 * time.Second
	status, err := sidecar.Status(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := indented(c.App.Writer, status); err != nil {
			return err
		}
	} else {
		print(c.App.Writer, sidecar.Addr, status)
	}
	switch status.State {
	case "stale", "restored":
		return &exitError{code: exitStale}
	case "empty":
		return &exitError{code: exitFailure}
	default:
		return nil
	}
}

// meanings say what a state is to somebody who sees the word for the first time.
var meanings = map[string]string{
	"current":  "what serves is what the directory holds",
	"stale":    "the directory is broken; the last good policy serves",
	"restored": "the directory is broken; the last good policy of an earlier run serves",
	"embedded": "the default pack serves; no policy directory is set",
	"empty":    "no policy is loaded; decisions are answered with 503",
}

func printStatus(w io.Writer, _ string, s api.StatusAnswer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("state", "%s: %s", s.State, meanings[s.State])
	if s.PolicyDir != "" {
		line("policy dir", "%s", s.RegoDir)
	}
	if s.LoadedAt != nil {
		line("generation", "%d, loaded %s, %d modules, %d data files", s.Generation, s.LoadedAt.Local().Format(time.DateTime), s.Modules, s.DataFiles)
		line("revision", "%s", s.Revision)
	}
	if last := s.LastReload; last.StartedAt != nil {
		line("last reload", "%s by %s at %s, %.1f ms", last.Status, last.Trigger, last.StartedAt.Local().Format(time.DateTime), last.DurationMS)
		if len(last.Changed) > 0 {
			const most = 10
			shown := last.Changed[:min(most, len(last.Changed))]
			more := ""
			if len(shown) < len(last.Changed) {
				more = fmt.Sprintf(" and %d more", len(last.Changed)-len(shown))
			}
			line("changed", "%s%s", strings.Join(shown, ", "), more)
		}
	}
	line("watch", "%s", watchLine(s.Watch))
	if s.Audit != nil && (!s.Audit.OK || s.Audit.Lost > 0) {
		line("audit", "%s", auditLine(s))
	}
	if s.LastGood != nil && s.LastGood.Error != "" {
		line("last good", "not kept for the next start: %s", s.LastGood.Error)
	}
	if s.LastReload.Error != "" {
		fmt.Fprintln(w)
		if len(s.LastReload.Diagnostics) == 0 {
			fmt.Fprintln(w, "error: "+s.LastReload.Error)
		}
		report.Write(w, s.LastReload.Diagnostics)
	}
}
