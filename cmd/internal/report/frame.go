// Package report draws a diagnostic as people read one: the place, the source line, a caret under the
// word that is meant, and what is known beside it.
package report

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"defenseclaw/api"
)

// Write draws the diagnostics one after the other, with a blank line between two.
func Write(w io.Writer, ds []api.Diagnostic) {
	for i, d := range ds {
		if i > 0 {
			fmt.Fprintln(w)
		}
		write(w, d)
	}
}

func write(w io.Writer, d api.Diagnostic) {
	fmt.Fprintf(w, "error[%s]: %s\n", d.Code, d.Message)
	gutter := ""
	if d.Line > 0 {
		gutter = strings.Repeat(" ", len(strconv.Itoa(d.Line)))
	}
	if d.File != "" {
		fmt.Fprintf(w, "%s--> %s\n", gutter, Place(d))
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

// Lines prints each diagnostic as file:line:column: message, for editors; what follows an "also" or
// is a hint stands behind the message. dir is put before the files' names.
func Lines(w io.Writer, dir string, ds []api.Diagnostic) {
	for _, d := range ds {
		d.File = filepath.ToSlash(filepath.Join(dir, d.File))
		text := append([]string{d.Message}, d.Details...)
		if d.Hint != "" {
			text = append(text, "hint: "+d.Hint)
		}
		fmt.Fprintf(w, "%s: %s\n", Place(d), strings.ReplaceAll(strings.Join(text, "; "), "\n", " "))
	}
}

// End is the column behind the word or the operator that the diagnostic points at, in bytes from 1;
// 0 when it points at none.
func End(d api.Diagnostic) int {
	if d.Column < 1 || d.Column > len(d.Text) {
		return 0
	}
	return d.Column + len(token.FindString(d.Text[d.Column-1:]))
}

// token is what a caret is drawn under: a string, a name with its dots, an operator, one character.
var token = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|[\pL_][\pL\pN_.]*|[0-9.]+|:=|[=!<>]=|.)`)

// span is how many characters the token at the begin of text has, at least 1.
func span(text string) int { return max(1, utf8.RuneCountInString(token.FindString(text))) }

// Place is file:line:column, as much of it as is known.
func Place(d api.Diagnostic) string {
	place := d.File
	if d.Line > 0 {
		place += ":" + strconv.Itoa(d.Line)
		if d.Column > 0 {
			place += ":" + strconv.Itoa(d.Column)
		}
	}
	return place
}

// indent is as wide as the text before the caret, with its tabs, so that the caret stands under
// the right character whatever a tab's width is.
func indent(before string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, before)
}
