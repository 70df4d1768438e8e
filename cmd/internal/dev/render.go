package dev

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/explain"
)

// paint draws parts of the text in their styles, or plainly.
type paint struct {
	colours bool
	place   func(file string) string // what a file of the directory is called where the user stands
}

func noPaint(place func(string) string) paint { return paint{place: place} }

func (p paint) good(text string) string   { return p.in(terminal.Good, text) }
func (p paint) bad(text string) string    { return p.in(terminal.Bad, text) }
func (p paint) quiet(text string) string  { return p.in(terminal.Quiet, text) }
func (p paint) strong(text string) string { return p.in(terminal.Strong, text) }

// in is text of a round, which is printable, in a style.
func (p paint) in(style terminal.Style, text string) string {
	if !p.colours {
		return text
	}
	return string(style.Of(terminal.Clean(text)))
}

// headline summarizes a round in one line.
func (p paint) headline(r *Round) string {
	took := milliseconds(r.Took)
	switch {
	case r.Err != nil:
		return p.bad("✗ "+r.Err.Error()) + "  " + p.quiet(took)
	case len(r.Problems) > 0:
		return p.bad(fmt.Sprintf("✗ does not compile: %s", terminal.Count(len(r.Problems), "problem"))) + "  " + p.quiet(took)
	}
	scope := ranText(r)
	missed := 0
	for _, d := range r.Decisions {
		if !d.OK() {
			missed++
		}
	}
	verdict := p.good("✓ " + scope)
	if !r.shown() {
		verdict = p.strong("– " + scope) // nothing has shown that it does what is meant
	}
	if !r.OK() {
		verdict = p.bad("✗ " + scope)
		if n := len(r.Failing); n > 0 {
			verdict += p.bad(fmt.Sprintf(", %d failing", n))
		}
		if r.Outside > 0 {
			verdict += p.bad(", " + terminal.Count(r.Outside, "failing test") + " left out")
		}
		if missed > 0 {
			verdict += p.bad(", " + terminal.Count(missed, "decision") + " not as expected")
		}
		if n := len(r.Invalid); n > 0 {
			verdict += p.bad(", policy validate finds " + terminal.Count(n, "problem"))
		}
	}
	return verdict + "  " + p.quiet(took)
}

// milliseconds formats a duration to a tenth of a millisecond.
func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// ranText says which tests ran.
func ranText(r *Round) string {
	text := fmt.Sprintf("%d of %s ran", r.Ran, terminal.Count(r.Total, "test"))
	switch of := r.Scope.String(); {
	case r.Total == 0:
		text = "it compiles, and there are no tests"
	case of != "":
		text += ", only " + of
	case r.Ran == r.Total:
		text = "all tests ran (" + strconv.Itoa(r.Total) + ")"
	case r.Ran == 0:
		text = fmt.Sprintf("it compiles, and none of %s depends on what changed", terminal.Count(r.Total, "test"))
	}
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	return text
}

// shown reports whether a test has shown something: not where there are none, only ones that are still to be written, or where the
// scope leaves out all that a save can affect.
func (r *Round) shown() bool {
	return r.Total > r.Todo && (r.Scope.all() || r.Ran > r.Skipped)
}

// body returns the lines below the headline.
func (p paint) body(r *Round) []string {
	var lines []string
	block := func(more ...string) {
		if len(more) > 0 && len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, more...)
	}
	if wrong := slices.Concat(r.Problems, r.Invalid); len(wrong) > 0 {
		var text bytes.Buffer
		report.Write(terminal.NewWriter(&text).Coloured(p.colours), report.Placed(wrong, p.place))
		block(strings.Split(strings.TrimRight(text.String(), "\n"), "\n")...)
	}
	block(p.warnings(r.Warnings)...)
	for _, f := range r.Failing {
		block(p.failure(f)...)
	}
	var reached []string
	for _, l := range r.Lines {
		reached = append(reached, p.lines(l)...)
	}
	block(reached...)
	for _, d := range r.Decisions {
		block(p.decision(d)...)
	}
	block(p.search(r)...)
	return lines
}

// maxWarnings is how many warnings are drawn: each takes some lines, and more would hide what failed.
const maxWarnings = 3

func (p paint) warnings(all diagnostic.List) []string {
	if len(all) == 0 {
		return nil
	}
	var text bytes.Buffer
	report.WriteWarnings(terminal.NewWriter(&text).Coloured(p.colours), report.Placed(all[:min(len(all), maxWarnings)], p.place))
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	if more := len(all) - maxWarnings; more > 0 {
		lines = append(lines, p.quiet(terminal.Count(more, "more warning")+"; policy validate lists all"))
	}
	return lines
}

// search returns what a search for inputs came to.
func (p paint) search(r *Round) []string {
	switch {
	case r.Searching:
		return []string{p.quiet("… searching for inputs that the change has the policy answer otherwise")}
	case r.SearchErr != nil:
		return []string{p.bad(r.SearchErr.Error())}
	case r.Searched == "":
		return nil
	}
	lines := p.found(r)
	return append(lines, p.quiet("searched: "+r.Searched))
}

// found returns the lines of the inputs that were found.
func (p paint) found(r *Round) (lines []string) {
	for _, f := range r.Found {
		lines = append(lines, p.strong("found: "+f.Kind)+"  "+f.Path+" with "+f.Input)
		lines = append(lines, p.diff(f.Changed)...)
	}
	return lines
}

func (p paint) failure(f Failure) []string {
	title := p.bad("FAIL ") + p.strong(f.Name)
	if f.Before {
		title += p.quiet("  since an earlier change")
	}
	lines := []string{title, fmt.Sprintf("  %s:%d", p.place(f.File), f.Line)}
	for _, why := range f.Why {
		lines = append(lines, "    "+strings.ReplaceAll(why, "\t", "  "))
	}
	if len(f.Rules) > 0 {
		lines = append(lines, p.quiet("  by rule:"))
	}
	for _, rule := range f.Rules {
		kind, rest, _ := strings.Cut(rule, " ")
		if kind == string(explain.Failed) {
			kind = p.bad(kind)
		}
		lines = append(lines, "    "+kind+" "+rest)
	}
	if f.Output != "" {
		lines = append(lines, p.quiet("  printed:"))
		for line := range strings.SplitSeq(f.Output, "\n") {
			lines = append(lines, "    "+line)
		}
	}
	return lines
}

func (p paint) lines(l Lines) []string {
	if len(l.Reached)+len(l.NotReached) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s: %d of %s covered", p.place(l.File), len(l.Reached), terminal.Count(len(l.Reached)+len(l.NotReached), "changed line"))
	if len(l.NotReached) == 0 {
		return []string{p.good(text)}
	}
	return []string{p.bad(text + "; no test reaches " + ranges(l.NotReached))}
}

// ranges formats line numbers with runs joined: 3, 5-7.
func ranges(rows []int) string {
	var parts []string
	for i := 0; i < len(rows); {
		last := i
		for last+1 < len(rows) && rows[last+1] == rows[last]+1 {
			last++
		}
		part := strconv.Itoa(rows[i])
		if last > i {
			part += "-" + strconv.Itoa(rows[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ", ")
}

func (p paint) decision(d Decision) []string {
	switch {
	case d.Err != nil:
		return []string{p.bad(p.place(d.Input) + ": " + d.Err.Error())}
	case d.New:
		return append(append([]string{p.strong(p.place(d.Input)) + "  " + p.quiet(compact(d.Answer))}, p.printed(d)...), p.missed(d)...)
	case len(d.Changed) == 0 && d.OK() && len(d.Printed) == 0:
		return nil
	}
	lines := []string{p.strong(p.place(d.Input))}
	if len(d.Changed) > 0 {
		lines[0] += ": the decision changed"
	}
	return slices.Concat(lines, p.printed(d), p.diff(d.Changed), p.missed(d))
}

func (p paint) printed(d Decision) (lines []string) {
	for _, text := range d.Printed {
		lines = append(lines, "  "+p.quiet("print ")+text)
	}
	return lines
}

func (p paint) missed(d Decision) []string {
	if len(d.Missed) == 0 {
		return nil
	}
	return append([]string{p.bad("  not as expected (- expected, + is)")}, p.diff(d.Missed)...)
}

// offered is what would be written as what is expected.
func (p paint) offered(d Decision) []string {
	title, diff := p.strong(p.place(line(d.accept.file))), d.Missed
	if !d.Expected {
		title += "  " + p.quiet("new")
		diff = each(difference(map[string]any{}, d.Answer), terminal.Text)
	}
	return append([]string{title}, p.diff(diff)...)
}

func (p paint) diff(diff []string) []string {
	lines := make([]string, len(diff))
	for i, line := range diff {
		if strings.HasPrefix(line, "-") {
			lines[i] = "  " + p.bad(line)
		} else {
			lines[i] = "  " + p.good(line)
		}
	}
	return lines
}

// named lists files that changed: all of a few, and how many others.
func (p paint) named(files []string) string {
	const most = 3
	var names []string
	for _, file := range files[:min(most, len(files))] {
		names = append(names, p.place(file))
	}
	text := strings.Join(names, ", ")
	if more := len(files) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
