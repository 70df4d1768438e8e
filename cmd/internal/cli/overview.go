package cli

import (
	"io"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func overviewCommand() *cli.Command {
	return &cli.Command{
		Name:         "status",
		Usage:        "show the state of each part of the running sidecar; exit codes as of policy status",
		Flags:        statusFlags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return showStatus(c, printOverview) },
	}
}

func printOverview(w io.Writer, addr string, s api.StatusAnswer) {
	line := func(name, format string, args ...any) {
		terminal.Fprintf(w, "%-8s %s\n", name, terminal.Sprintf(format, args...))
	}
	told := toldIn(directoryOf(s), received(s.LastReload.Diagnostics))
	sayVerdict(w, "now", 8, verdict(s, told, time.Now()))
	line("sidecar", "%s, pid %d, version %s, up %s", addr, s.Process.PID, s.Process.Version, time.Since(s.Process.StartedAt).Round(time.Second))
	line("policy", "%s: %s", s.State, meaningOf(s))
	if s.LastReload.Error != "" && len(told) == 0 { // else the first line has said it
		line("", "%s", report.FirstLine(s.LastReload.Error))
	}
	line("watch", "%s", watchLine(s.Watch))
	line("audit", "%s", auditLine(s))
	line("judge", "%s", s.Judge)
}
