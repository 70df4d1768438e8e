package cli

import (
	"errors"
	"io"
	"net/http"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func reviewCommand() *cli.Command {
	return &cli.Command{
		Name:  "review",
		Usage: "show the newest review of a change: what it is, what was found and what came of it; exits with 4 if something was found",
		Flags: append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			sidecar, err := client(c)
			if err != nil {
				return err
			}
			answer, err := sidecar.Review(c.Context)
			if none := new(api.AnswerError); errors.As(err, &none) && none.StatusCode == http.StatusNotFound && !c.Bool("json") {
				terminal.Fprintf(c.App.Writer, "%s\n", none.Message())
				return nil
			}
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = report.JSON(c.App.Writer, answer)
			} else {
				printReview(c.App.Writer, answer)
			}
			if err == nil && len(answer.Findings) > 0 {
				return &exitError{code: exitFound}
			}
			return err
		},
		OnUsageError: usageError,
	}
}

// printReview shows the verdict and the findings, then what differs.
func printReview(w io.Writer, a api.ReviewAnswer) {
	line := func(format string, args ...any) { terminal.Fprintf(w, "%s\n", terminal.Sprintf(format, args...)) }
	line("%s at %s, asked for by %s (%s), mode %s", a.Verdict, a.At.Local().Format(time.DateTime), nameOr(a.Actor), a.Trigger, a.Mode)
	if a.Override != "" {
		line("overridden: %s", a.Override)
	}
	line("digest %s", a.Digest)
	for _, f := range a.Findings {
		place := ""
		if f.File != "" {
			place = terminal.Sprintf(" (%s:%d)", f.File, f.Row)
		}
		line("%-5s %s: %s%s", f.Level, f.Code, f.Message, place)
	}
	if len(a.Findings) == 0 {
		line("no findings")
	}
	for _, what := range a.Review.Incomplete {
		line("not compared or evaluated: %s", what)
	}
	if a.Review.Base == nil {
		a.Review.Base = &api.ReviewSide{Name: "nothing"}
	}
	printStat(w, a.Review)
	printRules(w, a.Review)
}

func nameOr(actor string) string {
	if actor == "" {
		return "unknown"
	}
	return actor
}
