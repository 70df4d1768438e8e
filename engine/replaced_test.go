package engine

import (
	"testing"
)

// OPA's type checker takes a rule that a with replaces anywhere for one of any type where its value is an empty collection,
// so that whether a package compiles can depend on one that it does not refer to.
func TestAWithAnywhereAltersTheTypeOfWhatItReplaces(t *testing.T) {
	const (
		base     = "package base\n\ndefault x := {}\n\nsets := {\"s\": set()}\n\nlocal if x.y with x as {\"y\": 1}\n"
		plain    = "package base\n\ndefault x := {}\n\nsets := {\"s\": set()}\n"
		user     = "package user\n\nok if data.base.x.name\n\nhas if data.base.sets.s.a\n"
		replaces = "package other\n\nimport data.base\n\nseen if data.user.ok with base.x as {\"name\": true}\n\nsame if data.user.has with data.base.sets as {}\n"
		half     = "package other\n\nseen if data.user.ok with data.base.x as {\"name\": true}\n"
		nothing  = "package other\n\nseen if data.user.ok with input.x as {\"name\": true}\n"
	)
	w := &wild{files: map[string]string{"base.rego": plain, "data.json": "{}"}}
	var g *Generation
	for _, step := range []struct {
		file, text string
		serves     bool
		whole      bool
	}{
		{"user.rego", user, false, false},
		{"other.rego", half, false, false}, // the sets are still what they are
		{"other.rego", replaces, true, true},
		{"more.rego", "package more\n\nx := data.user.ok\n", true, true},
		{"other.rego", nothing, false, false},
		{"other.rego", half, false, false},
		{"base.rego", base, false, false},
		{"user.rego", "package user\n\nok if data.base.x.name\n", true, false}, // base itself replaces x
		{"other.rego", "", true, false},
		{"user.rego", "package user\n\nok if data.base.sets.s\n", true, false},
		{"more.rego", "package more\n\nx := data.user.ok\n\ny := 2\n", true, false},
	} {
		if w.files[step.file] = step.text; step.text == "" {
			delete(w.files, step.file)
		}
		next := loadBoth(t, w, g) // the same as compiled as a whole: errors, types, answers
		if (next != nil) != step.serves {
			t.Fatalf("%s\nserves: %t, want %t", show(w.files), next != nil, step.serves)
		}
		if next == nil {
			continue
		}
		if whole := next.policy.WhyWhole() != ""; whole != step.whole {
			t.Errorf("%s\ncompiled as a whole: %t (%s), want %t", show(w.files), whole, next.policy.WhyWhole(), step.whole)
		}
		g = next
	}
}
