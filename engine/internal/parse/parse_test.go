package parse

import (
	"testing"
	"testing/fstest"

	"defenseclaw/engine/source"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// one parses a directory with one file, beside the module that makes it a policy.
func one(t *testing.T, name, text string) *File {
	t.Helper()
	src := fstest.MapFS{"sound.rego": {Data: []byte("package sound\n")}, name: {Data: []byte(text)}}
	reading, err := source.Read(t.Context(), src, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := All(t.Context(), reading, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Path() == name {
			return f
		}
	}
	t.Fatalf("%s was not read", name)
	return nil
}

func TestAFileThatIsStillWrittenLooksCutShort(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		want       bool
	}{
		"empty":                     {"p.rego", "", true},
		"a body that is not closed": {"p.rego", "package p\nallow if {\n\tinput.x\n", true},
		"a string that is not":      {"p.rego", "package p\nx := \"abc\n", true},
		"an error in the middle":    {"p.rego", "package p\nx := := 1\ny := 2\n", false},
		"data in the middle":        {"data.json", "{\"a\": [1, 2", true},
		"data with an error":        {"data.json", "{\"a\": tru, \"b\": 1}\n", false},
	} {
		f := one(t, tt.file, tt.text)
		if f.Wrong == nil || f.LooksCutShort() != tt.want {
			t.Errorf("%s: %v, looks cut short %v; want %v", name, f.Wrong, f.LooksCutShort(), tt.want)
		}
	}
}

func TestAKeyIsLocatedInItsFile(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		path       []string
		want       string
		ok         bool
	}{
		"a key":                 {"data.json", "{\n\t\"a\": {\"b\": 1}\n}", []string{"a", "b"}, "data.json:2:8", true},
		"a value on the way":    {"data.json", "{\"a\": 1}", []string{"a", "b"}, "data.json:1:2", true},
		"another key":           {"data.json", "{\"a\": 1}", []string{"c"}, "", false},
		"below its folder":      {"x/data.yaml", "a:\n  b: 1\n", []string{"x", "a", "b"}, "x/data.yaml:2:3", true},
		"the folder itself":     {"x/data.yaml", "a: 1\n", []string{"x"}, "x/data.yaml", true},
		"in another one":        {"x/data.yaml", "a: 1\n", []string{"y", "a"}, "", false},
		"behind an alias":       {"data.yaml", "a: &t\n  b: 1\nc: *t\n", []string{"c", "b"}, "data.yaml:2:3", true},
		"the folder and no key": {"x/data.yaml", "a: 1\n", []string{"x", "c"}, "", false},
	} {
		f := one(t, tt.file, tt.text)
		if place, ok := f.Locate(tt.path); place != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v; want %q, %v (%v)", name, place, ok, tt.want, tt.ok, f.Wrong)
		}
	}
}

func TestABrokenModuleMayDefineWhatBeginsItsLines(t *testing.T) {
	f := one(t, "p.rego", "# about p\npackage a.b\nimport data.x\ndefault allow := false\nallow if {\n\tinput.x ==\n}\nf(x) := x\ns contains 1\nbad := = 1\n")
	pkg, names := f.MayDefine()
	if pkg.String() != "data.a.b" {
		t.Errorf("package %v", pkg)
	}
	for _, name := range []string{"allow", "f", "s", "bad"} {
		if !names[name] {
			t.Errorf("%s is not among %v", name, names)
		}
	}
	if names["about"] || names["package"] {
		t.Errorf("%v", names)
	}
}
