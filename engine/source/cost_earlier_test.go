package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/engine/diagnostic"
)

// A directory that is taken over unread counts as much as when it was read.
func TestFilesOfAnEarlierReadingCount(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p.rego": "package p\n", "a/data.json": `{"a":[` + strings.Repeat("{},", 10_000) + `{}]}`, "b/data.json": `{"b":1}`,
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, err := Read(t.Context(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	earlier := Earlier{Reading: later(first), Previous: first, Changed: map[string]bool{"b/data.json": true}, ChangedDirs: map[string]bool{"b": true}}
	for memory, want := range map[int64]string{64 << 20: "", 3 << 20: diagnostic.CodePolicyTooLarge} {
		again, err := Read(t.Context(), d, Options{Earlier: earlier, Limits: Limits{Memory: memory}})
		var wrong diagnostic.List
		switch {
		case want == "" && (err != nil || again.dirs["a"] != earlier.Reading.dirs["a"]):
			t.Errorf("%d bytes: %v, or the directory was listed again", memory, err)
		case want != "" && (!errors.As(err, &wrong) || wrong[0].Code != want || wrong[0].File != "a/data.json"):
			t.Errorf("%d bytes: %v; want %s", memory, err, want)
		}
	}
}
