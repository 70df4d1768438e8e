package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"defenseclaw/api"

	"github.com/urfave/cli/v2"
)

func overviewCommand() *cli.Command {
	return &cli.Command{
		Name:         "status",
		Usage:        "show how the running sidecar is, a line for each part; exit codes as policy status",
		Flags:        statusFlags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return showStatus(c, printOverview) },
	}
}

func printOverview(w io.Writer, addr string, s api.StatusAnswer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-8s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("sidecar", "%s, pid %d, version %s, up %s", addr, s.Process.PID, s.Process.Version, time.Since(s.Process.StartedAt).Round(time.Second))
	line("policy", "%s: %s", s.State, meanings[s.State])
	if s.LastReload.Error != "" {
		line("", "%s", firstLine(s.LastReload.Error))
	}
	line("watch", "%s", watchLine(s.Watch))
	line("audit", "%s", auditLine(s))
	line("judge", "%s", s.Judge)
}

func watchLine(w api.Watch) string {
	text := w.State
	if w.Enabled {
		text = fmt.Sprintf("%s by %s, %d directories, %d events dropped", w.State, w.Mode, w.Directories, w.EventsDropped)
	}
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return text
}

func auditLine(s api.StatusAnswer) string {
	switch {
	case s.Audit == nil:
		return "off"
	case !s.Audit.OK:
		return fmt.Sprintf("NOT WRITTEN, %d records wait, %d are lost: %s", s.Audit.Backlog, s.Audit.Lost, s.Audit.Error)
	case s.Audit.Lost > 0:
		return fmt.Sprintf("written, but %d records were lost since the start", s.Audit.Lost)
	}
	return fmt.Sprintf("written, %d records since the start", s.Audit.Written)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
