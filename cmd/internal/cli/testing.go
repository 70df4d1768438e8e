package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/frame"
	"defenseclaw/engine"
	"defenseclaw/watcher"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/urfave/cli/v2"
)

func testCommand() *cli.Command {
	return &cli.Command{
		Name:  "test",
		Usage: "run the Rego tests of a policy directory",
		Flags: append(dirFlags(),
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show passed tests, and the trace of failed ones"},
			&cli.StringFlag{Name: "run", Usage: "run only tests whose name matches `REGEXP`"},
			&cli.BoolFlag{Name: "coverage", Usage: "say which lines no test reached"},
			&cli.BoolFlag{Name: "watch", Usage: "run again when files change, until interrupted"},
		),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
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

func runTests(ctx context.Context, c *cli.Context) error {
	_, src, err := source(c)
	if err != nil {
		return err
	}
	suite, err := engine.LoadSuite(ctx, src)
	var refused *engine.Refused
	if errors.As(err, &refused) && len(refused.Diagnostics) > 0 {
		frame.Write(c.App.Writer, api.Diagnostics(refused.Diagnostics))
	}
	if err != nil {
		return err
	}
	coverage := cover.New()
	runner := tester.NewRunner().SetCompiler(suite.Compiler).SetStore(suite.Store).SetModules(suite.Modules).
		CapturePrintOutput(true).RaiseBuiltinErrors(true).SetParallel(runtime.GOMAXPROCS(0)).
		EnableTracing(c.Bool("verbose")).Filter(c.String("run")).SetDefaultRegoVersion(ast.RegoV1)
	if c.Bool("coverage") {
		runner = runner.SetCoverageQueryTracer(coverage)
	}
	txn, err := suite.Store.NewTransaction(ctx)
	if err != nil {
		return err
	}
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		return err
	}
	failed, total := false, 0
	counted := make(chan *tester.Result)
	go func() {
		defer close(counted)
		for r := range results {
			total++
			failed = failed || r.Fail || r.Error != nil
			counted <- r
		}
	}()
	// The reporter reads to the end, so what was counted is complete when it returns.
	err = tester.PrettyReporter{Output: c.App.Writer, Verbose: c.Bool("verbose"), FailureLine: true}.Report(counted)
	if err != nil {
		return err
	}
	if total == 0 {
		return errors.New("no tests found: a test is a rule whose name begins with test_ in a *_test.rego file")
	}
	if c.Bool("coverage") {
		printCoverage(c, coverage.Report(suite.Modules))
	}
	if failed {
		return errTestsFailed
	}
	return nil
}

// printCoverage lists the lines that no test reached, tests themselves left out.
func printCoverage(c *cli.Context, report cover.Report) {
	var files []string
	covered, all := 0, 0
	for name, f := range report.Files {
		if !strings.HasSuffix(name, "_test.rego") {
			files = append(files, name)
			covered += f.CoveredLines
			all += f.CoveredLines + f.NotCoveredLines
		}
	}
	slices.Sort(files)
	for _, name := range files {
		f := report.Files[name]
		fmt.Fprintf(c.App.Writer, "%6.1f%%  %s", f.Coverage, name)
		for _, r := range f.NotCovered {
			if r.Start.Row == r.End.Row {
				fmt.Fprintf(c.App.Writer, " %d", r.Start.Row)
			} else {
				fmt.Fprintf(c.App.Writer, " %d-%d", r.Start.Row, r.End.Row)
			}
		}
		fmt.Fprintln(c.App.Writer)
	}
	if all > 0 {
		fmt.Fprintf(c.App.Writer, "%6.1f%%  of %d lines\n", 100*float64(covered)/float64(all), all)
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
