package console

import "strings"

// diffFile is the part of a unified diff about one file.
type diffFile struct {
	Name  string
	Lines []diffLine
}

// diffLine is one of its lines.
type diffLine struct {
	Kind string // add, del, at or same
	Sign string // what it begins with, for who sees no colours
	Text string
}

// splitDiff takes a unified diff apart. Lines before the first file are left out.
func splitDiff(text string) (files []diffFile) {
	var now *diffFile
	inHead := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "--- "):
			files = append(files, diffFile{Name: nameIn(line)})
			now, inHead = &files[len(files)-1], true
		case now == nil:
		case inHead && strings.HasPrefix(line, "+++ "):
			if name := nameIn(line); name != "/dev/null" {
				now.Name = name
			}
			inHead = false
		case strings.HasPrefix(line, "@@"):
			now.Lines = append(now.Lines, diffLine{"at", "", line})
		case strings.HasPrefix(line, "+"):
			now.Lines = append(now.Lines, diffLine{"add", "+", line[1:]})
		case strings.HasPrefix(line, "-"):
			now.Lines = append(now.Lines, diffLine{"del", "-", line[1:]})
		default:
			now.Lines = append(now.Lines, diffLine{"same", " ", strings.TrimPrefix(line, " ")})
		}
	}
	return files
}

// nameIn is the file in a line such as "--- a/rego/x.rego".
func nameIn(line string) string {
	name, _, _ := strings.Cut(line[len("--- "):], "\t")
	for _, side := range []string{"a/", "b/"} {
		name = strings.TrimPrefix(name, side)
	}
	return name
}
