package console

import (
	"fmt"
	"strconv"
	"strings"
)

// diffFile is the part of a unified diff about one file, with the file as it was and as it is side by side.
type diffFile struct {
	Name  string
	Sides [2]diffSide
	Note  string // why there are no lines
}

// diffSide is one of the two. Both have as many lines: where one has none, it is empty.
type diffSide struct {
	Name  string
	Lines []diffLine
}

// diffLine is one of its lines.
type diffLine struct {
	Kind   string // add, del, at, same, or none, which is not there on this side
	Sign   string // what it begins with, for who sees no colours
	Number int    // in the file; 0: it has none
	Text   string
}

// splitDiff takes a unified diff apart. Lines before the first file are left out.
func splitDiff(text, from, to string) (files []diffFile) {
	var now *diffFile
	var hunk hunk
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case now != nil && hunk.takes(now, line):
		case strings.HasPrefix(line, "--- "):
			files = append(files, diffFile{Name: nameIn(line), Sides: [2]diffSide{{Name: "Before: " + from}, {Name: "After: " + to}}})
			now = &files[len(files)-1]
		case now == nil:
		case strings.HasPrefix(line, "+++ "):
			if name := nameIn(line); name != "/dev/null" {
				now.Name = name
			}
		case strings.HasPrefix(line, "@@"):
			hunk.begin(line)
			now.add(hunk.at(0), hunk.at(1))
		case !strings.HasPrefix(line, "\\"): // such as: \ No newline at end of file
			now.Note = line
		}
	}
	for i := range files {
		files[i].level()
	}
	return files
}

// hunk is a piece of a diff: the numbers of the next lines before and after, and how many are still to come.
type hunk struct{ next, left [2]int }

// begin reads a line such as "@@ -6,7 +6,7 @@".
func (h *hunk) begin(line string) {
	*h = hunk{}
	for i, part := range strings.Fields(line)[1:] {
		if i > 1 {
			break
		}
		first, count, several := strings.Cut(strings.TrimLeft(part, "-+"), ",")
		h.next[i], _ = strconv.Atoi(first) // the API writes numbers
		if h.left[i] = 1; several {
			h.left[i], _ = strconv.Atoi(count)
		}
	}
}

// at says which lines of a side the piece is of.
func (h *hunk) at(side int) diffLine {
	text := "no lines"
	switch n := h.left[side]; {
	case n == 1:
		text = fmt.Sprintf("line %d", h.next[side])
	case n > 1:
		text = fmt.Sprintf("lines %d to %d", h.next[side], h.next[side]+n-1)
	}
	return diffLine{Kind: "at", Text: text}
}

// takes adds a line of the piece to a file. What a line of a file begins with says nothing of where the piece ends: its count does.
func (h *hunk) takes(f *diffFile, line string) bool {
	if h.left == [2]int{} {
		return false
	}
	sign, text := " ", ""
	if line != "" {
		sign, text = line[:1], line[1:]
	}
	switch sign {
	case "-":
		f.Sides[0].Lines = append(f.Sides[0].Lines, diffLine{"del", "-", h.count(0), text})
	case "+":
		f.Sides[1].Lines = append(f.Sides[1].Lines, diffLine{"add", "+", h.count(1), text})
	case " ":
		f.add(diffLine{"same", " ", h.count(0), text}, diffLine{"same", " ", h.count(1), text})
	default:
		return false
	}
	return true
}

func (h *hunk) count(side int) int {
	h.next[side]++
	h.left[side]--
	return h.next[side] - 1
}

// add adds a line to both sides, at the same height.
func (f *diffFile) add(before, after diffLine) {
	f.level()
	f.Sides[0].Lines = append(f.Sides[0].Lines, before)
	f.Sides[1].Lines = append(f.Sides[1].Lines, after)
}

// level makes both sides as long as the longer one.
func (f *diffFile) level() {
	for i := range f.Sides {
		for len(f.Sides[i].Lines) < len(f.Sides[1-i].Lines) {
			f.Sides[i].Lines = append(f.Sides[i].Lines, diffLine{Kind: "none"})
		}
	}
}

// nameIn is the file in a line such as "--- a/rego/x.rego".
func nameIn(line string) string {
	name, _, _ := strings.Cut(line[len("--- "):], "\t")
	for _, side := range []string{"a/", "b/"} {
		name = strings.TrimPrefix(name, side)
	}
	return name
}
