package review

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/source"

	"github.com/aymanbagabas/go-udiff"
)

// File is a file that differs, with the lines that came and went.
type File struct {
	Path           string
	Change         string
	Added, Removed int
}

func filesOf(pairs []engine.FilePair) []File {
	var files []File
	for _, p := range pairs {
		f := File{Change: Changed}
		before, after := bytesOf(p.Before), bytesOf(p.After)
		switch {
		case p.Before == nil:
			f.Path, f.Change = p.After.Path, Added
		case p.After == nil:
			f.Path, f.Change = p.Before.Path, Removed
		default:
			f.Path = p.After.Path
		}
		f.Added, f.Removed = countLines(before, after)
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files
}

func bytesOf(f *source.File) []byte {
	if f == nil {
		return nil
	}
	return f.Bytes
}

// maxAligned bounds the lines that are aligned as a text diff does. Of longer ones, those that are not on the other side
// are counted.
const maxAligned = 2000

// countLines counts the lines that came and went. Most edits leave the lines before and after them alone.
func countLines(before, after []byte) (added, removed int) {
	a, b := linesOf(before), linesOf(after)
	for len(a) > 0 && len(b) > 0 && bytes.Equal(a[0], b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && bytes.Equal(a[len(a)-1], b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	switch {
	case len(a) == 0 || len(b) == 0:
		return len(b), len(a)
	case len(a)+len(b) > maxAligned:
		return linesBeyond(a, b), linesBeyond(b, a)
	}
	was, is := string(bytes.Join(a, nil)), string(bytes.Join(b, nil))
	for _, e := range udiff.Lines(was, is) {
		removed += strings.Count(was[e.Start:e.End], "\n")
		added += strings.Count(e.New, "\n")
	}
	return added, removed
}

// linesOf splits a text; each line ends in a line feed, the last one too.
func linesOf(text []byte) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			line = append(bytes.Clone(line), '\n')
		}
		lines = append(lines, line)
	}
	return lines
}

func linesBeyond(have, all [][]byte) (n int) {
	left := map[string]int{}
	for _, line := range have {
		left[string(line)]++
	}
	for _, line := range all {
		if left[string(line)]--; left[string(line)] < 0 {
			n++
		}
	}
	return n
}

// maxText bounds the size of a file that a text diff shows.
const maxText = 1 << 20

// TextOf is a unified diff of the files that differ; base may be nil. Files larger than a megabyte are named only.
func TextOf(base, candidate *engine.Generation) string {
	var b strings.Builder
	for _, p := range engine.DeltaOf(base, candidate).Files {
		was, is := "/dev/null", "/dev/null"
		if p.Before != nil {
			was = "a/" + p.Before.Path
		}
		if p.After != nil {
			is = "b/" + p.After.Path
		}
		before, after := bytesOf(p.Before), bytesOf(p.After)
		if max(len(before), len(after)) > maxText {
			fmt.Fprintf(&b, "--- %s\n+++ %s\nfiles of more than a megabyte are not compared line by line\n", was, is)
			continue
		}
		b.WriteString(udiff.Unified(was, is, string(before), string(after)))
	}
	return b.String()
}
