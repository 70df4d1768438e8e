package dev

import (
	"bytes"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"

	"github.com/aymanbagabas/go-udiff"
)

// Lines is how the tests reached the lines of one policy file that a change added or altered. Lines
// that hold nothing to evaluate are in neither list.
type Lines struct {
	File                string
	Reached, NotReached []int
}

// changedSince lists the files that differ, removed ones too.
func changedSince(before, now *engine.Generation) []string {
	was := bytesByPath(before)
	var changed []string
	for _, f := range now.Files() {
		old, ok := was[f.Path]
		if !ok || !bytes.Equal(old, f.Bytes) {
			changed = append(changed, f.Path)
		}
		delete(was, f.Path)
	}
	for path := range was {
		changed = append(changed, path)
	}
	slices.Sort(changed)
	return changed
}

func bytesByPath(g *engine.Generation) map[string][]byte {
	files := make(map[string][]byte, len(g.Files()))
	for _, f := range g.Files() {
		files[f.Path] = f.Bytes
	}
	return files
}

// linesOf tells which of the lines that changed between two generations the tests reached. outcome
// is nil when no test can tell the change: then its lines count as not reached.
func linesOf(before, now *engine.Generation, outcome *testrun.Outcome) []Lines {
	was := bytesByPath(before)
	var all []Lines
	for _, f := range now.Files() {
		old := was[f.Path]
		if !strings.HasSuffix(f.Path, ".rego") || strings.HasSuffix(f.Path, "_test.rego") || bytes.Equal(old, f.Bytes) {
			continue
		}
		l := Lines{File: f.Path}
		rows := changedRows(old, f.Bytes)
		reached, not := rowsIn(now, f.Path, outcome)
		for _, row := range rows {
			switch {
			case reached[row]:
				l.Reached = append(l.Reached, row)
			case not[row]:
				l.NotReached = append(l.NotReached, row)
			}
		}
		all = append(all, l)
	}
	return all
}

// rowsIn are the lines of a file that tests reached, and those that they could have.
func rowsIn(g *engine.Generation, path string, outcome *testrun.Outcome) (reached, not map[int]bool) {
	reached, not = map[int]bool{}, map[int]bool{}
	if outcome != nil && outcome.Coverage != nil && outcome.Coverage.Files[path] != nil {
		for _, r := range outcome.Coverage.Files[path].Covered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				reached[row] = true
			}
		}
		for _, r := range outcome.Coverage.Files[path].NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				not[row] = true
			}
		}
		return reached, not
	}
	if module := g.Module(path); module != nil {
		for _, rule := range module.Rules {
			not[rule.Location.Row] = true
		}
	}
	return reached, not
}

// changedRows returns the lines of now, counted from 1, that a diff from before to now adds.
func changedRows(before, now []byte) []int {
	var rows []int
	row, at := 1, 0 // the next line of now, and the offset in before of the line that is equal to it
	for _, edit := range udiff.Lines(string(before), string(now)) {
		row += bytes.Count(before[at:edit.Start], []byte("\n"))
		for range strings.Lines(edit.New) {
			rows = append(rows, row)
			row++
		}
		at = edit.End
	}
	return rows
}
