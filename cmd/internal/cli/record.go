package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func recordCommand() *cli.Command {
	asJSON := &cli.BoolFlag{Name: "json", Usage: "print JSON"}
	return &cli.Command{
		Name: "record", Usage: "show, list, export or forget the decisions that the sidecar has recorded",
		Flags: append(clientFlags(), asJSON), Action: recordStatus, OnUsageError: usageError, HideHelpCommand: true,
		Subcommands: []*cli.Command{
			{
				Name: "status", Usage: "say how many decisions are recorded, of which paths, and what is not recorded and why",
				Flags: append(clientFlags(), asJSON), Action: recordStatus, OnUsageError: usageError,
			},
			recordListCommand(), recordShowCommand(),
			{
				Name: "export", Usage: "print the recorded decisions, masked, in the format of OPA's decision log, one a line",
				Flags: clientFlags(), Action: recordExport, OnUsageError: usageError,
			},
			{
				Name: "clear", Usage: "forget the recorded decisions, in memory and on disk", Flags: clientFlags(), Action: recordClear, OnUsageError: usageError,
			},
		},
	}
}

func recordStatus(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	answer, err := running.Recordings(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		encoder := json.NewEncoder(c.App.Writer)
		encoder.SetIndent("", "  ")
		return encoder.Encode(answer)
	}
	printRecordings(c.App.Writer, answer)
	return nil
}

func printRecordings(w io.Writer, a api.RecordingsAnswer) {
	fmt.Fprintf(w, "%s of %s, %s, stand for %s\n", terminal.Count(a.Records, "recorded decision"), terminal.Count(a.Strata, "kind"), size(a.Bytes), terminal.Count(int(a.Seen), "decision"))
	switch {
	case a.Dir == "":
		fmt.Fprintln(w, "in memory only, at most", size(a.MaxBytes))
	case a.SavedAt == nil:
		terminal.Fprintf(w, "kept in %s%s; not saved yet\n", a.Dir, encryptedText(a.Encrypted))
	default:
		terminal.Fprintf(w, "kept in %s%s; saved %s\n", a.Dir, encryptedText(a.Encrypted), a.SavedAt.Local().Format(time.DateTime))
	}
	if a.Damaged != "" {
		terminal.Fprintf(w, "those of earlier runs are lost: %s\n", a.Damaged)
	}
	if a.Error != "" {
		terminal.Fprintf(w, "the last save failed: %s\n", a.Error)
	}
	var dropped []string
	for _, reason := range slices.Sorted(maps.Keys(a.Dropped)) {
		dropped = append(dropped, fmt.Sprintf("%d %s", a.Dropped[reason], reason))
	}
	if len(dropped) > 0 {
		terminal.Fprintf(w, "not recorded: %s\n", strings.Join(dropped, ", "))
	}
	if len(a.Paths) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nPATH\tRECORDS\tKINDS\tDECISIONS")
	for _, p := range a.Paths {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", terminal.Text(p.Path), p.Records, p.Strata, p.Seen)
	}
	_ = table.Flush() // to a terminal
	if a.More > 0 {
		fmt.Fprintf(w, "and %s more\n", terminal.Count(a.More, "path"))
	}
}

func encryptedText(encrypted bool) string {
	if encrypted {
		return ", encrypted"
	}
	return ""
}

func size(bytes int) string {
	const kib = 1 << 10
	if bytes < kib*kib {
		return fmt.Sprintf("%d KiB", (bytes+kib-1)/kib)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(kib*kib))
}

func recordExport(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	events, err := running.RecordedEvents(c.Context)
	if err != nil {
		return err
	}
	_, err = c.App.Writer.Write(events)
	return err
}

func recordClear(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	if err := running.ClearRecordings(c.Context); err != nil {
		return err
	}
	fmt.Fprintln(c.App.Writer, "the recorded decisions are forgotten")
	return nil
}
