package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"
	"defenseclaw/watcher"

	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func testCommand() *cli.Command {
	return &cli.Command{
		Name:  "test",
		Usage: "run the Rego tests of a policy directory",
		Flags: append(dirFlags(),
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show passed tests, and the trace of failed ones"},
			&cli.StringFlag{Name: "run", Usage: "run only tests whose name matches `REGEXP`"},
			&cli.StringFlag{Name: "format", Value: "pretty", Usage: "print results as `FORMAT`: pretty, json or junit"},
			&cli.BoolFlag{Name: "coverage", Usage: "say which lines no test reached"},
			&cli.StringFlag{Name: "coverage-format", Value: "pretty", Usage: "print the coverage as `FORMAT`: pretty, json or lcov; json and lcov go to standard output alone, the results to standard error"},
			&cli.BoolFlag{Name: "bench", Usage: "repeat each test and say how long it takes"},
			&cli.BoolFlag{Name: "exit-zero-on-skipped", Usage: "do not fail for tests whose names begin with todo_"},
			&cli.BoolFlag{Name: "watch", Usage: "run again when files change, until interrupted"},
		),
		Action: func(c *cli.Context) error {
			if err := checkTestFlags(c); err != nil {
				return err
			}
			if c.Bool("watch") {
				return watchTests(c)
			}
			return runTests(c.Context, c)
		},
		OnUsageError: usageError,
	}
}

var errTestsFailed = errors.New("tests failed")

func checkTestFlags(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	for name, known := range map[string][]string{"format": {"pretty", "json", "junit"}, "coverage-format": {"pretty", "json", "lcov"}} {
		if !slices.Contains(known, c.String(name)) {
			return fmt.Errorf("--%s is %q: %s or %s was expected", name, c.String(name), strings.Join(known[:2], ", "), known[2])
		}
	}
	if _, err := regexp.Compile(c.String("run")); err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	if c.Bool("bench") && withCoverage(c) {
		return errors.New("--bench and --coverage exclude each other: what is counted takes longer")
	}
	return nil
}

func withCoverage(c *cli.Context) bool { return c.Bool("coverage") || c.IsSet("coverage-format") }

func runTests(ctx context.Context, c *cli.Context) error {
	_, src, err := source(c)
	if err != nil {
		return err
	}
	suite, err := engine.LoadSuite(ctx, src)
	var refused *engine.Refused
	if errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		report.Write(c.App.Writer, api.Diagnostics(refused.Diagnostics))
	}
	if err != nil {
		return err
	}
	shown := newProgress(testrun.Count(suite))
	outcome, err := testrun.Run(ctx, suite, testrun.Options{
		Filter: c.String("run"), Cover: withCoverage(c), Bench: c.Bool("bench"),
		Trace: c.Bool("verbose") && !withCoverage(c), Done: shown.add,
	})
	shown.clear()
	if err != nil {
		return err
	}
	if !c.Bool("bench") {
		if err := testrun.Explain(ctx, suite, outcome.Failed()); err != nil {
			return err
		}
	}
	if err := printTests(c, outcome); err != nil {
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

func printTests(c *cli.Context, outcome *testrun.Outcome) error {
	results, alone := c.App.Writer, withCoverage(c) && c.String("coverage-format") != "pretty"
	if alone {
		results = os.Stderr
	}
	if err := printResults(c, results, outcome); err != nil || !withCoverage(c) {
		return err
	}
	switch c.String("coverage-format") {
	case "json":
		return testrun.JSONCoverage(c.App.Writer, outcome.Coverage)
	case "lcov":
		return testrun.LCOV(c.App.Writer, outcome.Coverage)
	default:
		if c.String("format") != "pretty" {
			return testrun.PrettyCoverage(os.Stderr, outcome.Coverage)
		}
		return testrun.PrettyCoverage(c.App.Writer, outcome.Coverage)
	}
}

func printResults(c *cli.Context, w io.Writer, outcome *testrun.Outcome) error {
	switch c.String("format") {
	case "json":
		if !c.Bool("verbose") {
			for _, r := range outcome.Results {
				r.Trace = nil
			}
		}
		return testrun.JSON(w, outcome)
	case "junit":
		return testrun.JUnit(w, outcome)
	default:
		return testrun.Pretty(w, outcome, c.Bool("verbose"), !c.Bool("bench"), c.Bool("bench"))
	}
}

// progress is one line on a terminal's standard error that says how far a long run is.
type progress struct {
	total, done, failed int
	terminal            bool
	shown               time.Time
}

const progressInterval = 100 * time.Millisecond

func newProgress(total int) *progress {
	return &progress{total: total, terminal: term.IsTerminal(int(os.Stderr.Fd())), shown: time.Now()}
}

func (p *progress) add(r *tester.Result) {
	p.done++
	if r.Fail || r.Error != nil {
		p.failed++
	}
	if p.terminal && time.Since(p.shown) >= progressInterval {
		p.shown = time.Now()
		fmt.Fprintf(os.Stderr, "\r\x1b[K%d of %d tests, %d failed", p.done, p.total, p.failed)
	}
}

func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

// watchTests runs the tests at once and after every change. Its exit code is that of the last run.
func watchTests(c *cli.Context) error {
	dir, _, err := source(c)
	if err != nil {
		return err
	}
	if dir == embeddedPack {
		return errors.New("--watch needs a directory: the embedded default pack never changes")
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	w, err := watcher.New(watcher.Config{Root: dir, Relevant: func(rel string) bool {
		return engine.Relevant(rel) || strings.HasSuffix(rel, "_test.rego")
	}})
	if err != nil {
		return err
	}
	changes := make(chan watcher.Change)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, changes) }()
	for {
		select {
		case <-changes: // the first comes when the watch is set
			if err = runTests(ctx, c); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "Error: "+err.Error())
			}
			fmt.Fprintf(os.Stderr, "-- watching %s; interrupt to end --\n", dir)
		case watchErr := <-ended:
			if watchErr != nil {
				return watchErr
			}
			if err != nil {
				return &exitError{code: exitFailure} // it was printed when it happened
			}
			return nil
		}
	}
}
