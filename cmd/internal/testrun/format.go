package testrun

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Pretty prints results as opa test does. verbose adds passed tests and complete traces.
func Pretty(w io.Writer, o *Outcome, verbose, values, bench bool) error {
	var text strings.Builder
	if err := (tester.PrettyReporter{
		Output: &text, Verbose: verbose, FailureLine: true, LocalVars: values,
		BenchmarkResults: bench, BenchMarkShowAllocations: bench,
	}.Report(channel(o))); err != nil {
		return err
	}
	_, err := terminal.Fprintf(w, "%s", coloured(terminal.Text(o.fileNames().Replace(text.String()))))
	return err
}

// fileNames replaces the names of files that have line breaks, which OPA's reporter prints as they are.
func (o *Outcome) fileNames() *strings.Replacer {
	var pairs []string
	add := func(l *ast.Location) {
		if l != nil && strings.ContainsAny(l.File, "\n\t") {
			pairs = append(pairs, l.File, string(terminal.Line(l.File)))
		}
	}
	for _, r := range o.Results {
		add(r.Location)
		for _, e := range r.Trace {
			add(e.Location)
		}
	}
	return strings.NewReplacer(pairs...)
}

// JSON prints results as opa test --format json does.
func JSON(w io.Writer, o *Outcome) error {
	if len(o.Results) == 0 {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	return tester.JSONReporter{Output: w}.Report(channel(o))
}

func channel(o *Outcome) chan *tester.Result {
	c := make(chan *tester.Result, len(o.Results))
	for _, r := range o.Results {
		c <- r
	}
	close(c)
	return c
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Seconds  string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Seconds  string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`

	seconds float64
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Seconds string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *struct{}     `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit prints results as JUnit XML, which CI systems read, with a suite for each file.
func JUnit(w io.Writer, o *Outcome) error {
	all := junitSuites{}
	byFile := map[string]*junitSuite{}
	seconds := 0.0
	for _, r := range o.Results {
		file := ""
		if r.Location != nil {
			file = r.Location.File
		}
		suite := byFile[file]
		if suite == nil {
			suite = &junitSuite{Name: string(terminal.Line(file))}
			byFile[file] = suite
		}
		suite.add(r)
	}
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		suite := byFile[file]
		suite.Seconds = formatSeconds(suite.seconds)
		all.Tests, all.Failures = all.Tests+suite.Tests, all.Failures+suite.Failures
		all.Errors, all.Skipped = all.Errors+suite.Errors, all.Skipped+suite.Skipped
		seconds += suite.seconds
		all.Suites = append(all.Suites, *suite)
	}
	all.Seconds = formatSeconds(seconds)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (s *junitSuite) add(r *tester.Result) {
	c := junitCase{Name: r.Name, Class: r.Package, Seconds: formatSeconds(r.Duration.Seconds()), Output: text(string(r.Output))}
	if r.Location != nil {
		c.File, c.Line = string(terminal.Line(r.Location.File)), r.Location.Row
	}
	s.Tests++
	s.seconds += r.Duration.Seconds()
	switch {
	case r.Skip:
		s.Skipped++
		c.Skipped = &struct{}{}
	case r.Error != nil:
		s.Errors++
		c.Error = &junitMessage{Message: report.FirstLine(text(r.Error.Error())), Text: text(r.Error.Error())}
	case r.Fail:
		s.Failures++
		why := text(strings.Join(Why(r, report.AsIs), "\n"))
		c.Failure = &junitMessage{Message: report.FirstLine(why), Text: why}
	}
	s.Cases = append(s.Cases, c)
}

// text cleans text before it is XML, where some characters have no form at all.
func text(s string) string { return string(terminal.Text(s)) }

func formatSeconds(s float64) string { return fmt.Sprintf("%.6f", s) }
