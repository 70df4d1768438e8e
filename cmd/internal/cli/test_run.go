package cli

import (
	"context"
	"errors"
	"os"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"

	"github.com/urfave/cli/v2"
)

var errTestsFailed = errors.New("tests failed")

// runTests runs the tests once. A failed test is an error.
func runTests(ctx context.Context, c *cli.Context) error {
	_, src, err := openSource(c)
	if err != nil {
		return err
	}
	suite, err := engine.LoadSuite(ctx, src)
	var refused *engine.Refused
	if errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		report.Write(c.App.Writer, refused.Diagnostics)
	}
	if err != nil {
		return err
	}
	progress := testrun.NewProgress(os.Stderr, testrun.Count(suite))
	outcome, err := testrun.Run(ctx, suite, testrun.Options{
		Filter: c.String("run"), Cover: withCoverage(c), Bench: c.Bool("bench"),
		Trace: c.Bool("verbose") && !withCoverage(c), Done: progress.Add,
	})
	progress.Clear()
	if err != nil {
		return err
	}
	if !c.Bool("bench") {
		if err := testrun.Explain(ctx, suite, outcome.Failed()); err != nil {
			return err
		}
	}
	if err := testOutput(c).Write(outcome); err != nil {
		return err
	}
	switch {
	case len(outcome.Results) == 0:
		return errors.New("no tests found: a test is a rule whose name begins with test_ in a *_test.rego file")
	case len(outcome.Failed()) > 0:
		return errTestsFailed
	case outcome.Skipped() > 0 && !c.Bool("exit-zero-on-skipped"):
		return errors.New("tests were skipped: their names begin with todo_")
	}
	return nil
}
