package testrun

import (
	"errors"
	"regexp"
	"strings"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

func (o Output) place() func(string) string {
	if o.Place == nil {
		return report.AsIs
	}
	return o.Place
}

// placed is the outcome with files as place calls them. It shares no location with o, whose are those of the policy.
func (o *Outcome) placed(place func(string) string) *Outcome {
	named := &Outcome{Coverage: o.Coverage}
	for _, r := range o.Results {
		one := *r
		one.Location, one.Trace = at(r.Location, place), traceAt(r.Trace, place)
		one.SubResults = subResultsAt(r.SubResults, place)
		one.Error = errorAt(r.Error, place)
		named.Results = append(named.Results, &one)
	}
	return named
}

func at(l *ast.Location, place func(string) string) *ast.Location {
	if l == nil || l.File == "" {
		return l
	}
	moved := *l
	moved.File = place(l.File)
	return &moved
}

func traceAt(trace []*topdown.Event, place func(string) string) []*topdown.Event {
	moved := make([]*topdown.Event, len(trace))
	for i, e := range trace {
		one := *e
		one.Location = at(e.Location, place)
		moved[i] = &one
	}
	return moved
}

func subResultsAt(all tester.SubResultMap, place func(string) string) tester.SubResultMap {
	if all == nil {
		return nil
	}
	moved := make(tester.SubResultMap, len(all))
	for name, sub := range all {
		one := *sub
		one.Trace, one.SubResults = traceAt(sub.Trace, place), subResultsAt(sub.SubResults, place)
		moved[name] = &one
	}
	return moved
}

func errorAt(err error, place func(string) string) error {
	var one *topdown.Error
	var several *Problem
	switch {
	case errors.As(err, &several) && len(several.Errors) > 0:
		moved := *several
		moved.Errors = nil
		var texts []string
		for _, e := range several.Errors {
			e := *e
			e.Location = at(e.Location, place)
			moved.Errors, texts = append(moved.Errors, &e), append(texts, e.Error())
		}
		moved.text = strings.Join(texts, "\n")
		return &moved
	case errors.As(err, &one):
		moved := *one
		moved.Location = at(one.Location, place)
		return &moved
	}
	return err
}

// styles of the words by which OPA's reporter says what became of a test.
var styles = map[string]terminal.Style{
	"PASS": terminal.Good, "FAIL": terminal.Bad, "ERROR": terminal.Bad, "SKIPPED": terminal.Look, "FAILURES": terminal.Strong,
}

// coloured gives the outcomes in a report their styles: the words that begin a line, or that end one before a duration.
func coloured(report terminal.Clean) terminal.Clean {
	var b strings.Builder
	for line := range strings.Lines(string(report)) {
		b.WriteString(styledLine(line))
	}
	return terminal.Clean(b.String())
}

// outcome matches the line of a test with what became of it.
var outcome = regexp.MustCompile(`^(\s*\S+: )(PASS|FAIL|ERROR|SKIPPED)\b`)

func styledLine(line string) string {
	word, _, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
	if style := styles[word]; style != terminal.Plain {
		return string(style.Of(terminal.Clean(word))) + line[len(word):]
	}
	if found := outcome.FindStringSubmatch(line); found != nil {
		return found[1] + string(styles[found[2]].Of(terminal.Clean(found[2]))) + line[len(found[0]):]
	}
	return line
}
