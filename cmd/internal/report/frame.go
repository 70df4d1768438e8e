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
	"unicode/utf8"

	"defenseclaw/engine/diagnostic"
)

// Write draws the diagnostics for people, separated by blank lines.
func Write(w io.Writer, ds diagnostic.List) {
	for i, d := range ds {
		if i > 0 {
			fmt.Fprintln(w)
		}
		write(w, d)
	}
}

func write(w io.Writer, d diagnostic.Diagnostic) {
	fmt.Fprintf(w, "error[%s]: %s\n", d.Code, d.Message)
	gutter := ""
	if d.Line > 0 {
		gutter = strings.Repeat(" ", len(strconv.Itoa(d.Line)))
	}
	if d.File != "" {
		fmt.Fprintf(w, "%s--> %s\n", gutter, place(d))
	}
	if d.Line > 0 && d.Text != "" {
		fmt.Fprintf(w, "%s |\n%d | %s\n", gutter, d.Line, d.Text)
		if d.Column > 0 && d.Column <= len(d.Text)+1 {
			fmt.Fprintf(w, "%s | %s%s\n", gutter, indent(d.Text[:d.Column-1]), strings.Repeat("^", span(d.Text[d.Column-1:])))
		}
	}
	for _, line := range d.Details {
		fmt.Fprintf(w, "%s = %s\n", gutter, line)
	}
	if d.Hint != "" {
		fmt.Fprintf(w, "%s = hint: %s\n", gutter, d.Hint)
	}
}

// Lines prints each diagnostic as file:line:column: message, for editors. Details and the hint follow the
// message on the same line. dir is put before the names of files.
func Lines(w io.Writer, dir string, ds diagnostic.List) {
	for _, d := range ds {
		d.File = filepath.ToSlash(filepath.Join(dir, d.File))
		fmt.Fprintf(w, "%s: %s\n", place(d), strings.ReplaceAll(strings.Join(messageLines(d), "; "), "\n", " "))
	}
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
	return d.Column + len(token.FindString(d.Text[d.Column-1:]))
}

// token matches what carets are drawn under: a string, a name with its dots, an operator or one character.
var token = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|[\pL_][\pL\pN_.]*|[0-9.]+|:=|[=!<>]=|.)`)

// span returns the number of characters of the token at the start of text, at least 1.
func span(text string) int { return max(1, utf8.RuneCountInString(token.FindString(text))) }

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
func indent(before string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, before)
}
