package pack_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/pack"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// project writes files, the names of which may be folders that end in a slash.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		folder := path
		if !strings.HasSuffix(name, "/") {
			folder = filepath.Dir(path)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if folder == path {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheNearestRecordDecides(t *testing.T) {
	dir := project(t, map[string]string{
		".git/": "", ".regal.yaml": "project: {roots: [policy, policy/own, bundle]}",
		"policy/p.rego": "package p", "policy/deep/er/": "", "policy/own/q.rego": "package q", "bundle/.manifest": "{}", "bundle/x/": "",
		"repository/.git/": "", "repository/x/": "", "repository/x/p.rego": "package p", "elsewhere/": "",
	})
	for at, want := range map[string]string{
		"policy": ".", "policy/deep/er": "../..", "policy/own": ".", "bundle/x": "..", "repository/x": ".", "repository": "none", "elsewhere": "choice",
	} {
		here := filepath.Join(dir, filepath.FromSlash(at))
		found, err := pack.Find(here)
		got := filepath.ToSlash(found.Dir)
		switch {
		case errors.Is(err, pack.ErrNone):
			got = "none"
		case err != nil:
			got = "choice"
		case found.Dir == here:
			got = "."
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", at, got, err, want)
		}
	}
}

func TestARecordInAFolderThatAnybodyMayWriteIsNoRecord(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such mode")
	}
	dir := project(t, map[string]string{".manifest": "{}", "mine/": ""})
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if found, err := pack.Find(filepath.Join(dir, "mine")); !errors.Is(err, pack.ErrNone) {
		t.Errorf("got %v, %v", found, err)
	}
}

// FuzzRoots holds that no text of a configuration leads out of the project.
func FuzzRoots(f *testing.F) {
	for _, text := range []string{"project: {roots: [a, {path: b}]}", "project: {roots: [../a]}", "project: {roots: [/]}", "project: {roots: [{path: [1]}]}", "a: &a [*a]"} {
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, pack.ConfigName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, root := range pack.Recorded(dir) {
			if !filepath.IsLocal(filepath.FromSlash(root)) {
				t.Errorf("%q leads to %q", text, root)
			}
		}
	})
}
