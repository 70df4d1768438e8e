package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"

	"github.com/urfave/cli/v2"
)

func blameCommand() *cli.Command {
	return &cli.Command{
		Name: "blame", ArgsUsage: "PATH|FILE:LINE", OnUsageError: usageError2, Action: blame,
		Usage: "say who changed a rule or a place of data last, and before that: data.p.allow, p/allow, or FILE:LINE of a rule",
		Flags: append(append(clientFlags(), settingFlags("policy-dir")...), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
	}
}

func blame(c *cli.Context) error {
	if c.NArg() != 1 {
		return could(errors.New("expected one argument after the flags: a path such as data.p.allow, or FILE:LINE"))
	}
	past, err := openPast(c)
	if err != nil {
		return could(err)
	}
	answer, err := past.blame(c, c.Args().First())
	if err != nil {
		return could(err)
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, answer)
	}
	return printBlame(c.App.Writer, answer)
}

func (p pastSource) blame(c *cli.Context, text string) (api.BlameAnswer, error) {
	if p.running != nil {
		return p.running.Blame(c.Context, text)
	}
	var newest *engine.Generation // the lines are those of what served last
	if records, err := p.local.Records(); err == nil && len(records) > 0 {
		newest, _ = generationAt(c.Context, p.local, records[0])
	}
	path, err := api.BlamePath(newest, text)
	if err != nil {
		return api.BlameAnswer{}, err
	}
	return api.Blame(p.local, path)
}

func printBlame(w io.Writer, answer api.BlameAnswer) error {
	if answer.Place != answer.Path {
		terminal.Fprintf(w, "%s is told of as a part of %s\n", answer.Path, answer.Place)
	}
	changes := []api.BlameChange{answer.Newest}
	if answer.Before != nil {
		changes = append(changes, *answer.Before)
	}
	for _, change := range changes {
		e, what := change.Entry, change.Change
		if what == "there" {
			what = "there since or before"
		}
		more := ""
		if change.Since != 0 && change.Since+1 != e.Seq {
			more = fmt.Sprintf(" (compared with number %d)", change.Since)
		}
		if _, err := terminal.Fprintf(w, "%s %s: number %d of the history, %s, by %s (%s)%s\n", answer.Place, what, e.Seq,
			e.ServedFrom.Local().Format(time.DateTime), e.Actor, e.Trigger, more); err != nil {
			return err
		}
	}
	return nil
}
