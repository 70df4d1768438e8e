package pages

import (
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxLines  = 300
	maxColumn = 120
)

// Only the title has level 1, and no level is left out, so that a reader who hears a page can go by its headings.
func TestHeadingsAreNested(t *testing.T) {
	t.Parallel()
	for _, p := range repository(t) {
		level := 0
		for _, s := range p.Sections {
			if s.Level == 0 {
				continue
			}
			if s.Level > level+1 || s.Level == 1 && level > 0 {
				t.Errorf("%s:%d: %q has level %d after level %d", p.Path, s.Line, s.Title, s.Level, level)
			}
			level = s.Level
		}
	}
}

func TestPagesAndLinesAreShort(t *testing.T) {
	t.Parallel()
	for _, p := range repository(t) {
		if lines := strings.Count(string(p.Text), "\n"); lines > maxLines {
			t.Errorf("%s has %d lines: expected at most %d: make two pages of it", p.Path, lines, maxLines)
		}
		for _, n := range wideLines(string(p.Text)) {
			t.Errorf("%s:%d: expected at most %d characters", p.Path, n, maxColumn)
		}
	}
}

// wideLines returns the numbers of lines that are too long and could be broken: not those of tables and code, and not long links.
func wideLines(text string) []int {
	var wide []int
	fenced, n := false, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		switch inner := strings.TrimSpace(line); {
		case strings.HasPrefix(inner, "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(inner, "|"), utf8.RuneCountInString(line) <= maxColumn:
		case utf8.RuneCountInString(longestWord(line)) < maxColumn-20:
			wide = append(wide, n)
		}
	}
	return wide
}

func longestWord(line string) string {
	longest := ""
	for word := range strings.FieldsSeq(line) {
		if len(word) > len(longest) {
			longest = word
		}
	}
	return longest
}

// A language colors code on the page, and says whether it is a command, its output or a file.
func TestCodeNamesItsLanguage(t *testing.T) {
	t.Parallel()
	for _, p := range repository(t) {
		for _, f := range p.Fences {
			if f.Language == "" {
				t.Errorf("%s:%d: the block names no language: sh, console, text, json …", p.Path, f.Line)
			}
		}
	}
}
