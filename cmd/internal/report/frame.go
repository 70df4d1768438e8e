// Package report prints diagnostics and the result of a validation: for people, with the source line and
// a caret under the word, and in the formats that editors, CI systems and code scanners read.
package report

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine/diagnostic"
)

// Write draws the diagnostics for people, separated by blank lines.
func Write(w io.Writer, ds diagnostic.List) { writeAll(w, "error", ds) }

// WriteWarnings is [Write] for what is no error.
func WriteWarnings(w io.Writer, ds diagnostic.List) { writeAll(w, "warning", ds) }

func writeAll(w io.Writer, kind string, ds diagnostic.List) {
	for i, d := range ds {
		if i > 0 {
			fmt.Fprintln(w)
		}
		write(w, kind, d)
	}
}

func write(w io.Writer, kind string, d diagnostic.Diagnostic) {
	style := terminal.Alarm
	if kind != "error" {
		style = terminal.Look
	}
	terminal.Fprintf(w, "%s: %s\n", style.Of(terminal.Clean(terminal.Sprintf("%s[%s]", kind, d.Code))), terminal.Strong.Line(d.Message))
	indented := ""
	if d.Line > 0 {
		indented = strings.Repeat(" ", len(strconv.Itoa(d.Line)))
	}
	gutter := func(mark string) terminal.Clean {
		return terminal.Clean(indented) + terminal.Quiet.Of(terminal.Clean(mark))
	}
	if d.File != "" {
		terminal.Fprintf(w, "%s %s\n", gutter("-->"), place(d))
	}
	if d.Line > 0 && d.Text != "" {
		terminal.Fprintf(w, "%s\n%s %s\n", gutter(" |"), terminal.Quiet.Of(terminal.Clean(strconv.Itoa(d.Line)+" |")), terminal.Text(d.Text))
		if d.Column > 0 && d.Column <= len(d.Text)+1 {
			before, pointed := terminal.Text(d.Text[:d.Column-1]), terminal.Text(pointedAt(d.Text[d.Column-1:]))
			carets := strings.Repeat("^", max(1, utf8.RuneCountInString(string(pointed))))
			terminal.Fprintf(w, "%s %s%s\n", gutter(" |"), indent(before), style.Of(terminal.Clean(carets)))
		}
	}
	for _, line := range d.Details {
		terminal.Fprintf(w, "%s %s\n", gutter(" ="), line)
	}
	if d.Hint != "" {
		terminal.Fprintf(w, "%s %s\n", gutter(" ="), terminal.Look.Line("hint: "+d.Hint))
	}
}

// Lines prints each diagnostic as file:line:column: message, for editors. Details and the hint follow the
// message on the same line. dir is put before the names of files.
func Lines(w io.Writer, dir string, ds diagnostic.List) { lines(w, dir, "", ds) }

// lines puts kind before each message.
func lines(w io.Writer, dir, kind string, ds diagnostic.List) {
	for _, d := range ds {
		d.File = filepath.ToSlash(filepath.Join(dir, d.File))
		terminal.Fprintf(w, "%s: %s%s\n", place(d), kind, strings.ReplaceAll(strings.Join(messageLines(d), "; "), "\n", " "))
	}
}

// Line is a diagnostic in one line: file:line:column: message.
func Line(d diagnostic.Diagnostic) string {
	at := place(d)
	if at != "" {
		at += ": "
	}
	return at + FirstLine(d.Message)
}

// messageLines returns the message, the details and the hint, each as a line.
func messageLines(d diagnostic.Diagnostic) []string {
	lines := append([]string{d.Message}, d.Details...)
	if d.Hint != "" {
		lines = append(lines, "hint: "+d.Hint)
	}
	return lines
}

// endColumn returns the column after the token that the diagnostic points at, in bytes from 1; 0 when it
// points at none.
func endColumn(d diagnostic.Diagnostic) int {
	if d.Column < 1 || d.Column > len(d.Text) {
		return 0
	}
	return d.Column + len(pointedAt(d.Text[d.Column-1:]))
}

// token matches what carets are drawn under: a string, a name with its dots, an operator or one character.
var token = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|[\pL_][\pL\pN_.]*|[0-9.]+|:=|[=!<>]=|.)`)
})

// pointedAt returns the token at the start of text.
func pointedAt(text string) string { return token().FindString(text) }

// place returns file:line:column, or the part of it that is set.
func place(d diagnostic.Diagnostic) string {
	place := d.File
	if d.Line > 0 {
		place += ":" + strconv.Itoa(d.Line)
		if d.Column > 0 {
			place += ":" + strconv.Itoa(d.Column)
		}
	}
	return place
}

// indent replaces everything but tabs by spaces, so that the caret is below its character whatever the
// width of a tab is.
func indent(before terminal.Clean) terminal.Clean {
	return terminal.Clean(strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, string(before)))
}
