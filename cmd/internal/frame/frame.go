// Package frame draws a diagnostic as people read one: the place, the source line and a caret.
package frame

import (
	"fmt"
	"io"
	"strconv"
	"strings"

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
			fmt.Fprintf(w, "%s | %s^\n", gutter, indent(d.Text[:d.Column-1]))
		}
	}
	for _, line := range d.Details {
		fmt.Fprintf(w, "%s = %s\n", gutter, line)
	}
}

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
