package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/explain"
	"defenseclaw/engine"
	engineexplain "defenseclaw/engine/explain"

	"github.com/urfave/cli/v2"
)

// tryLive asks the running sidecar: for the decision alone as callers do, for more by the route of tries.
func tryLive(c *cli.Context, path engine.Path, input json.RawMessage) (explain.Answer, error) {
	if c.IsSet("rego-dir") || c.Bool("embedded") || c.NArg() > 1 {
		return explain.Answer{}, errors.New("--live cannot be combined with --embedded, --rego-dir or DIR: the sidecar evaluates what it has")
	}
	if c.Bool("tier") {
		return explain.Answer{}, errors.New("--live cannot be combined with --tier: `policy status --json` tells how the sidecar decides a path, in `decided`")
	}
	sidecar, err := client(c)
	if err != nil {
		return explain.Answer{}, err
	}
	more := c.Bool("explain") || c.Bool("coverage") || c.IsSet("at")
	if more && c.Bool("strict-builtin-errors") {
		return explain.Answer{}, errors.New("--live with --explain, --coverage or --at cannot be combined with --strict-builtin-errors")
	}
	if more {
		return tryThere(c, sidecar, path, input)
	}
	params := url.Values{}
	if c.Bool("strict-builtin-errors") {
		params.Set("strict-builtin-errors", "true")
	}
	live, err := sidecar.Data(c.Context, path, input, params)
	if err != nil {
		return explain.Answer{}, err
	}
	answer := explain.Answer{Path: path.String()}
	if live.Result != nil {
		answer.Defined, answer.Result = true, *live.Result
	}
	return answer, nil
}

// tryThere has the sidecar evaluate a policy that it serves, has served or might serve, and say why.
func tryThere(c *cli.Context, sidecar *api.Client, path engine.Path, input json.RawMessage) (explain.Answer, error) {
	in := api.TryRequest{Path: path.String(), Input: input, Explain: c.Bool("explain"), Coverage: c.Bool("coverage")}
	if at := c.String("at"); at != "" {
		in.At = at
	}
	there, err := sidecar.Try(c.Context, in)
	if err != nil {
		return explain.Answer{}, err
	}
	for _, p := range there.Printed {
		fmt.Fprintln(c.App.ErrWriter, p.Text)
	}
	if there.Failed != "" {
		return explain.Answer{}, errors.New(there.Failed)
	}
	found := engineexplain.Answer{Defined: there.Defined, Result: there.Result, MoreReasons: there.MoreExplanation, Incomplete: there.Incomplete}
	for _, r := range there.Explanation {
		reason := engineexplain.Reason{Kind: engineexplain.Kind(r.Kind), Rule: r.Rule, File: r.File, Line: r.Line, Text: r.Text}
		for _, v := range r.Values {
			reason.Values = append(reason.Values, engineexplain.Value{Name: v.Name, Text: v.Value})
		}
		found.Reasons = append(found.Reasons, reason)
	}
	if in.Coverage {
		found.Lines = map[string]engineexplain.Lines{}
		for file, l := range there.Coverage {
			found.Lines[file] = engineexplain.Lines{
				Covered: linesOf(l.Covered), Skipped: linesOf(l.Skipped), Missed: linesOf(l.Missed), Excluded: linesOf(l.Excluded),
			}
		}
	}
	var place func(file string) string
	if !forPrograms(c) && (in.Explain || in.Coverage) { // else no file is named, or as the sidecar names it
		place = placeServed(c, sidecar)
	}
	answer := explain.Answer{Path: path.String(), Defined: there.Defined, Why: explain.WhyOf(found, in.Explain, in.Coverage, place)}
	if there.Defined {
		answer.Result = there.Result
	}
	return answer, nil
}

// linesOf are the lines that a list of "3" and "5-7" names.
func linesOf(ranges []string) (lines []int) {
	for _, text := range ranges {
		first, last, found := strings.Cut(text, "-")
		from, err := strconv.Atoi(first)
		to := from
		if found && err == nil {
			to, err = strconv.Atoi(last)
		}
		for n := from; err == nil && n <= to; n++ {
			lines = append(lines, n)
		}
	}
	return lines
}
