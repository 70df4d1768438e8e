package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"defenseclaw/cmd/internal/testrun"

	"github.com/urfave/cli/v2"
)

func testCommand() *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "run the Rego tests of a policy directory",
		ArgsUsage: "[DIR]",
		Flags: append(dirFlags(),
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show passed tests, and the trace of failed ones"},
			&cli.StringFlag{Name: "run", Usage: "run only tests whose name matches `REGEXP`"},
			&cli.StringFlag{Name: "format", Value: "pretty", Usage: "print results as `FORMAT`: pretty, json or junit"},
			&cli.BoolFlag{Name: "coverage", Usage: "show which lines no test reached"},
			&cli.StringFlag{
				Name: "coverage-format", Value: "pretty",
				Usage: "print the coverage as `FORMAT`: pretty, json or lcov; with json and lcov the results go to standard error",
			},
			&cli.Float64Flag{Name: "threshold", Usage: "fail if the tests reach less than `PERCENT` of the policy's lines; implies --coverage"},
			strictFlag(),
			&cli.BoolFlag{Name: "bench", Usage: "repeat each test and show how long it takes"},
			&cli.BoolFlag{Name: "exit-zero-on-skipped", Usage: "do not fail if tests are skipped (those whose names begin with todo_)"},
			&cli.BoolFlag{Name: "watch", Usage: "run again after each change of a file, until interrupted"},
		),
		Action: func(c *cli.Context) error {
			if err := testOutput(c, nil).Check(); err != nil {
				return err
			}
			if err := checkTestFlags(c); err != nil {
				return errors.Join(err, testOutput(c, nil).WriteError(err))
			}
			if c.Bool("watch") && os.Getenv(supervisedVariable) == "" {
				return watchTests(c)
			}
			return runTests(c.Context, c)
		},
		OnUsageError: usageError,
	}
}

func checkTestFlags(c *cli.Context) error {
	if _, err := namedDirectory(c, c.Args().Slice()); err != nil {
		return err
	}
	if _, err := regexp.Compile(c.String("run")); err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	if n := c.Float64("threshold"); !(n >= 0 && n <= 100) {
		return fmt.Errorf("--threshold is %v: expected a number from 0 to 100", n)
	}
	if c.Bool("bench") && withCoverage(c) {
		return errors.New("--bench and --coverage cannot be combined: counting lines takes time")
	}
	return nil
}

func testOutput(c *cli.Context, place func(string) string) testrun.Output {
	return testrun.Output{
		Stdout: c.App.Writer, Stderr: c.App.ErrWriter,
		Format: c.String("format"), CoverageFormat: c.String("coverage-format"),
		Coverage: withCoverage(c), Verbose: c.Bool("verbose"), Bench: c.Bool("bench"), Place: place,
	}
}

func withCoverage(c *cli.Context) bool {
	return c.Bool("coverage") || c.IsSet("coverage-format") || c.IsSet("threshold")
}
