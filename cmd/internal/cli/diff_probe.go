package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/review/probe"
	"defenseclaw/engine/source"

	"github.com/urfave/cli/v2"
)

func probeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "probe", Usage: "search for inputs that A and B answer differently, beginning with saved inputs and those of tests"},
		&cli.BoolFlag{Name: "as-test", Usage: "print what --probe finds as Rego tests, which pass with A and fail with B, and nothing else"},
		&cli.DurationFlag{Name: "probe-time", Value: probe.DefaultCPU, Usage: "processor time that the search may take"},
	}
}

func probes(c *cli.Context) bool { return c.Bool("probe") || c.Bool("as-test") }

// sides are the two policies of a comparison, and where they were read.
type sides struct {
	before, after   fs.FS
	base, candidate *engine.Generation
}

func openSides(c *cli.Context, from, to string) (s sides, err error) {
	if s.before, err = openSide(c, from); err != nil {
		return s, err
	}
	if s.after, err = openSide(c, to); err != nil {
		return s, err
	}
	if s.base, err = loadSide(c, from, s.before, nil); err != nil {
		return s, err
	}
	s.candidate, err = loadSide(c, to, s.after, s.base)
	return s, err
}

// probe searches, within the time that was asked for.
func (s sides) probe(c *cli.Context, at time.Time) (*review.Probe, error) {
	limit := c.Duration("probe-time")
	if limit <= 0 {
		return nil, fmt.Errorf("--probe-time is %v: expected more than none", limit)
	}
	seeds := append(seedsOf(c.Context, s.after), seedsOf(c.Context, s.before)...)
	return during(c.Context, "probe", func(ctx context.Context) (*review.Probe, error) {
		return probe.Run(ctx, s.base, s.candidate, seeds, probe.Options{CPU: limit, At: at})
	})
}

// seedsOf are the inputs that lie beside a policy: those of *.input.json files, and of tests. What cannot be read is passed
// over: a search does without it.
func seedsOf(ctx context.Context, src fs.FS) []probe.Seed {
	seeds := savedInputs(src)
	if _, hasTests := src.(*source.Dir); hasTests {
		if tests, err := engine.ReadTests(ctx, src, nil, source.Limits{}, nil); err == nil {
			seeds = append(seeds, probe.SeedsOfTests(tests.Suite().Modules)...)
		}
	}
	return seeds
}

// savedInputs are those that policy dev decides: they are for any policy.
func savedInputs(src fs.FS) (seeds []probe.Seed) {
	const most = 100
	_ = fs.WalkDir(src, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil || len(seeds) == most:
			return nil //nolint:nilerr // passed over, see above
		case entry.IsDir() && name != "." && strings.HasPrefix(base, "."):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(base, ".input.json") || strings.HasPrefix(base, "."):
			return nil
		}
		if text, err := fs.ReadFile(src, name); err == nil {
			if _, err := engine.ParseJSON(text); err == nil {
				seeds = append(seeds, probe.Seed{Input: text})
			}
		}
		return nil
	})
	return seeds
}

// diffAsTest prints tests instead of what differs.
func diffAsTest(c *cli.Context, from, to string) (same bool, err error) {
	s, err := openSides(c, from, to)
	if err != nil {
		return false, err
	}
	at := time.Now()
	found, err := s.probe(c, at)
	if err != nil {
		return false, err
	}
	text, left, err := probe.AsTest(c.Context, s.base, s.candidate, found.Found, at)
	if err != nil {
		return false, err
	}
	for _, why := range left {
		terminal.Fprintf(c.App.ErrWriter, "%s\n", terminal.Sprintf("no test of %s", why))
	}
	if text == "" {
		return false, errors.New(probe.Text(found) + ": there is no test to write")
	}
	_, err = io.WriteString(c.App.Writer, string(terminal.Text(text)))
	return false, err
}

func printProbe(w io.Writer, p *api.ReviewProbe) {
	line := func(format string, args ...any) { terminal.Fprintf(w, "%s\n", terminal.Sprintf(format, args...)) }
	line("probe: %s", probe.Text(&review.Probe{
		Found: make([]review.Flip, len(p.Found)), Inputs: p.Inputs, Conditions: p.Conditions.Changed, Both: p.Conditions.Both,
		NeverTrue: p.NeverTrue, NeverFalse: p.NeverFalse, Same: p.Same,
	}))
	for _, f := range p.Found {
		line("%s: %s with %s", report.FlipName(review.FlipKind(f.Kind)), f.Path, string(f.Input))
		line("    - %s", answerText(f.Before, f.BeforeError))
		line("    + %s", answerText(f.After, f.AfterError))
	}
}

func answerText(value []byte, failed string) string {
	switch {
	case failed != "":
		return failed
	case value == nil:
		return "undefined"
	}
	return string(value)
}
