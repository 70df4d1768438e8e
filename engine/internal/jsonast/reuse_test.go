package jsonast_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"defenseclaw/engine/internal/jsonast"
)

// TestALargeTextIsReadOnlyWhereItChanged counts allocations: reading makes at least one for each few
// members, and reusing makes none.
func TestALargeTextIsReadOnlyWhereItChanged(t *testing.T) {
	const members = 5_000
	forms := map[string]struct{ around, member string }{
		"an object of objects": {`{"version": 1, "all": {%s}, "last": null}`, `"member %[1]d": {"name": "the name of member %[1]d", "roles": ["reader %[1]d", "writer"], "level": %[1]d.5}`},
		"an object of numbers": {`{"version": 1, "all": {%s}, "last": null}`, `"member %[1]d": %[1]d.5`},
		"an array of objects":  {`{"version": 1, "all": [%s], "last": null}`, `{"name": "the name of member %[1]d", "roles": ["reader %[1]d", "writer"], "level": %[1]d.5}`},
		"an array of strings":  {`[1, [%s], null]`, `"the name of member %[1]d"`},
		"nested":               {`{"a": {"b": {"c": [%s]}}}`, `"the name of member %[1]d"`},
	}
	edits := map[string]func(all []string, fresh func() string) []string{
		"one is changed":       func(all []string, fresh func() string) []string { all[members/2] = fresh(); return all },
		"the first is changed": func(all []string, fresh func() string) []string { all[0] = fresh(); return all },
		"the last is changed":  func(all []string, fresh func() string) []string { all[members-1] = fresh(); return all },
		"several are changed": func(all []string, fresh func() string) []string {
			all[3], all[4], all[members/3] = fresh(), fresh(), fresh()
			return all
		},
		"one is added":          func(all []string, fresh func() string) []string { return slices.Insert(all, members/2, fresh()) },
		"one is put in front":   func(all []string, fresh func() string) []string { return slices.Insert(all, 0, fresh()) },
		"one is put at the end": func(all []string, fresh func() string) []string { return append(all, fresh()) },
		"one is removed":        func(all []string, _ func() string) []string { return slices.Delete(all, members/2, members/2+1) },
		"many are removed":      func(all []string, _ func() string) []string { return slices.Delete(all, members/4, members/2) },
		"the first are removed": func(all []string, _ func() string) []string { return all[members/4:] },
		"the last are removed":  func(all []string, _ func() string) []string { return all[:members/4] },
		"none is changed":       func(all []string, _ func() string) []string { return all },
	}
	for form, f := range forms {
		for edit, do := range edits {
			t.Run(form+", "+edit, func(t *testing.T) {
				var all []string
				for i := range members {
					all = append(all, fmt.Sprintf(f.member, i))
				}
				text := func(all []string) []byte { return fmt.Appendf(nil, f.around, strings.Join(all, ",\n  ")) }
				before, err := jsonast.Parse(text(all), nil)
				if err != nil {
					t.Fatal(err)
				}
				made := members
				after := text(do(all, func() string { made++; return fmt.Sprintf(f.member, made) }))
				doc, err := jsonast.Parse(after, before)
				sameAsOPA(t, after, doc, err)
				allocations := testing.AllocsPerRun(1, func() {
					if _, err := jsonast.Parse(after, before); err != nil {
						t.Error(err)
					}
				})
				if allocations > members/10 {
					t.Errorf("%.0f allocations for %d members", allocations, members)
				}
			})
		}
	}
}

func TestRepeatedKeysInALargeObjectAreFound(t *testing.T) {
	var all []string
	for i := range 10_000 {
		all = append(all, fmt.Sprintf(`"member %d": %d`, i, i))
	}
	text := func(all ...string) []byte { return []byte("{" + strings.Join(all, ",") + "}") }
	before, err := jsonast.Parse(text(all...), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string][]byte{
		"a new one, of one before it":         text(append(slices.Clone(all), `"member 5": "again"`)...),
		"a new one, of one behind it":         text(append([]string{`"member 5": "again"`}, all...)...),
		"two new ones":                        text(append(slices.Clone(all), `"new": 1`, `"new": 2`)...),
		"one that replaces another":           text(append(append(slices.Clone(all[:7]), `"member 5": "again"`), all[8:]...)...),
		"one that replaces itself":            text(append(append(slices.Clone(all[:7]), `"member 7": "again"`), all[8:]...)...),
		"two that replace one":                text(append(append(slices.Clone(all[:7]), `"member 7": 1`, `"member 7": 2`), all[8:]...)...),
		"one that was moved":                  text(append(append(slices.Clone(all[:7]), all[8:]...), all[7])...),
		"one that was moved, and stays":       text(append(append(slices.Clone(all[:7]), all[8:]...), all[8])...),
		"one that is written in another way":  text(append(slices.Clone(all), `"member\u0020\u0035": "again"`)...),
		"those before, and then they do not":  text(all...),
		"much that is new, and one of before": text(append(slices.Clone(all[9_000:]), `"a": 1`, all[9_500])...),
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := jsonast.Parse(after, before)
			sameAsOPA(t, after, doc, err)
			again, err := jsonast.Parse(text(all...), doc)
			sameAsOPA(t, text(all...), again, err)
		})
	}
}
