package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/history"

	"github.com/urfave/cli/v2"
)

func historyCommand() *cli.Command {
	flags := append(clientFlags(), settingFlags("policy-dir")...)
	asJSON := &cli.BoolFlag{Name: "json", Usage: "print JSON"}
	return &cli.Command{
		Name: "history", Usage: "list the policies that served, the newest first",
		Flags: append(flags, asJSON), Action: listHistory, OnUsageError: usageError2, HideHelpCommand: true,
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "show one of them, by its number or the beginning of its revision", ArgsUsage: "N",
				Flags: append(flags, asJSON), Action: showHistory, OnUsageError: usageError2,
			},
			{
				Name: "export", Usage: "write the files of one of them into DIR, which must be new or empty", ArgsUsage: "N DIR",
				Flags: flags, Action: exportHistory, OnUsageError: usageError2,
			},
		},
	}
}

// Exit codes of commands that look something up.
const (
	exitNothing = 1 // there is no such thing
	exitCould   = 2 // it could not be looked up
)

// could is the error of a look-up that could not be made.
func could(err error) error {
	if own := new(exitError); err == nil || errors.As(err, &own) {
		return err
	}
	if errors.Is(err, history.ErrNotFound) {
		return &exitError{exitNothing, err}
	}
	if answer := new(api.AnswerError); errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return &exitError{exitNothing, err}
	}
	return &exitError{exitCould, err}
}

// usageError2 is [usageError] for commands whose exit code 1 means something else.
func usageError2(_ *cli.Context, err error, _ bool) error { return &exitError{exitCould, err} }

// pastSource looks into the history of the running sidecar or, where none runs, of the data directory.
type pastSource struct {
	running *api.Client // nil: local
	local   *history.Store
}

func openPast(c *cli.Context) (pastSource, error) {
	running, err := client(c)
	if err != nil {
		return pastSource{}, err
	}
	if _, err := running.Status(c.Context); err == nil {
		return pastSource{running: running}, nil
	} else if unreachable := new(api.UnreachableError); !errors.As(err, &unreachable) {
		return pastSource{}, err
	}
	local, err := localPast(c)
	return pastSource{local: local}, err
}

// localPast is the history in the data directory.
func localPast(c *cli.Context) (*history.Store, error) {
	s, err := resolve(c)
	if err != nil {
		return nil, err
	}
	if s.PolicyDir == "" {
		return nil, errors.New("the embedded pack has no history: --policy-dir names the policy directory whose history is meant")
	}
	return storeOf(s)
}

func storeOf(s settings.Settings) (*history.Store, error) {
	return history.New(history.Config{Dir: s.HistoryDir(s.PolicyDir)})
}

func (p pastSource) entries(c *cli.Context) ([]api.HistoryEntry, error) {
	if p.running != nil {
		return p.running.History(c.Context)
	}
	records, err := p.local.Records()
	return api.HistoryOf(records), err
}

func (p pastSource) entry(c *cli.Context, ref string) (api.HistoryEntry, error) {
	if p.running != nil {
		return p.running.HistoryEntry(c.Context, ref)
	}
	found, err := p.local.Find(ref)
	if err != nil {
		return api.HistoryEntry{}, err
	}
	return api.HistoryOf([]history.Record{found})[0], nil
}

func listHistory(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return could(err)
	}
	past, err := openPast(c)
	if err != nil {
		return could(err)
	}
	entries, err := past.entries(c)
	if err != nil {
		return could(err)
	}
	if c.Bool("json") {
		if err := report.JSON(c.App.Writer, entries); err != nil {
			return could(err)
		}
	} else if err := printHistory(c.App.Writer, entries); err != nil {
		return could(err)
	}
	if len(entries) == 0 {
		return &exitError{exitNothing, errors.New("no policy of this directory has served yet")}
	}
	return nil
}

func printHistory(w io.Writer, entries []api.HistoryEntry) error {
	if len(entries) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "N\tREVISION\tSERVED FROM\tUNTIL\tTRIGGER\tACTOR\tCHANGED")
	for _, e := range entries {
		n := fmt.Sprint(e.Seq)
		if !e.Kept {
			n += " (swept)"
		}
		const short = len("sha256:") + 12
		terminal.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n, e.Revision[:min(short, len(e.Revision))],
			e.ServedFrom.Local().Format(time.DateTime), untilText(e), e.Trigger, e.Actor, shortList(e.Changed, e.ChangedMore))
	}
	return table.Flush()
}

func untilText(e api.HistoryEntry) string {
	if e.ServedUntil == nil {
		return "now"
	}
	return e.ServedUntil.Local().Format(time.DateTime)
}

// shortList names the first few of a list.
func shortList(names []string, more int) string {
	const maxShown = 3
	shown := names[:min(maxShown, len(names))]
	more += len(names) - len(shown)
	text := strings.Join(shown, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func showHistory(c *cli.Context) error {
	if c.NArg() != 1 {
		return could(errors.New("expected one argument after the flags: the number, or the beginning of the revision"))
	}
	past, err := openPast(c)
	if err != nil {
		return could(err)
	}
	e, err := past.entry(c, c.Args().First())
	if err != nil {
		return could(err)
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, e)
	}
	line := func(name, format string, args ...any) {
		terminal.Fprintf(c.App.Writer, "%-9s %s\n", name, terminal.Sprintf(format, args...))
	}
	line("number", "%d", e.Seq)
	line("revision", "%s", e.Revision)
	line("served", "from %s until %s", e.ServedFrom.Local().Format(time.DateTime), untilText(e))
	line("trigger", "%s", e.Trigger)
	line("actor", "%s", e.Actor)
	if e.Control != nil {
		line("order", "%s", strings.TrimSuffix(e.Control.Order+" by "+e.Control.Actor+": "+e.Control.Reason, ": "))
	}
	line("packages", "%s", strings.Join(e.Packages, ", "))
	for _, file := range e.Changed {
		line("changed", "%s", file)
	}
	if e.ChangedMore > 0 {
		line("", "and %d more", e.ChangedMore)
	}
	if !e.Kept {
		line("swept", "its files are no longer kept")
	}
	return nil
}
