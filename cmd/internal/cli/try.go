package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"
	engineexplain "defenseclaw/engine/explain"

	"github.com/urfave/cli/v2"
)

func tryCommand() *cli.Command {
	return &cli.Command{
		Name:      "try",
		Usage:     "evaluate one document, for example b/allow, against a directory or the running sidecar, and say why",
		ArgsUsage: "PATH [DIR]",
		Flags: append(append(dirFlags(), settingFlags("api-bind", "api-port", "api-socket", "tls-cert", "client-cert", "client-key")...),
			&cli.StringFlag{Name: "at", Usage: "evaluate a policy that served, `N` of the history: its number, or the beginning of its revision"},
			&cli.BoolFlag{Name: "live", Usage: "ask the running sidecar, not a directory"},
			&cli.StringFlag{Name: "input", Usage: "read the input, JSON, from `FILE`; without this flag from standard input, unless that is a terminal"},
			&cli.BoolFlag{Name: "explain", Usage: "show which rules fired, and which conditions failed with which values"},
			&cli.BoolFlag{Name: "coverage", Usage: "show which lines were not reached, of the files that were"},
			&cli.BoolFlag{Name: "tier", Usage: "compare a compiled program with OPA's evaluator on this input: their answers, the median time of each, and why there is no program"},
			strictFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		Action:       try,
		OnUsageError: usageError,
	}
}

func strictFlag() cli.Flag {
	return &cli.BoolFlag{Name: "strict-builtin-errors", Usage: "an error of a builtin is an error; without this flag it makes what called the builtin undefined, as in OPA"}
}

func try(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return &exitError{exitUsage, errors.New("expected a path, for example b/allow, and at most one directory")}
	}
	path, err := engineexplain.ParsePath(c.Args().First())
	if err != nil {
		return err
	}
	input, err := explain.ReadInput(c.String("input"), os.Stdin)
	if err != nil {
		return err
	}
	evaluate := tryDirectory
	if c.String("at") != "" {
		evaluate = tryPast
	}
	if c.Bool("live") {
		evaluate = tryLive
	}
	c.Context = printing(c)
	answer, err := evaluate(c, path, input)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = report.JSON(c.App.Writer, answer)
	} else {
		err = answer.Write(c.App.Writer)
	}
	return errors.Join(err, answer.Tiers.Err())
}

// printing is the context for evaluations whose print() calls write to standard error, as OPA's commands have it.
func printing(c *cli.Context) context.Context {
	return engine.WithPrinter(c.Context, func(p engine.Printed) { fmt.Fprintln(c.App.ErrWriter, p.Text) })
}

// tryPast evaluates a policy of the history, which is read in the data directory whether or not the sidecar runs.
func tryPast(c *cli.Context, path engine.Path, input json.RawMessage) (explain.Answer, error) {
	if c.IsSet("rego-dir") || c.Bool("embedded") || c.NArg() > 1 {
		return explain.Answer{}, errors.New("--at cannot be combined with --rego-dir, DIR or --embedded: the history is that of --policy-dir")
	}
	store, err := localPast(c)
	if err != nil {
		return explain.Answer{}, err
	}
	r, found, err := openEntry(c, store, c.String("at"))
	if err != nil {
		return explain.Answer{}, err
	}
	g, err := engine.Load(c.Context, found.FS, nil)
	if err != nil {
		return explain.Answer{}, fmt.Errorf("generation %d of the history: %w", r.Seq, err)
	}
	return explain.Evaluate(c.Context, g, path, input, explainOptions(c))
}

func explainOptions(c *cli.Context) explain.Options {
	return explain.Options{Explain: c.Bool("explain"), Coverage: c.Bool("coverage"), Strict: c.Bool("strict-builtin-errors"), Tiers: c.Bool("tier")}
}

func tryDirectory(c *cli.Context, path engine.Path, input json.RawMessage) (explain.Answer, error) {
	dir, g, err := placedGeneration(c, c.Args().Tail()...)
	if err != nil {
		return explain.Answer{}, err
	}
	options := explainOptions(c)
	options.Place = placeForPeople(c, placeIn(dir))
	return explain.Evaluate(c.Context, g, path, input, options)
}
