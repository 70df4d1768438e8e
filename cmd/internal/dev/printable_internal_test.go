package dev

import (
	"reflect"
	"testing"
)

// The screen draws a round while the loop reports it again.
func TestPrintableLeavesItsRoundAsItIs(t *testing.T) {
	t.Parallel()
	made := func() Round {
		return Round{
			Changed: []string{"\x1b[2J"}, Failing: []Failure{{Name: "\x1b[2J", Why: []string{"\x1b[2J"}}}, Lines: []Lines{{File: "\x1b[2J"}},
			Decisions: []Decision{{Input: "\x1b[2J", Changed: []string{"\x1b[2J"}}}, Found: []Found{{Path: "\x1b[2J", Changed: []string{"\x1b[2J"}}},
		}
	}
	r := made()
	shown := printable(r)
	if !reflect.DeepEqual(r, made()) {
		t.Errorf("%+v", r)
	}
	if shown.Found[0].Path == r.Found[0].Path || shown.Failing[0].Name == r.Failing[0].Name {
		t.Error("nothing was cleaned")
	}
}
