package dev

import (
	"slices"
	"testing"
)

func TestChangedRowsAreThoseThatADiffAdds(t *testing.T) {
	for _, tc := range []struct {
		name, before, now string
		want              []int
	}{
		{"equal", "a\nb\n", "a\nb\n", nil},
		{"a new file", "", "a\nb\n", []int{1, 2}},
		{"a line altered", "a\nb\nc\n", "a\nx\nc\n", []int{2}},
		{"a line added", "a\nb\n", "a\nx\nb\n", []int{2}},
		{"a line removed", "a\nb\nc\n", "a\nc\n", nil},
		{"two places", "a\nb\nc\nd\n", "x\na\nb\nc\ny\n", []int{1, 5}},
		{"no line break at the end", "a\nb", "a\nx", []int{2}},
	} {
		if got := changedRows([]byte(tc.before), []byte(tc.now)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: changedRows(%q, %q) = %v, want %v", tc.name, tc.before, tc.now, got, tc.want)
		}
	}
}
