package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

// followFlags are the filters that make sense for what is yet to come.
func followFlags() []cli.Flag {
	return slices.DeleteFunc(filterFlags(), func(f cli.Flag) bool {
		return slices.Contains([]string{"until", "before", "after", "since", "limit", "request-id"}, f.Names()[0])
	})
}

const followEvery = time.Second // how old a record is at most when it is shown

// followRecords shows the newest records, and then new ones. It goes on after the sidecar was away.
func followRecords(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	filter, err := filterOf(c)
	if err != nil {
		return err
	}
	if err := filter.Known(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	running, err := client(c)
	if err != nil {
		return err
	}
	filter.Limit = 10
	answer, err := running.Records(ctx, filter)
	if err != nil {
		return err
	}
	show := printRecords
	if c.Bool("json") {
		show = printRecordLines
	} else {
		printRecordHead(c.App.Writer)
	}
	if err := show(c.App.Writer, answer.Records); err != nil {
		return err
	}
	filter.After = newest(answer.Records, 0)
	lost := outage{w: c.App.ErrWriter}
	for pause(ctx, followEvery) {
		if again, err := client(c); err == nil {
			running = again // a sidecar that was started again may have another address
		}
		records, err := newRecords(ctx, running, filter)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			lost.began(err)
			continue
		}
		lost.ended()
		if err := show(c.App.Writer, records); err != nil {
			return err
		}
		filter.After = newest(records, filter.After)
	}
	return nil
}

// newRecords returns all records after filter.After that match, the newest first.
func newRecords(ctx context.Context, running *api.Client, filter audit.Filter) (all []audit.Record, err error) {
	filter.Limit = 1000
	for {
		answer, err := running.Records(ctx, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, answer.Records...)
		if filter.Before = answer.Next; answer.Next == 0 {
			return all, nil
		}
	}
}

func newest(records []audit.Record, otherwise int64) int64 {
	if len(records) == 0 {
		return otherwise
	}
	return records[0].Seq
}

// printRecordHead begins a table whose later lines are not known yet: its columns have the widths of usual values.
func printRecordHead(w io.Writer) {
	fmt.Fprintf(w, followLine, "SEQ", "TIME", "ACTION", "OUTCOME", "ACTOR", "MESSAGE")
}

const followLine = "%-6v %-23s %-18s %-9s %-16s %s\n"

// printRecords prints records, the oldest first.
func printRecords(w io.Writer, records []audit.Record) error {
	for _, r := range slices.Backward(records) {
		message := r.Message
		if message == "" {
			message = r.Target
		}
		_, err := terminal.Fprintf(w, followLine, r.Seq, r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Action, r.Outcome, r.Actor, report.FirstLine(message))
		if err != nil {
			return err
		}
	}
	return nil
}

// printRecordLines prints records as lines of JSON, the oldest first.
func printRecordLines(w io.Writer, records []audit.Record) error {
	lines := json.NewEncoder(w)
	for _, r := range slices.Backward(records) {
		if err := lines.Encode(exported{Timestamp: r.Time, Record: r}); err != nil {
			return err
		}
	}
	return nil
}
