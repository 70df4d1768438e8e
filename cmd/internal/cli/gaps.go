package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/schema"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review/probe"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

// codeFailOpen is the code of a diagnostic: an answer allows because a field of the input is missing.
const codeFailOpen = "fail_open"

// gapsIn searches for answers that allow because a field is missing.
func gapsIn(c *cli.Context, g *engine.Generation, src fs.FS) (found diagnostic.List, err error) {
	limit := c.Duration("probe-time")
	if limit <= 0 {
		return nil, fmt.Errorf("--probe-time is %v: expected more than none", limit)
	}
	gaps, err := probe.Open(c.Context, g, seedsOf(c.Context, src), probe.Options{CPU: limit, MaxFound: 50})
	for _, gap := range gaps {
		found = append(found, diagnosticOf(gap, gap.Message()))
	}
	return found, err
}

func diagnosticOf(gap probe.Gap, message string) diagnostic.Diagnostic {
	return diagnostic.Diagnostic{
		File: gap.File, Line: gap.Row, Column: gap.Column, Code: codeFailOpen, Message: message, Hint: gap.Hint, Text: gap.Text,
	}
}

// hints prints what the text of the rules in the directories tells of such answers, what strict mode finds in them, and what is
// wrong by the schemas of annotations; it returns how many of the last there are. What cannot be loaded is left to policy validate.
func hints(ctx context.Context, w io.Writer, paths []string) (wrong int, err error) {
	for _, dir := range paths {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		src, err := source.Open(dir, source.Config{})
		if err != nil {
			continue
		}
		found, err := hintsIn(ctx, w, dir, src)
		src.Close() //nolint:errcheck // it was only read
		if err != nil {
			return wrong, fmt.Errorf("%s: %w", dir, err)
		}
		wrong += found
	}
	return wrong, nil
}

func hintsIn(ctx context.Context, w io.Writer, dir string, src fs.FS) (wrong int, err error) {
	g, err := engine.Load(ctx, src, nil)
	if err != nil {
		return 0, ctx.Err()
	}
	problems, err := schema.Problems(g, nil, api.GuardSchema())
	if err != nil {
		return 0, err
	}
	printProblems(w, dir, problems)
	strict, err := strictIn(ctx, g, src)
	if err != nil {
		return 0, err
	}
	report.WriteWarnings(w, report.In(onDisk(dir), strict))
	var open diagnostic.List
	for _, gap := range probe.Hints(g) {
		open = append(open, diagnosticOf(gap, gap.Path+" may allow when "+gap.Missing+" is missing; policy validate --probe shows whether it does"))
	}
	printProblems(w, dir, open.Sorted())
	return len(problems), nil
}
