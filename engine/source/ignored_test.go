package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ignoredIn reads a directory with these empty files and links (name>target), and lists what it ignores.
func ignoredIn(t *testing.T, overlays []string, names ...string) (string, *Reading) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		name, target, isLink := strings.Cut(name, ">")
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		err := os.Symlink(target, p)
		if !isLink {
			err = os.WriteFile(p, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir, Config{Overlays: overlays})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := Read(t.Context(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range r.Ignored().Files {
		if f.Reason == "" {
			t.Errorf("%s has no reason", f.Path)
		}
		files = append(files, f.Path)
	}
	return strings.Join(files, " "), r
}

func TestFilesThatLookLikePolicyAndAreNotLoadedAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		files    string
		overlays []string
		want     string
	}{
		{"all loaded", "p.rego a/p.rego data.json a/data.yml p_test.rego data-sandbox.json", nil, ""},
		{"copies of data.json", "p.rego data.json data-backup.json data-2026-11-26.yaml", nil, "data-2026-11-26.yaml data-backup.json"},
		{"named overlays", "p.rego data.json data-site.json data-old.json", []string{"data-site.json"}, "data-old.json"},
		{"overlays in folders", "p.rego a/data-sandbox.json", nil, "a/data-sandbox.json"},
		{"beside the rego folder", "rego/p.rego rego/data.json p.rego p_test.rego data.json a/b/q.rego data-sandbox.json README.md package.json", nil,
			"a/b/q.rego data-sandbox.json data.json p.rego"},
		{"a rego folder of data", "rego/data.json p.rego", nil, ""},
		{"other JSON and YAML", "p.rego users.json a/roles.yml b/c.yaml", nil, "a/roles.yml b/c.yaml users.json"},
		{"names that say what they are", "p.rego p.input.json input.json p.expected.json data.schema.json data.json.bak p.rego.orig data.bak p.rego~ README.md", nil, ""},
		{"capitals, and an ending that some systems hide", "p.rego P2.REGO Data.json q.rego.txt data.json.txt notes.txt", nil, "Data.json P2.REGO data.json.txt q.rego.txt"},
		{"hidden", "p.rego .q.rego .data.json .drafts/r.rego .git/s.rego .cache/x ..2026/p.rego .#p.rego>nowhere ._p.rego .p.rego.swp #p.rego#", nil, ".data.json .drafts .q.rego"},
		{"a link", "p.rego users.json>a/u.txt a/u.txt", nil, "users.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := ignoredIn(t, tt.overlays, strings.Fields(tt.files)...); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTheListOfIgnoredFilesIsBounded(t *testing.T) {
	names := []string{"p.rego"}
	for i := range 250 {
		names = append(names, fmt.Sprintf("a%d/n%03d.json", i%3, i))
	}
	_, r := ignoredIn(t, nil, names...)
	if got := r.Ignored(); len(got.Files) != 100 || got.More != 150 {
		t.Errorf("%d files and %d more", len(got.Files), got.More)
	}
}

// A reading that takes listings over has the list of what lies in them, too.
func TestIgnoredFilesAreKeptWithTheListing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"rego/a/p.rego", "rego/a/users.json", "rego/b/q.rego", "data.json"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("{}"), 0o600); err != nil {
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
	first = later(first)
	for _, changed := range []string{"rego/b/q.rego", "rego/a/p.rego", "data.json"} {
		next, err := Read(t.Context(), d, Options{Earlier: Earlier{
			Reading: first, Previous: first, Changed: map[string]bool{changed: true}, ChangedDirs: map[string]bool{filepath.Dir(changed): true},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if !next.Ignored().Equal(first.Ignored()) || len(next.Ignored().Files) != 2 {
			t.Errorf("after an event for %s: %v, want %v", changed, next.Ignored(), first.Ignored())
		}
	}
}
