package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"defenseclaw/api"
	"defenseclaw/api/domains"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review/probe"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/urfave/cli/v2"
)

func validateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "parse, compile and check a policy directory; reports all problems at once",
		ArgsUsage: "[DIR]",
		Flags: append(dirFlags(),
			&cli.StringFlag{Name: "format", Value: "pretty", Usage: "print problems as `FORMAT`: " + oneOf(report.Formats())},
			&cli.StringFlag{Name: "schema", Usage: "check by the JSON Schemas at `PATH`, as opa check does: a file is the schema of input, " +
				"a directory holds those that METADATA annotations name"},
			&cli.BoolFlag{Name: "strict", Usage: "what opa check --strict refuses is a problem, not a warning: imports, variables and arguments that nothing uses"},
			&cli.BoolFlag{Name: "probe", Usage: "search for inputs that are allowed because a field is missing, beginning with saved inputs and those of tests"},
			&cli.DurationFlag{Name: "probe-time", Value: probe.DefaultCPU, Usage: "processor time that the search may take"},
		),
		Action:       validate,
		OnUsageError: usageError,
	}
}

func validate(c *cli.Context) error {
	format := c.String("format")
	if !slices.Contains(report.Formats(), format) {
		return fmt.Errorf("--format is %q: expected %s", format, oneOf(report.Formats()))
	}
	schemas, err := schema.Load(c.String("schema"))
	if err != nil {
		return err
	}
	dir, src, err := openSource(c, c.Args().Slice()...)
	if err != nil {
		return err
	}
	found, err := validation(c.Context, src, schemas)
	if err != nil {
		return err
	}
	found.Dir, found.Place, found.Version = dir, onDisk(dir), version()
	if c.Bool("probe") && found.OK() {
		if found.Diagnostics, err = gapsIn(c, found.Generation, src); err != nil {
			return err
		}
	}
	if found.Generation != nil {
		if found.Strict, err = strictIn(c.Context, found.Generation, src); err != nil {
			return err
		}
	}
	if c.Bool("strict") {
		found.Diagnostics, found.Strict = append(found.Diagnostics, found.Strict...).Sorted(), nil
	}
	if reading, err := source.Read(c.Context, src, source.Options{}); err == nil { // also of a policy that does not compile
		found.Ignored = reading.Ignored()
	}
	if set, err := resolve(c); err == nil && found.Generation != nil { // a directory that is named needs no settings
		found.Warnings = domains.Warnings(found.Generation, set.Judge.BaseURL != "", domains.HILT(set.HILT))
	}
	if err := found.Write(c.App.Writer, format); err != nil {
		return err
	}
	switch {
	case len(found.Diagnostics) > 0:
		return fmt.Errorf("%s: %s", dir, terminal.Count(len(found.Diagnostics), "problem"))
	case found.Refused != nil:
		return fmt.Errorf("%s: %w", dir, found.Refused)
	}
	return nil
}

// validation loads src, and checks its data even if it cannot be loaded.
func validation(ctx context.Context, src fs.FS, schemas *ast.SchemaSet) (report.Validation, error) {
	g, err := engine.Load(ctx, src, nil)
	if err == nil {
		found := report.Validation{Generation: g, HasSchema: schema.Applies(g)}
		found.Diagnostics, err = schema.Problems(g, schemas, api.GuardSchema())
		return found, err
	}
	found := report.Validation{Refused: &engine.Refused{Err: err}}
	errors.As(err, &found.Refused)
	inData, err := schema.CheckDraft(ctx, src)
	found.Diagnostics = append(slices.Clone(found.Refused.Diagnostics), inData...).Sorted()
	return found, err
}

// strictIn is what OPA's strict mode finds in a policy and in the tests beside it.
func strictIn(ctx context.Context, g *engine.Generation, src fs.FS) (diagnostic.List, error) {
	found, err := g.Strict(ctx)
	if err != nil {
		return nil, err
	}
	tests, err := engine.ReadTests(ctx, src, g, source.Limits{}, nil)
	if err != nil {
		return found, ctx.Err() // they moved, or cannot be read: policy test says why
	}
	inTests, err := tests.Strict(ctx)
	return append(found, inTests...).Sorted(), err
}

// oneOf lists names as a sentence does: a, b or c.
func oneOf(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
