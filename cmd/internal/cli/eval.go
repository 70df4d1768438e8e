package cli

import (
	"errors"
	"io"
	"os"

	"defenseclaw/cmd/internal/explain"
	"defenseclaw/cmd/internal/query"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/urfave/cli/v2"
)

func evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "evaluate a Rego query, such as data.app.allow or 'some u in data.users; u.admin', with a policy directory",
		ArgsUsage: "QUERY [DIR], with - for a query on standard input",
		Flags: append(dirFlags(),
			&cli.StringSliceFlag{Name: "data", Aliases: []string{"d"}, Usage: "use `DIR`, or single files of Rego, JSON and YAML, as the policy; may be repeated for files"},
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "read the input, JSON or YAML, from `FILE`; - is standard input (default: none)"},
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "pretty", Usage: "print the result as `FORMAT`: pretty, json, raw, values, bindings, discard, or with --partial source"},
			&cli.StringFlag{Name: "package", Usage: "read the query as if it stood in the package `PATH`"},
			&cli.StringSliceFlag{Name: "import", Usage: "read the query with an import of `PATH`, such as 'data.app.users as u'; may be repeated"},
			&cli.BoolFlag{Name: "partial", Aliases: []string{"p"}, Usage: "evaluate as far as the unknowns allow, and print what is left"},
			&cli.StringSliceFlag{Name: "unknowns", Aliases: []string{"u"}, Usage: "with --partial: `REF` is not known, such as input.user (default: input)"},
			&cli.BoolFlag{Name: "explain", Usage: "show which rules fired, and which conditions failed with which values"},
			&cli.BoolFlag{Name: "coverage", Usage: "show which lines were not reached, of the files that were"},
			&cli.BoolFlag{Name: "profile", Usage: "show which expressions took the most time"},
			&cli.IntFlag{Name: "profile-limit", Value: 10, Usage: "show `N` expressions of the profile; 0: all"},
			&cli.StringSliceFlag{Name: "profile-sort", Usage: "order the profile by `KEY`: total_time_ns, num_eval, num_redo, num_gen_expr, file or line; may be repeated"},
			&cli.BoolFlag{Name: "metrics", Usage: "show how long parsing, compiling and evaluating the query took"},
			&cli.BoolFlag{Name: "instrument", Usage: "show the metrics of the evaluator's parts, too"},
			&cli.IntFlag{Name: "count", Usage: "evaluate `N` times, and show the time of one: mean, percentiles, memory"},
			&cli.BoolFlag{Name: "fail", Usage: "exit with 1 when the query is undefined or has no result"},
			&cli.BoolFlag{Name: "fail-defined", Usage: "exit with 1 when the query has a result"},
			&cli.DurationFlag{Name: "timeout", Usage: "end an evaluation that takes longer (default: none)"},
			strictFlag(),
		),
		Action:       evalQuery,
		OnUsageError: usageError,
	}
}

// evalQuery is policy eval. Its exit code is 2 for every error, so that 1 says what --fail asks.
func evalQuery(c *cli.Context) error {
	answer, err := evaluated(c)
	var told *exitError
	switch {
	case errors.As(err, &told):
		return err
	case err != nil:
		if c.String("format") == "json" {
			answer = query.Answer{Errors: query.ProblemsOf(err)}
			err = errors.Join(err, answer.Write(c.App.Writer, "json"))
		}
		if list := (diagnostic.List)(nil); !errors.As(err, new(*shownError)) && errors.As(err, &list) {
			report.Write(c.App.ErrWriter, list)
			err = errors.New("the query does not compile")
		}
		return &exitError{exitUsage, err}
	}
	if err := answer.Write(c.App.Writer, c.String("format")); err != nil {
		return &exitError{exitUsage, err}
	}
	if answer.Defined() && c.Bool("fail-defined") || !answer.Defined() && c.Bool("fail") {
		return &exitError{code: exitFailure}
	}
	return nil
}

func evaluated(c *cli.Context) (answer query.Answer, err error) {
	text, err := queryArgument(c)
	if err != nil {
		return answer, err
	}
	o := evalOptions(c)
	if err := errors.Join(o.Check(), query.CheckFormat(c.String("format"), o)); err != nil {
		return answer, err
	}
	if c.Bool("fail") && c.Bool("fail-defined") {
		return answer, errors.New("--fail and --fail-defined cannot be combined")
	}
	q, err := query.Parse(text, c.String("package"), c.StringSlice("import"))
	if err != nil {
		return answer, err
	}
	var input ast.Value
	if file := c.String("input"); file != "" {
		body, err := explain.ReadInputFile(file, os.Stdin)
		if err == nil {
			input, err = engine.ParseJSON(body)
		}
		if err != nil {
			return answer, err
		}
	}
	g, place, err := generationOfData(c)
	if err != nil {
		return answer, err
	}
	o.Place = placeForPeople(c, place)
	return query.Evaluate(c.Context, g, text, q, input, o)
}

// queryArgument is the query, and takes the directory that may follow it as --rego-dir.
func queryArgument(c *cli.Context) (string, error) {
	args := c.Args().Slice()
	if len(args) == 0 || len(args) > 2 {
		return "", &exitError{exitUsage, errors.New("expected one query, such as 'data.app.allow', and a directory, or none")}
	}
	if dir, err := namedDirectory(c, args[1:]); err != nil {
		return "", err
	} else if dir != "" {
		if err := c.Set("rego-dir", dir); err != nil {
			return "", err
		}
	}
	if args[0] != "-" {
		return args[0], nil
	}
	if c.String("input") == "-" {
		return "", errors.New("standard input is the query, or the input, but not both")
	}
	text, err := io.ReadAll(os.Stdin)
	return string(text), err
}

func evalOptions(c *cli.Context) query.Options {
	return query.Options{
		Strict: c.Bool("strict-builtin-errors"), Metrics: c.Bool("metrics"), Instrument: c.Bool("instrument"),
		Profile: c.Bool("profile") || c.IsSet("profile-limit") || c.IsSet("profile-sort"), Top: c.Int("profile-limit"), Sort: c.StringSlice("profile-sort"),
		Explain: c.Bool("explain"), Coverage: c.Bool("coverage"), Count: c.Int("count"),
		Partial: c.Bool("partial"), Unknowns: c.StringSlice("unknowns"),
		Timeout: c.Duration("timeout"), Print: topdown.NewPrintHook(c.App.ErrWriter),
	}
}

// generationOfData loads what --data names, or else the directory that dirFlags chose. place says what people call its files.
func generationOfData(c *cli.Context) (g *engine.Generation, place func(file string) string, err error) {
	files := c.StringSlice("data")
	if len(files) == 0 {
		dir, g, err := placedGeneration(c)
		return g, placeIn(dir), err
	}
	if c.IsSet("rego-dir") {
		return nil, nil, errors.New("--data and a directory cannot be combined: name the directory alone")
	}
	if info, err := os.Stat(files[0]); len(files) == 1 && err == nil && info.IsDir() {
		if err := c.Set("rego-dir", files[0]); err != nil {
			return nil, nil, err
		}
		dir, g, err := placedGeneration(c)
		return g, placeIn(dir), err
	}
	pack, place, err := query.Pack(files)
	if err != nil {
		return nil, nil, err
	}
	g, err = generationIn(c, "--data", pack, place)
	return g, place, err
}
