package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/regotest"

	"github.com/open-policy-agent/opa/v1/format"
)

// AsTest writes a Rego test of each flip, which passes with the base and fails with the candidate: both were tried. left says
// why there is none of a flip. The text is empty if there is no test.
func AsTest(ctx context.Context, from, to *engine.Generation, flips []review.Flip, at time.Time) (text string, left []string, err error) {
	var b strings.Builder
	used := map[string]int{}
	clock := ""
	if usesClock(from) || usesClock(to) {
		clock = regotest.Clock(at)
	}
	for _, f := range flips {
		body, err := conditionOf(ctx, from, f, at, clock)
		if err == nil {
			err = tried(ctx, from, to, body)
		}
		switch {
		case ctx.Err() != nil:
			return "", nil, ctx.Err()
		case err != nil:
			left = append(left, fmt.Sprintf("%s with %s: %v", f.Path, f.Input, err))
			continue
		}
		name := regotest.Name(f.Path)
		used[name]++
		fmt.Fprintf(&b, "\n# %s: %s.\ntest_%s_%d if {\n\t%s\n}\n", f.Path, said(f), name, used[name], body)
	}
	if b.Len() == 0 {
		return "", left, nil
	}
	formatted, err := format.Source("found_test.rego", []byte("package found_test\n"+b.String()))
	if err != nil {
		return "", left, fmt.Errorf("format the tests: %w", err)
	}
	return string(formatted), left, nil
}

func said(f review.Flip) string {
	side := func(text []byte, failed string) string {
		switch {
		case failed != "":
			return "an error"
		case text == nil:
			return "undefined"
		case len(text) > 60:
			return string([]rune(string(text))[:min(60, len([]rune(string(text))))]) + "…"
		}
		return string(text)
	}
	return side(f.Before, f.BeforeError) + " before the change, " + side(f.After, f.AfterError) + " after it"
}

// conditionOf is the expression that holds with the answer of the base.
func conditionOf(ctx context.Context, from *engine.Generation, f review.Flip, at time.Time, clock string) (string, error) {
	if f.BeforeError != "" {
		return "", fmt.Errorf("the base has no answer: %s", f.BeforeError)
	}
	path, err := engine.ParsePath(f.Path)
	if err != nil {
		return "", err
	}
	input, err := engine.ParseJSON(f.Input)
	if err != nil {
		return "", err
	}
	v, err := from.Alone(timeLimit).Observe(ctx, path, input, engine.Observation{At: at})
	if err != nil {
		return "", err
	}
	return regotest.Condition(path, v, f.Input, clock), nil
}

// tried reports what is wrong with a test: it has to hold with the base, and not with the candidate.
func tried(ctx context.Context, from, to *engine.Generation, body string) error {
	for _, side := range []struct {
		g    *engine.Generation
		want bool
	}{{from, true}, {to, false}} {
		holds, err := regotest.Holds(ctx, side.g.Alone(timeLimit), body)
		if err != nil && side.want {
			return err
		}
		if err == nil && holds != side.want {
			return errors.New("as a test it does not tell the two apart")
		}
	}
	return nil
}

func usesClock(g *engine.Generation) bool {
	for _, f := range g.Files() {
		if strings.Contains(string(f.Bytes), "time.now_ns") {
			return true
		}
	}
	return false
}
