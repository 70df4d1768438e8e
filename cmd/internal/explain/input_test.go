package explain_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/explain"
)

func TestAnInputIsJSONOrYAMLInAnyEncodingOfEditors(t *testing.T) {
	wide := func(text string, mark ...byte) string {
		b := strings.Builder{}
		b.Write(mark)
		for _, c := range []byte(text) {
			if mark[0] == 0xff {
				b.Write([]byte{c, 0})
			} else {
				b.Write([]byte{0, c})
			}
		}
		return b.String()
	}
	for name, tc := range map[string]struct{ file, text, want, err string }{
		"JSON":                {"a.json", ` {"role": "admin"} `, `{"role": "admin"}`, ""},
		"JSON with a mark":    {"a.json", "\ufeff{\"role\": 1}", `{"role": 1}`, ""},
		"UTF-16, little":      {"a.json", wide(`{"role": 1}`, 0xff, 0xfe), `{"role": 1}`, ""},
		"UTF-16, big":         {"a.json", wide(`{"role": 1}`, 0xfe, 0xff), `{"role": 1}`, ""},
		"YAML":                {"a.yaml", "role: admin\nn: 12345678901234567890\n", `{"n":12345678901234567890,"role":"admin"}`, ""},
		"YAML with a mark":    {"a.yml", "\ufeffrole: [a, b]\n", `{"role":["a","b"]}`, ""},
		"flow style":          {"a.yaml", "{role: admin}", `{"role":"admin"}`, ""},
		"no name tells":       {"a", "role: admin", `{"role":"admin"}`, ""},
		"broken JSON":         {"a.json", `{"role": `, "", "a.json is not JSON"},
		"broken, by no name":  {"a", `{"role": `, "", "is not JSON"},
		"several documents":   {"a.yaml", "a: 1\n---\nb: 1\n", "", "neither JSON nor YAML"},
		"an alias":            {"a.yaml", "a: &x 1\nb: *x\n", "", "neither JSON nor YAML"},
		"nothing, but a file": {"a.json", "", "", "is not JSON"},
	} {
		file := filepath.Join(t.TempDir(), tc.file)
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := explain.ReadInputFile(file, strings.NewReader(""))
		if string(got) != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if got, err := explain.ReadInputFile("-", strings.NewReader("a: 1")); string(got) != `{"a":1}` {
		t.Errorf("%q %v", got, err)
	}
}
