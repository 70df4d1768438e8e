package lsp

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// document is a text with its lines.
type document struct {
	text   string
	starts []int // offsets of the lines
}

func newDocument(text string) *document {
	d := &document{text: text, starts: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			d.starts = append(d.starts, i+1)
		}
	}
	return d
}

// line is the text of a line, from 0, without its end.
func (d *document) line(n int) string {
	if n < 0 || n >= len(d.starts) {
		return ""
	}
	end := len(d.text)
	if n+1 < len(d.starts) {
		end = d.starts[n+1]
	}
	return strings.TrimRight(d.text[d.starts[n]:end], "\r\n")
}

// offset is the byte at a position; a position behind the end of its line is the end.
func (d *document) offset(p position) int {
	if p.Line < 0 {
		return 0
	}
	if p.Line >= len(d.starts) {
		return len(d.text)
	}
	at, units := d.starts[p.Line], 0
	for _, r := range d.line(p.Line) {
		if units >= p.Character {
			break
		}
		units += utf16.RuneLen(safe(r))
		at += utf8.RuneLen(safe(r))
	}
	return min(at, len(d.text))
}

// position is where a byte is.
func (d *document) position(offset int) position {
	offset = min(max(offset, 0), len(d.text))
	n := sort.SearchInts(d.starts, offset+1) - 1
	units := 0
	for _, r := range d.text[d.starts[n]:offset] {
		units += utf16.RuneLen(safe(r))
	}
	return position{n, units}
}

// safe replaces what no editor sends: a rune that has no length.
func safe(r rune) rune {
	if utf16.RuneLen(r) < 0 || r == utf8.RuneError {
		return 'x'
	}
	return r
}

func (d *document) span(start, end int) textRange {
	return textRange{d.position(start), d.position(end)}
}

// whole is the range of the whole text.
func (d *document) whole() textRange { return d.span(0, len(d.text)) }

// tokenAt is the range of the word at a place that a diagnostic names by line and column, both from 1 and in bytes; where there is
// no word, of the rest of the line.
func (d *document) tokenAt(line, column int) textRange {
	n := max(line, 1) - 1
	if n >= len(d.starts) {
		return d.span(len(d.text), len(d.text))
	}
	text := d.line(n)
	from := min(max(column, 1)-1, len(text))
	end := from
	for end < len(text) && isWord(text[end]) {
		end++
	}
	if end == from {
		end = len(text)
	}
	return d.span(d.starts[n]+from, d.starts[n]+end)
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// pathOf is the file of a URI.
func pathOf(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", fmt.Errorf("URI %q: %w", uri, err)
	}
	if u.Scheme != "file" {
		return "", fmt.Errorf("URI %q: expected one of a file", uri)
	}
	p := u.Path
	if runtime.GOOS == "windows" {
		p = strings.TrimPrefix(p, "/")
	}
	return filepath.Clean(filepath.FromSlash(p)), nil
}

// uriOf is the URI of a file.
func uriOf(path string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}
