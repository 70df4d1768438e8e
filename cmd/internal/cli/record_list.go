package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func recordListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the recorded decisions without their inputs, the newest first", Action: recordList, OnUsageError: usageError,
		Flags: append(clientFlags(),
			&cli.StringFlag{Name: "path", Usage: "only those of the document at `PATH` and below it"},
			&cli.StringFlag{Name: "outcome", Usage: "only those with OUTCOME: " + strings.Join(api.RecordedOutcomes(), ", ")},
			&cli.StringFlag{Name: "revision", Usage: "only those that REVISION decided: serving, a number of the history, or the beginning of a revision"},
			&cli.StringFlag{Name: "text", Usage: "only those with `TEXT` in path, result, error or identifier, or in the input if the token has the scope change"},
			&cli.IntFlag{Name: "limit", Value: 50, Usage: "at most `N`, up to 500"},
			&cli.StringFlag{Name: "before", Usage: "only older ones than `PLACE`: a time, or what ends the page before"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"}),
	}
}

func recordList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	list, err := running.RecordedDecisions(c.Context, api.RecordedQuery{
		Path: c.String("path"), Outcome: c.String("outcome"), Revision: c.String("revision"), Text: c.String("text"),
		Before: c.String("before"), Limit: c.Int("limit"),
	})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, list)
	}
	printRecorded(c.App.Writer, list)
	return nil
}

func printRecorded(w io.Writer, list api.RecordedList) {
	if len(list.Decisions) == 0 && list.Next == "" {
		fmt.Fprintln(w, "no recorded decision is like this")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tOUTCOME\tPATH\tRESULT\tFOR\tDECISION")
	for _, d := range list.Decisions {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.0f\t%s\n", d.Time.Local().Format(time.DateTime), d.Outcome, terminal.Text(d.Path),
			terminal.Text(resultOf(d)), d.Seen, terminal.Text(d.DecisionID))
	}
	_ = table.Flush() // to a terminal
	if list.Next != "" {
		terminal.Fprintf(w, "older ones: --before %s\n", list.Next)
	}
}

// resultOf is the result in few words.
func resultOf(d api.RecordedSummary) string {
	const most = 40
	text := []rune(cmp.Or(d.Error, d.ResultBegins, string(d.Result), "undefined"))
	if len(text) > most {
		text = append(text[:most], '…')
	}
	return string(text)
}

func recordShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", ArgsUsage: "DECISION_ID", OnUsageError: usageError, Action: recordShow,
		Usage: "print one recorded decision with its input, masked, as JSON; or a Rego test of it",
		Flags: append(clientFlags(), &cli.BoolFlag{Name: "test", Usage: "print a test that holds as the decision is on record"}),
	}
}

func recordShow(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("expected one argument after the flags: the identifier of a decision")
	}
	running, err := client(c)
	if err != nil {
		return err
	}
	if !c.Bool("test") {
		decision, err := running.RecordedDecision(c.Context, c.Args().First())
		if err != nil {
			return err
		}
		return report.JSON(c.App.Writer, decision)
	}
	test, err := running.RecordedTest(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	for _, note := range test.Notes {
		terminal.Fprintf(c.App.ErrWriter, "%s\n", note)
	}
	_, err = io.WriteString(c.App.Writer, test.Test)
	return err
}
