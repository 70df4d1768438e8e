package cli

import (
	"fmt"
	"io"

	"defenseclaw/api"
	"defenseclaw/api/audit"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

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
	defer from.done() //nolint:errcheck // it was opened for reading
	answer, err := from.verify(noted...)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = report.JSON(c.App.Writer, answer)
	} else {
		printVerification(c.App.Writer, answer)
	}
	if err == nil && !answer.OK {
		return &exitError{code: exitFailure}
	}
	return err
}

func printVerification(w io.Writer, answer audit.VerifyReport) {
	for _, p := range answer.Problems {
		terminal.Fprintf(w, "%s: %s\n", p.Kind, p.Message)
	}
	if answer.MoreProblems > 0 {
		terminal.Fprintf(w, "and %d more problems\n", answer.MoreProblems)
	}
	if answer.OK {
		terminal.Fprintf(w, "%d records are intact\n", answer.Records)
	}
	terminal.Fprintf(w, "head %d:%s\n", answer.Head.Seq, answer.Head.Hash)
}
