package testrun

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Pretty prints results as opa test does. verbose adds the tests that passed and whole traces.
func Pretty(w io.Writer, o *Outcome, verbose, values, bench bool) error {
	return tester.PrettyReporter{
		Output: w, Verbose: verbose, FailureLine: true, LocalVars: values,
		BenchmarkResults: bench, BenchMarkShowAllocations: bench,
	}.Report(channel(o))
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

// JUnit prints results as the XML that CI systems read, a suite for each file.
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
			suite = &junitSuite{Name: file}
			byFile[file] = suite
		}
		suite.add(r)
	}
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		suite := byFile[file]
		suite.Seconds = inSeconds(suite.seconds)
		all.Tests, all.Failures = all.Tests+suite.Tests, all.Failures+suite.Failures
		all.Errors, all.Skipped = all.Errors+suite.Errors, all.Skipped+suite.Skipped
		seconds += suite.seconds
		all.Suites = append(all.Suites, *suite)
	}
	all.Seconds = inSeconds(seconds)
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
	c := junitCase{Name: r.Name, Class: r.Package, Seconds: inSeconds(r.Duration.Seconds()), Output: strings.ToValidUTF8(string(r.Output), "?")}
	if r.Location != nil {
		c.File, c.Line = r.Location.File, r.Location.Row
	}
	s.Tests++
	s.seconds += r.Duration.Seconds()
	switch {
	case r.Skip:
		s.Skipped++
		c.Skipped = &struct{}{}
	case r.Error != nil:
		s.Errors++
		c.Error = &junitMessage{Message: firstLine(r.Error.Error()), Text: r.Error.Error()}
	case r.Fail:
		s.Failures++
		why := strings.Join(Why(r), "\n")
		c.Failure = &junitMessage{Message: firstLine(why), Text: why}
	}
	s.Cases = append(s.Cases, c)
}

func inSeconds(s float64) string { return fmt.Sprintf("%.6f", s) }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// PrettyCoverage lists the lines that no test reached, tests themselves left out.
func PrettyCoverage(w io.Writer, report *cover.Report) error {
	covered, all := 0, 0
	for _, name := range policyFiles(report) {
		f := report.Files[name]
		covered += f.CoveredLines
		all += f.CoveredLines + f.NotCoveredLines
		fmt.Fprintf(w, "%6.1f%%  %s", f.Coverage, name)
		for _, r := range f.NotCovered {
			if r.Start.Row == r.End.Row {
				fmt.Fprintf(w, " %d", r.Start.Row)
			} else {
				fmt.Fprintf(w, " %d-%d", r.Start.Row, r.End.Row)
			}
		}
		fmt.Fprintln(w)
	}
	if all > 0 {
		fmt.Fprintf(w, "%6.1f%%  of %d lines\n", 100*float64(covered)/float64(all), all)
	}
	return nil
}

// JSONCoverage prints the report as opa test --coverage does.
func JSONCoverage(w io.Writer, report *cover.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// LCOV prints the report as lcov's tracefile, which editors and coverage services read, tests left out.
func LCOV(w io.Writer, report *cover.Report) error {
	for _, name := range policyFiles(report) {
		f := report.Files[name]
		hits := map[int]int{}
		for _, r := range f.NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				hits[row] = 0
			}
		}
		for _, r := range f.Covered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				hits[row] = 1
			}
		}
		reached := 0
		fmt.Fprintf(w, "TN:\nSF:%s\n", name)
		for _, row := range slices.Sorted(maps.Keys(hits)) {
			fmt.Fprintf(w, "DA:%d,%d\n", row, hits[row])
			reached += hits[row]
		}
		fmt.Fprintf(w, "LF:%d\nLH:%d\nend_of_record\n", len(hits), reached)
	}
	return nil
}

func policyFiles(report *cover.Report) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(report.Files)), func(name string) bool {
		return strings.HasSuffix(name, "_test.rego")
	})
}
