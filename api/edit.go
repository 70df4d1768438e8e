package api

import (
	"fmt"
	"slices"
	"strings"
)

// EditText says in a line which files an edit altered, added and removed; changed has them all; the lists are sorted. It names ten of each kind and
// counts the rest. It is empty where nothing changed.
func EditText(changed, added, removed []string) string {
	altered := slices.DeleteFunc(slices.Clone(changed), func(path string) bool {
		_, isNew := slices.BinarySearch(added, path)
		_, gone := slices.BinarySearch(removed, path)
		return isNew || gone
	})
	var parts []string
	for _, kind := range []struct {
		verb  string
		files []string
	}{{"changed", altered}, {"added", added}, {"removed", removed}} {
		const maxShown = 10
		if len(kind.files) == 0 {
			continue
		}
		text := kind.verb + " " + strings.Join(kind.files[:min(maxShown, len(kind.files))], ", ")
		if more := len(kind.files) - maxShown; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
