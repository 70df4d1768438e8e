package settings

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest is the one of the names that was probably meant; empty if none is near.
func Nearest(name string, names []string) string {
	near, _ := nearest(name, names)
	return near
}

// nearest is the one of the names that was probably meant; empty if none is near. Names have parts with dots between them.
func nearest(name string, names []string) (_ string, distance int) {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	last := name[strings.LastIndexByte(name, '.')+1:]
	type near struct {
		name     string
		distance int
	}
	var all []near
	for _, known := range names {
		lower := strings.ToLower(known)
		ownLast := lower[strings.LastIndexByte(lower, '.')+1:]
		distance := levenshtein.ComputeDistance(name, lower)
		if elsewhere := levenshtein.ComputeDistance(last, ownLast); elsewhere <= len(last)/4 && len(last) > 3 {
			distance = min(distance, elsewhere+1) // the right name in the wrong section
		}
		if distance <= max(1, min(3, len(last)/2)) { // letters that changed places count as two
			all = append(all, near{known, distance})
		}
	}
	if len(all) == 0 {
		return "", 0
	}
	best := slices.MinFunc(all, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return best.name, best.distance
}
