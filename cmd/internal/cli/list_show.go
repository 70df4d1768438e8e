package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func showLists(c *cli.Context) error {
	only := ""
	if c.Args().Present() {
		var err error
		if only, err = listOf(c); err != nil {
			return err
		}
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	lists, err := running.Lists(c.Context)
	if err != nil {
		return err
	}
	switch only {
	case audit.ListBlock:
		lists.Allow = []audit.Entry{}
	case audit.ListAllow:
		lists.Block = []audit.Entry{}
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, lists)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "LIST\tTARGET\tSINCE\tUNTIL\tBY\tREASON")
	for _, e := range append(lists.Block, lists.Allow...) {
		reason := e.Reason
		if e.SourcePath != "" {
			reason += " (from " + e.SourcePath + " only)"
		}
		terminal.Fprintf(table, "%s\t%s/%s\t%s\t%s\t%s\t%s\n",
			e.List, e.TargetType, e.TargetName, e.CreatedAt.Local().Format(time.DateTime), untilOf(e), e.Actor, reason)
	}
	return table.Flush()
}

// untilOf says when an entry ends.
func untilOf(e audit.Entry) string {
	switch {
	case e.ExpiresAt.IsZero():
		return "removed"
	case e.ExpiresAt.Before(time.Now()):
		return "expired"
	default:
		return e.ExpiresAt.Local().Format(time.DateTime)
	}
}
