// Package migrate tells what a start of the sidecar would find in a data directory that the original gateway made. It
// asks the code that a start runs, and changes nothing: no file of the directory, and none beside it.
package migrate

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"defenseclaw/cmd/internal/settings"
)

// Kind says what becomes of what was found.
type Kind string

// The kinds, in the order in which a report has them.
const (
	Used      Kind = "used"      // as it is
	Imported  Kind = "imported"  // taken over once, by the first start
	Ignored   Kind = "ignored"   // left to the programs that read it
	Attention Kind = "attention" // the operator should look at it first
)

var kinds = []Kind{Used, Imported, Ignored, Attention}

// A Finding is one thing that was found.
type Finding struct {
	Kind  Kind   `json:"kind"`
	About string `json:"about"` // one word: policy, token, lists…
	Text  string `json:"text"`  // one or more sentences
	Do    string `json:"do,omitempty"`
}

// A Report is all that was found in a data directory.
type Report struct {
	Home     string    `json:"home"`
	Ready    bool      `json:"ready"` // nothing needs attention
	Findings []Finding `json:"findings"`
}

// Check reads the data directory of the settings. wrong is the error of resolving them, if a setting has a value that a
// start refuses. The error of Check says what could not be read.
func Check(ctx context.Context, s settings.Settings, wrong error) (Report, error) {
	if abs, err := filepath.Abs(s.DataDir); err == nil {
		s.DataDir = abs // messages name it, and are read elsewhere
	}
	c := &check{ctx: ctx, set: s, wrong: wrong, report: Report{Home: s.DataDir, Findings: []Finding{}}}
	if info, err := os.Stat(s.DataDir); err != nil {
		return c.report, err
	} else if !info.IsDir() {
		return c.report, fmt.Errorf("%s is not a directory", s.DataDir)
	}
	for _, look := range []func() error{
		c.settings, c.directory, c.processes, c.address, c.token, c.policy, c.database, c.guardrail, c.files,
	} {
		if err := look(); err != nil {
			return c.report, err
		}
	}
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind))
	})
	c.report.Ready = !slices.ContainsFunc(c.report.Findings, func(f Finding) bool { return f.Kind == Attention })
	return c.report, nil
}

// check collects the findings about one data directory.
type check struct {
	ctx    context.Context
	set    settings.Settings
	wrong  error // of resolving them
	report Report
}

func (c *check) found(kind Kind, about, format string, args ...any) {
	c.report.Findings = append(c.report.Findings, Finding{Kind: kind, About: about, Text: fmt.Sprintf(format, args...)})
}

// attention adds what the operator should look at, and do.
func (c *check) attention(about, do, format string, args ...any) {
	c.report.Findings = append(c.report.Findings, Finding{Kind: Attention, About: about, Do: do, Text: fmt.Sprintf(format, args...)})
}
