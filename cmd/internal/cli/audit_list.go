package cli

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/report"
)

// filters are the flags of audit list; without their dashes they are parameters of the route.
var filters = []struct{ name, usage string }{
	{"action", "only records of `ACTION`, such as policy-reload"},
	{"actor", "only what `ACTOR` did"},
	{"target", "only what was done to `TARGET`"},
	{"outcome", "only what ended as `OUTCOME`: applied, unchanged, refused or failed"},
	{"severity", "only records of `SEVERITY`: INFO, WARN or HIGH"},
	{"request-id", "only what the request with `ID` led to"},
	{"since", "only records from `TIME` on: RFC 3339, or a date"},
	{"until", "only records before `TIME`"},
	{"before", "only records before number `SEQ`: the next page"},
	{"after", "only records after number `SEQ`"},
	{"limit", "at most `N` records: 100 unless told, 1000 at most"},
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

func listRecords(c *cli.Context) error {
	filter, err := filterOf(c)
	if err != nil {
		return err
	}
	from, err := openRecords(c)
	if err != nil {
		return err
	}
	defer from.done() //nolint:errcheck // it was only read
	answer, err := from.records(filter)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, answer)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SEQ\tTIME\tACTION\tOUTCOME\tACTOR\tTARGET\tMESSAGE")
	for _, r := range answer.Records {
		when := r.Time.Local().Format("2006-01-02 15:04:05.000")
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Seq, when, r.Action, r.Outcome, r.Actor, r.Target, report.FirstLine(r.Message))
	}
	if err := table.Flush(); err != nil || answer.Next == 0 {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "older records: --before %d\n", answer.Next)
	return err
}
