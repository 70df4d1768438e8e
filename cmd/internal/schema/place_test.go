package schema

import (
	"slices"
	"testing"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"
)

func TestAValueIsFoundInItsFile(t *testing.T) {
	type at struct{ line, column, depth int }
	for _, tc := range []struct {
		name, path, text string
		location         []string
		want             at
	}{
		{"the whole", "data.json", " \n {}", nil, at{2, 2, 0}},
		{"a key", "data.json", "{\n  \"a\" : 1}", []string{"a"}, at{2, 3, 1}},
		{"a key with an escape", "data.json", `{"\u0061": 1}`, []string{"a"}, at{1, 2, 1}},
		{"a key below", "data.json", "{\"b\": {}, \"a\":\n {\"b\": 1}}", []string{"a", "b"}, at{2, 3, 2}},
		{"as far as it is there", "data.json", `{"b": 1, "a": {"c": 1}}`, []string{"a", "b"}, at{1, 10, 1}},
		{"nothing of it", "data.json", `{"b": 1}`, []string{"a", "b"}, at{1, 1, 0}},
		{"an element", "data.json", "{\"a\": [1,\n  2]}", []string{"a", "1"}, at{2, 3, 2}},
		{"below an element", "data.json", "{\"a\": [{}, {\n\"b\": 1}]}", []string{"a", "1", "b"}, at{2, 1, 3}},
		{"the last of equal keys", "data.json", "{\"a\": 1,\n\"a\": 2}", []string{"a"}, at{2, 1, 1}},
		{"a byte order mark", "data.json", "\ufeff{\"a\": 1}", []string{"a"}, at{1, 2, 1}},
		{"JSON that is cut short", "data.json", `{"a": 1, "b`, []string{"a"}, at{1, 2, 1}},
		{"an empty file", "data.json", "", []string{"a"}, at{1, 1, 0}},
		{"YAML", "data.yaml", "b: 1\na:\n  b: 1\n", []string{"a", "b"}, at{3, 3, 2}},
		{"YAML, columns in bytes", "data.yml", "{é: 1, a: 2}", []string{"a"}, at{1, 9, 1}},
		{"YAML behind an alias", "data.yaml", "a: &x\n  c: 1\nb: *x\n", []string{"b", "c"}, at{2, 3, 2}},
		{"YAML, an element", "data.yaml", "a:\n- 1\n- 2\n", []string{"a", "1"}, at{3, 3, 2}},
		{"YAML, no element", "data.yaml", "a:\n- 1\n", []string{"a", "-1"}, at{1, 1, 1}},
		{"YAML that is none", "data.yaml", "a: [", []string{"a"}, at{0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got at
			got.line, got.column, got.depth = find(&source.File{Path: tc.path, Bytes: []byte(tc.text)}, tc.location)
			if got != tc.want {
				t.Errorf("find(%q, %q) = %+v, want %+v", tc.text, tc.location, got, tc.want)
			}
		})
	}
}

func FuzzAPlaceIsInItsFile(f *testing.F) {
	f.Add("data.json", `{"a": [1, {"b": 2}], "a": {"b": 1}}`, "a", "b")
	f.Add("data.yaml", "a: &x {b: 1}\nb: *x\n", "b", "b")
	f.Fuzz(func(t *testing.T, path, text, first, second string) {
		location := []string{first, second}
		line, column, depth := find(&source.File{Path: path, Bytes: []byte(text)}, slices.Clone(location))
		if depth < 0 || depth > len(location) {
			t.Errorf("depth %d of %q", depth, location)
		}
		// A caret is drawn below this line, at most one column after its end.
		if shown := diagnostic.Line([]byte(text), line); line > 0 && column > 0 && len(shown) < 1000 && column > len([]byte(text))+1 {
			t.Errorf("%d:%d is outside of %q", line, column, shown)
		}
	})
}
