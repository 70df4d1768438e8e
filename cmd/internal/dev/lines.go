package dev

import (
	"bytes"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/testrun"
	"defenseclaw/engine"

	"github.com/aymanbagabas/go-udiff"
)

// Lines says which lines of one policy file that a change added or altered were reached by tests. Lines
// without anything to evaluate are in neither list.
type Lines struct {
	File                string
	Reached, NotReached []int
}

// changedSince lists the files that differ, including removed ones.
func changedSince(before, now *engine.Generation) []string {
	previous := bytesByPath(before)
	var changed []string
	for _, f := range now.Files() {
		old, ok := previous[f.Path]
		if !ok || !bytes.Equal(old, f.Bytes) {
			changed = append(changed, f.Path)
		}
		delete(previous, f.Path)
	}
	for path := range previous {
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

// linesOf returns the changed lines of each changed policy file. outcome is nil if no test is affected by
// the change; its lines then count as not reached.
func linesOf(before, now *engine.Generation, outcome *testrun.Outcome) []Lines {
	previous := bytesByPath(before)
	var all []Lines
	for _, f := range now.Files() {
		old := previous[f.Path]
		if !strings.HasSuffix(f.Path, ".rego") || strings.HasSuffix(f.Path, "_test.rego") || bytes.Equal(old, f.Bytes) {
			continue
		}
		l := Lines{File: f.Path}
		rows := changedRows(old, f.Bytes)
		reached, notReached := rowsIn(now, f.Path, outcome)
		for _, row := range rows {
			switch {
			case reached[row]:
				l.Reached = append(l.Reached, row)
			case notReached[row]:
				l.NotReached = append(l.NotReached, row)
			}
		}
		all = append(all, l)
	}
	return all
}

// rowsIn returns the lines of a file that tests reached, and those that they did not reach.
func rowsIn(g *engine.Generation, path string, outcome *testrun.Outcome) (reached, notReached map[int]bool) {
	reached, notReached = map[int]bool{}, map[int]bool{}
	if outcome != nil && outcome.Coverage != nil && outcome.Coverage.Files[path] != nil {
		for _, r := range outcome.Coverage.Files[path].Covered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				reached[row] = true
			}
		}
		for _, r := range outcome.Coverage.Files[path].NotCovered {
			for row := r.Start.Row; row <= r.End.Row; row++ {
				notReached[row] = true
			}
		}
		return reached, notReached
	}
	if module := g.Module(path); module != nil {
		for _, rule := range module.Rules {
			notReached[rule.Location.Row] = true
		}
	}
	return reached, notReached
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
