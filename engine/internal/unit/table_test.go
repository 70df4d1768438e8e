package unit_test

import (
	"fmt"
	"maps"
	"testing"

	"defenseclaw/engine/internal/unit"

	"pgregory.net/rapid"
)

func TestATableIsAnImmutableMap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		table, want := &unit.Table[int]{}, map[unit.Key]*int{}
		for range rapid.IntRange(1, 8).Draw(r, "edits") {
			edit := map[unit.Key]*int{}
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 600), 0, 300).Draw(r, "keys") {
				value := &n
				if rapid.Bool().Draw(r, "remove") {
					value = nil
				}
				edit[unit.Key(fmt.Sprintf("tenants\x00t%d\x00", n))] = value
			}
			before, held := table, maps.Clone(want)
			table = table.With(edit)
			for key, value := range edit {
				if want[key] = value; value == nil {
					delete(want, key)
				}
			}
			if !maps.Equal(maps.Collect(before.All()), held) {
				r.Fatal("an edit changed the table before it")
			}
			if !maps.Equal(maps.Collect(table.All()), want) {
				r.Fatal("the table does not hold what it was given")
			}
			for key := range edit {
				if table.Get(key) != want[key] {
					r.Fatalf("%q: %v; want %v", key, table.Get(key), want[key])
				}
			}
		}
	})
}
