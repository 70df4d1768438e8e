package testrun

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/report"
)

// Output says where and how an outcome is written.
type Output struct {
	Stdout, Stderr io.Writer
	Format         string // of the results: pretty, json or junit
	CoverageFormat string // pretty, json or lcov; json and lcov have standard output to themselves
	Coverage       bool   // write the coverage too
	Verbose        bool   // also passed tests, and the traces of failed ones
	Bench          bool   // the outcome is that of a run with Options.Bench

	// Place says what people call a file of the policy where they stand; nil: as its directory has it. Formats for programs have the
	// latter.
	Place func(file string) string
}

// Check reports a format that does not exist, by the name of its flag.
func (o Output) Check() error {
	for _, f := range []struct {
		flag, format string
		formats      []string
	}{
		{"format", o.Format, []string{"pretty", "json", "junit"}},
		{"coverage-format", o.CoverageFormat, []string{"pretty", "json", "lcov"}},
	} {
		if !slices.Contains(f.formats, f.format) {
			return fmt.Errorf("--%s is %q: expected %s or %s", f.flag, f.format, strings.Join(f.formats[:2], ", "), f.formats[2])
		}
	}
	return nil
}

// WriteError writes what ended a run before there were results, in the format of the results: what reads them
// finds a result with an error. For people it draws the diagnostics of err only; the caller prints err.
func (o Output) WriteError(err error) error {
	if o.Format == "pretty" {
		report.Write(o.results(), report.Placed(diagnosticsOf(err), o.place()))
		if o.Coverage && o.CoverageFormat == "json" {
			return JSONCoverage(o.Stdout, Problems(err).Coverage)
		}
		return nil
	}
	return o.Write(Problems(err))
}

func (o Output) results() io.Writer {
	if o.Coverage && o.CoverageFormat != "pretty" {
		return o.Stderr
	}
	return o.Stdout
}

// Write writes the results, and the coverage if o says so.
func (o Output) Write(outcome *Outcome) error {
	if err := o.writeResults(o.results(), outcome); err != nil || !o.Coverage {
		return err
	}
	switch o.CoverageFormat {
	case "json":
		return JSONCoverage(o.Stdout, outcome.Coverage)
	case "lcov":
		return LCOV(o.Stdout, outcome.Coverage)
	}
	if o.Format != "pretty" {
		return PrettyCoverage(o.Stderr, outcome.Coverage, o.place())
	}
	return PrettyCoverage(o.Stdout, outcome.Coverage, o.place())
}

func (o Output) writeResults(w io.Writer, outcome *Outcome) error {
	switch o.Format {
	case "json":
		if !o.Verbose {
			for _, r := range outcome.Results {
				r.Trace = nil
			}
		}
		return JSON(w, outcome)
	case "junit":
		return JUnit(w, outcome)
	}
	return Pretty(w, outcome.placed(o.place()), o.Verbose, !o.Bench, o.Bench)
}
