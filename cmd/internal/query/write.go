package query

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Formats are those of [Answer.Write]; source is for partial evaluation alone.
func Formats() []string {
	return []string{"pretty", "json", "raw", "values", "bindings", "source", "discard"}
}

// CheckFormat reports a format that does not exist, or that the options do not have.
func CheckFormat(name string, o Options) error {
	switch {
	case !slices.Contains(Formats(), name):
		return fmt.Errorf("--format is %q: expected %s", name, strings.Join(Formats(), ", "))
	case o.Partial && name != "pretty" && name != "json" && name != "source":
		return fmt.Errorf("--format %s has no place for what partial evaluation leaves: expected pretty, json or source", name)
	case !o.Partial && name == "source":
		return fmt.Errorf("--format source is for --partial")
	}
	return nil
}

// Write writes the answer in a format of [Formats].
func (a *Answer) Write(w io.Writer, name string) error {
	switch name {
	case "json":
		return report.JSON(w, a)
	case "raw":
		return a.raw(w)
	case "values":
		for _, r := range a.Result {
			values := make([]any, len(r.Expressions))
			for i, x := range r.Expressions {
				values[i] = x.Value
			}
			if err := report.JSON(w, values); err != nil {
				return err
			}
		}
		return nil
	case "bindings":
		for _, r := range a.Result {
			if err := report.JSON(w, r.Bindings); err != nil {
				return err
			}
		}
		return nil
	case "source":
		return a.source(w)
	case "discard":
		fmt.Fprintf(w, "%s\n", terminal.Count(len(a.Result), "result"))
		return a.aside(w)
	}
	return a.Pretty(w)
}

// raw writes strings as they are, for scripts; a terminal shows what it would act on as escapes.
func (a *Answer) raw(w io.Writer) error {
	for _, r := range a.Result {
		for i, x := range r.Expressions {
			text, isText := x.Value.(string)
			if !isText {
				body, err := json.Marshal(x.Value)
				if err != nil {
					return err
				}
				text = string(body)
			}
			end := " "
			if i == len(r.Expressions)-1 {
				end = "\n"
			}
			terminal.Fprintf(w, "%s", terminal.Text(text+end))
		}
	}
	return nil
}

// Pretty writes the answer for people.
func (a *Answer) Pretty(w io.Writer) error {
	var err error
	switch {
	case !a.Defined():
		fmt.Fprintln(w, "undefined")
	case a.Partial != nil:
		err = a.source(w)
	case len(a.Result) == 1 && len(a.Result[0].Bindings) == 0 && (len(a.Result[0].Expressions) == 1 || allTrue(a.Result[0])):
		err = report.JSON(w, a.Result[0].Expressions[0].Value)
	default:
		err = a.rows(w)
	}
	if err != nil {
		return err
	}
	return a.aside(w)
}

func allTrue(r rego.Result) bool {
	return !slices.ContainsFunc(r.Expressions, func(x *rego.ExpressionValue) bool { _, is := x.Value.(bool); return !is })
}

// rows are one line for each result: the variables, or where there are none, the expressions.
func (a *Answer) rows(w io.Writer) error {
	var names []string
	for name := range a.Result[0].Bindings {
		names = append(names, name)
	}
	slices.Sort(names)
	lines := [][]string{slices.Clone(names)}
	expressions := []int{}
	for i, x := range a.Result[0].Expressions {
		if _, is := x.Value.(bool); !is || len(names) == 0 {
			expressions = append(expressions, i)
			lines[0] = append(lines[0], x.Text)
		}
	}
	for _, r := range a.Result {
		var line []string
		for _, name := range names {
			line = append(line, inLine(r.Bindings[name]))
		}
		for _, i := range expressions {
			line = append(line, inLine(r.Expressions[i].Value))
		}
		lines = append(lines, line)
	}
	return columns(w, lines)
}

func inLine(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// columns writes lines of cells below one another, the first of which is the head.
func columns(w io.Writer, lines [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for i, line := range lines {
		cells := make([]string, len(line))
		for j, cell := range line {
			cells[j] = string(terminal.Line(cell))
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
		if i == 0 {
			for j, cell := range cells {
				cells[j] = strings.Repeat("-", len([]rune(cell)))
			}
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
	}
	return table.Flush()
}

// source writes what partial evaluation left as Rego.
func (a *Answer) source(w io.Writer) error {
	if a.Partial == nil {
		return nil
	}
	write := func(title string, node any) error {
		text, err := format.AstWithOpts(node, format.Opts{IgnoreLocations: true})
		if err != nil {
			return err
		}
		terminal.Fprintf(w, "# %s\n%s\n", title, terminal.Text(strings.TrimSuffix(string(text), "\n")))
		return nil
	}
	for i, q := range a.Partial.Queries {
		if err := write(fmt.Sprintf("Query %d", i+1), q); err != nil {
			return err
		}
	}
	for i, m := range a.Partial.Support {
		if err := write(fmt.Sprintf("Module %d", i+1), m); err != nil {
			return err
		}
	}
	return nil
}

// aside writes what was asked for besides the result.
func (a *Answer) aside(w io.Writer) error {
	if err := a.Why.Write(w); err != nil {
		return err
	}
	if len(a.Metrics) > 0 {
		lines := [][]string{{"metric", "value"}}
		for _, name := range slices.Sorted(maps.Keys(a.Metrics)) {
			lines = append(lines, []string{name, inLine(a.Metrics[name])})
		}
		fmt.Fprintln(w)
		if err := columns(w, lines); err != nil {
			return err
		}
	}
	if len(a.Profile) > 0 {
		lines := [][]string{{"time", "evaluated", "again", "expressions", "where"}}
		for _, x := range a.Profile {
			where := Name
			if x.Location != nil && x.Location.File != "" {
				where = x.Location.File
			}
			lines = append(lines, []string{
				time.Duration(x.ExprTimeNs).String(), fmt.Sprint(x.NumEval), fmt.Sprint(x.NumRedo), fmt.Sprint(x.NumGenExpr), fmt.Sprintf("%s:%d", where, rowOf(x.Location)),
			})
		}
		fmt.Fprintln(w)
		if err := columns(w, lines); err != nil {
			return err
		}
	}
	if b := a.Benchmark; b != nil {
		fmt.Fprintln(w)
		fmt.Fprintf(w, "%d evaluations   %d ns/op   %d B/op   %d allocs/op\n", b.Count, b.Mean, b.Bytes, b.Allocs)
		fmt.Fprintf(w, "min %d   p50 %d   p90 %d   p99 %d   max %d ns\n", b.Min, b.P50, b.P90, b.P99, b.Max)
	}
	return nil
}

func rowOf(l *ast.Location) int {
	if l == nil {
		return 0
	}
	return l.Row
}
