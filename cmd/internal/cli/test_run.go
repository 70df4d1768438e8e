package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/urfave/cli/v2"
)

var errTestsFailed = errors.New("tests failed")

// runTests runs the tests once, until they end or the process is told to end. A failed test is an error.
func runTests(ctx context.Context, c *cli.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if os.Getenv(supervisedVariable) == "" {
		context.AfterFunc(ctx, stop) // a second signal ends the process
		if c.String("format") != "pretty" {
			return superviseTests(ctx, c)
		}
	}
	dir, outcome, err := outcomeOfTests(ctx, c)
	out := testOutput(c, placeIn(dir))
	switch {
	case outcome == nil:
		return errors.Join(drawnApart(dir, err, out.Format == "pretty"), out.WriteError(err))
	case err != nil:
		outcome.Add(err)
	}
	if err := errors.Join(err, out.Write(outcome)); err != nil {
		return err
	}
	switch {
	case len(outcome.Results) == 0:
		return errors.New("no tests found: a test is a rule whose name begins with test_ in a *_test.rego file")
	case len(outcome.Failed()) > 0:
		return errTestsFailed
	case outcome.Skipped() > 0 && !c.Bool("exit-zero-on-skipped"):
		return errors.New("tests were skipped: their names begin with todo_")
	case c.IsSet("threshold"):
		return checkThreshold(outcome.Coverage, c.Float64("threshold"))
	}
	return nil
}

func checkThreshold(coverage *cover.Report, threshold float64) error {
	share, covered, lines := testrun.Share(coverage)
	if lines > 0 && share < threshold {
		return fmt.Errorf("the tests reach %.1f%% of the policy's lines, %d of %d, which is less than --threshold %v", share, covered, lines, threshold)
	}
	return nil
}

// supervisedVariable is set in the process that superviseTests starts.
const supervisedVariable = "DEFENSECLAW_TEST_SUPERVISED"

// graceTime is for the results until an interruption. CI systems wait longer between SIGTERM and SIGKILL.
const graceTime = 5 * time.Second

// superviseTests runs this command in a process of its own, so that its format is kept also if that crashes.
func superviseTests(ctx context.Context, c *cli.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(program) //nolint:gosec,noctx // this program; Supervise ends it with ctx, in two steps
	child.Args, child.Env, child.Stdin = os.Args, append(os.Environ(), supervisedVariable+"=1"), os.Stdin
	output, code, err := testrun.Supervise(ctx, child, c.App.ErrWriter, graceTime)
	if err != nil {
		return errors.Join(err, testOutput(c, nil).WriteError(err))
	}
	if _, err := c.App.Writer.Write(output); err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code: code} // the process has printed the error
	}
	return nil
}

// outcomeOfTests returns the outcome, with an error if it is not complete, and the directory. The outcome is nil if no test ran.
func outcomeOfTests(ctx context.Context, c *cli.Context) (dir string, outcome *testrun.Outcome, err error) {
	dir, src, err := openSource(c, c.Args().Slice()...)
	if err != nil {
		return dir, nil, err
	}
	suite, err := engine.LoadSuite(ctx, src)
	if err != nil {
		return dir, nil, err
	}
	total, _ := testrun.Count(suite)
	progress := testrun.NewProgress(os.Stderr, total) //nolint:forbidigo // numbers, and the sequences that overwrite them
	outcome, err = testrun.Run(ctx, suite, testrun.Options{
		Filter: c.String("run"), Cover: withCoverage(c), Bench: c.Bool("bench"),
		Trace: c.Bool("verbose") && !withCoverage(c), Strict: c.Bool("strict-builtin-errors"), Done: progress.Add,
	})
	progress.Clear()
	if outcome != nil && ctx.Err() != nil {
		return dir, outcome, fmt.Errorf("interrupted after %d of %d tests", len(outcome.Results), total)
	}
	if err == nil && !c.Bool("bench") {
		err = testrun.Explain(ctx, suite, outcome.Failed())
	}
	return dir, outcome, err
}
