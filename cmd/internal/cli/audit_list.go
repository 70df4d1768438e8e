package cli

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// filters are the filter flags of audit list. With underscores, their names are the route's parameters.
var filters = []struct{ name, usage string }{
	{"action", "only records of `ACTION`, for example policy-reload"},
	{"actor", "only actions of `ACTOR`"},
	{"target", "only actions on `TARGET`"},
	{"outcome", "only records with `OUTCOME`: applied, unchanged, refused or failed"},
	{"severity", "only records of `SEVERITY`: INFO, WARN or HIGH"},
	{"request-id", "only records that the request with `ID` caused"},
	{"since", "only records at or after `TIME`: RFC 3339, a date, or a span before now such as 90m or 7d"},
	{"until", "only records before `TIME`"},
	{"before", "only records with a number below `SEQ`, for the next page"},
	{"after", "only records with a number above `SEQ`"},
	{"limit", "at most `N` records, up to 1000 (default: 100)"},
}

func filterFlags() (flags []cli.Flag) {
	for _, f := range filters {
		flags = append(flags, &cli.StringFlag{Name: f.name, Usage: f.usage})
	}
	return flags
}

func filterOf(c *cli.Context) (audit.Filter, error) {
	query := url.Values{}
	for _, f := range filters {
		if c.IsSet(f.name) {
			query.Set(strings.ReplaceAll(f.name, "-", "_"), c.String(f.name))
		}
	}
	filter, err := audit.ParseFilter(query)
	if err != nil {
		return filter, fmt.Errorf("--%w", err)
	}
	return filter, nil
}

// recordHead is the head of a table of records.
const recordHead = "SEQ\tTIME\tACTION\tOUTCOME\tACTOR\tTARGET\tMESSAGE"

func printRecord(table io.Writer, r audit.Record) {
	when := r.Time.Local().Format("2006-01-02 15:04:05.000")
	terminal.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Seq, when, r.Action, r.Outcome, r.Actor, r.Target, report.FirstLine(r.Message))
}

func listRecords(c *cli.Context) error {
	filter, err := filterOf(c)
	if err != nil {
		return err
	}
	from, err := openRecords(c)
	if err != nil {
		return err
	}
	defer from.done() //nolint:errcheck // it was opened for reading
	answer, err := from.records(filter)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, answer)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, recordHead)
	for _, r := range answer.Records {
		printRecord(table, r)
	}
	if err := table.Flush(); err != nil || answer.Next == 0 {
		return err
	}
	_, err = terminal.Fprintf(c.App.Writer, "older records: --before %d\n", answer.Next)
	return err
}
