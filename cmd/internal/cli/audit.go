package cli

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"defenseclaw/api"
	"defenseclaw/api/audit"

	"github.com/urfave/cli/v2"
)

func auditCommand() *cli.Command {
	flags := append(clientFlags(),
		&cli.StringFlag{Name: "file", Usage: "read the database in `FILE`, a copy or that of a sidecar that is stopped, in place of the running sidecar's"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON"})
	return &cli.Command{
		Name:            "audit",
		Usage:           "read and verify the record of what the sidecar did",
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          needsCommand,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show records, newest first", OnUsageError: usageError, Action: listRecords,
				Flags: append(filterFlags(), flags...),
			},
			{
				Name: "verify", Usage: "find records that were altered, removed or inserted: exit 1 when there are any",
				OnUsageError: usageError, Action: verifyRecords,
				Flags: append([]cli.Flag{&cli.StringSliceFlag{Name: "head", Usage: "expect the record `SEQ:HASH`, as an earlier verify printed it"}}, flags...),
			},
		},
	}
}

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

// recordSource is where records can be read: the running sidecar, or a file.
type recordSource struct {
	records func(audit.Filter) (api.RecordsAnswer, error)
	verify  func(...audit.Head) (audit.VerifyReport, error)
	done    func() error
}

func openRecords(c *cli.Context) (recordSource, error) {
	if err := noArguments(c); err != nil {
		return recordSource{}, err
	}
	if c.String("file") == "" {
		running, err := client(c)
		if err != nil {
			return recordSource{}, err
		}
		return recordSource{
			func(f audit.Filter) (api.RecordsAnswer, error) { return running.Records(c.Context, f) },
			func(noted ...audit.Head) (audit.VerifyReport, error) { return running.Verify(c.Context, noted...) },
			func() error { return nil },
		}, nil
	}
	reader, err := audit.OpenReadOnly(c.Context, c.String("file"))
	if err != nil {
		return recordSource{}, err
	}
	return recordSource{
		func(f audit.Filter) (api.RecordsAnswer, error) {
			found, err := reader.Query(c.Context, f)
			return api.NewRecordsAnswer(found, f), err
		},
		func(noted ...audit.Head) (audit.VerifyReport, error) { return reader.Verify(c.Context, noted...) },
		reader.Close,
	}, nil
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
		return indented(c.App.Writer, answer)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SEQ\tTIME\tACTION\tOUTCOME\tACTOR\tTARGET\tMESSAGE")
	for _, r := range answer.Records {
		when := r.Time.Local().Format("2006-01-02 15:04:05.000")
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Seq, when, r.Action, r.Outcome, r.Actor, r.Target, firstLine(r.Message))
	}
	if err := table.Flush(); err != nil || answer.Next == 0 {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "older records: --before %d\n", answer.Next)
	return err
}

func verifyRecords(c *cli.Context) error {
	var noted []audit.Head
	for _, text := range c.StringSlice("head") {
		head, err := api.ParseHead(text)
		if err != nil {
			return fmt.Errorf("--%w", err)
		}
		noted = append(noted, head)
	}
	from, err := openRecords(c)
	if err != nil {
		return err
	}
	defer from.done() //nolint:errcheck // it was only read
	report, err := from.verify(noted...)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = indented(c.App.Writer, report)
	} else {
		printVerification(c.App.Writer, report)
	}
	if err == nil && !report.OK {
		return &exitError{code: exitFailure}
	}
	return err
}

func printVerification(w io.Writer, report audit.VerifyReport) {
	for _, p := range report.Problems {
		fmt.Fprintf(w, "%s: %s\n", p.Kind, p.Message)
	}
	if report.MoreProblems > 0 {
		fmt.Fprintf(w, "and %d more problems\n", report.MoreProblems)
	}
	if report.OK {
		fmt.Fprintf(w, "%d records are as they were written\n", report.Records)
	}
	fmt.Fprintf(w, "head %d:%s\n", report.Head.Seq, report.Head.Hash)
}
