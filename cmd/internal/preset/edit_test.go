package preset_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/preset"
)

func TestAnEditChangesWhatItNamesAlone(t *testing.T) {
	const data = `{"zeta": 1.50, "actions": {"LOW": {"x": 1e2, "file": "none"}}, "ports": [443, 8.0e1, "http"], "gone": {"a": 1, "b": 2}}`
	edited, changes, err := preset.Apply([]byte(data),
		preset.Merge(map[string]string{"runtime": "block", "file": "quarantine"}, nil, "actions", "LOW"),
		preset.Items([]int{443, 8443, 8443}, []int{80, 22}, "ports"),
		preset.Remove("gone", "a"),
		preset.Remove("never", "there"),
		preset.Items(nil, []string{"x"}, "no", "list"),
		preset.Set("new", "made", "on", "the", "way"),
		preset.Set(1.5, "zeta"),
	)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"zeta":1.50,"actions":{"LOW":{"x":1e2,"file":"quarantine","runtime":"block"}},"ports":[443,"http",8443],"gone":{"b":2},"made":{"on":{"the":{"way":"new"}}}}`
	if got := strings.Join(strings.Fields(string(edited)), ""); got != want {
		t.Errorf("%s\n%s", got, want)
	}
	var paths []string
	for _, c := range changes {
		paths = append(paths, c.Path)
	}
	if got := strings.Join(paths, " "); got != "actions.LOW ports gone.a made.on.the.way" {
		t.Error(got)
	}
	if same, changes, err := preset.Apply([]byte(data), preset.Remove("never")); err != nil || string(same) != data || changes != nil {
		t.Errorf("%s %v %v", same, changes, err)
	}
}

func TestAnEditOfAnotherKindOfValueIsRefused(t *testing.T) {
	for data, edit := range map[string]preset.Edit{
		`{"a": "x"}`:         preset.Items([]int{1}, nil, "a"),
		`{"a": null}`:        preset.Items([]int{1}, nil, "a"),
		`{"a": {}}`:          preset.Items(nil, []int{1}, "a"),
		`{"a": []}`:          preset.Merge(map[string]string{"x": "y"}, nil, "a"),
		`{"a": 1}`:           preset.Set(1, "a", "b"),
		`{"a": {}, "a": {}}`: preset.Remove("a"),
		`{}`:                 preset.Merge(map[string]string{"x": "y"}, []string{"x", "z"}, "a"),
		`{"b": 1}`:           preset.Set(func() {}, "a"),
	} {
		if _, _, err := preset.Apply([]byte(data), edit); err == nil || !strings.HasPrefix(err.Error(), "data.json: ") {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestAPolicyIsCreatedOnceAndCanBeApplied(t *testing.T) {
	dir := t.TempDir()
	for _, from := range preset.BuiltIn() {
		file, err := preset.Create(dir, "of-"+from, from, "")
		if err != nil || file != filepath.Join(dir, "of-"+from+".yaml") {
			t.Fatal(file, err)
		}
		want, _ := apply(t, dir, from, shipped(t))
		got, _ := apply(t, dir, "of-"+from, shipped(t))
		if string(got) != strings.Replace(string(want), `"`+from+`"`, `"of-`+from+`"`, 1) {
			t.Errorf("%s: its copy means something else", from)
		}
		if _, err := preset.Create(dir, "of-"+from, from, ""); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	write(t, dir, "list.yaml", "[a]")
	write(t, dir, "empty.yaml", "")
	for _, from := range []string{"list", "empty", "none", "../x"} {
		if _, err := preset.Create(dir, "new", from, ""); err == nil {
			t.Errorf("from %s", from)
		}
	}
	if _, err := preset.Create(dir, "../new", "strict", ""); err == nil {
		t.Error("a path is a name")
	}
	if _, err := os.Stat(filepath.Join(dir, "new.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file is left of a policy that was not created")
	}
}
