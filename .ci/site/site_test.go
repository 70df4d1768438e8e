package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"defenseclaw/ci/site/pages"

	"golang.org/x/net/html"
)

const repository = "../.."

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		return "", err
	}
	return dir, build(repository, dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func site(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A document is what a page refers to, and what can be referred to in it.
type document struct {
	refs []string
	ids  map[string]bool
}

func read(t *testing.T, file string) document {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	node, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := document{ids: map[string]bool{}}
	for n := range node.Descendants() {
		for _, a := range n.Attr {
			switch a.Key {
			case "href", "src":
				d.refs = append(d.refs, a.Val)
			case "id":
				if d.ids[a.Val] {
					t.Errorf("%s: two elements have the id %s", file, a.Val)
				}
				d.ids[a.Val] = true
			}
		}
	}
	return d
}

// Whatever a page of the site refers to is on the site, by a relative address, so that the site works from a folder.
func TestTheSiteIsComplete(t *testing.T) {
	t.Parallel()
	dir := site(t)
	documents := map[string]document{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".html") {
			documents[name] = read(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	refs := 0
	for name, d := range documents {
		for _, ref := range d.refs {
			if strings.HasPrefix(ref, "https://") || strings.HasPrefix(ref, "mailto:") {
				continue
			}
			to, anchor, _ := strings.Cut(ref, "#")
			file := filepath.Join(filepath.Dir(name), filepath.FromSlash(to))
			if to == "" {
				file = name
			}
			if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || path.IsAbs(to) {
				t.Errorf("%s: %s leads to no file of the site", name, ref)
			}
			if target, ok := documents[file]; ok && anchor != "" && !target.ids[anchor] {
				t.Errorf("%s: %s leads to no element of the page", name, ref)
			}
			refs++
		}
	}
	if refs < 1000 {
		t.Errorf("the site has %d links in %d pages", refs, len(documents))
	}
}

// Nothing is loaded from elsewhere.
func TestTheSiteLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	dir := site(t)
	for _, p := range must(pages.Read(repository))(t) {
		text := string(must(os.ReadFile(filepath.Join(dir, address(p.Path))))(t))
		for _, loads := range []string{`src="http`, `src="//`, `rel="stylesheet" href="http`, "@import"} {
			if strings.Contains(text, loads) {
				t.Errorf("%s has %s", p.Path, loads)
			}
		}
	}
}

// Each page is in the navigation of each page, once.
func TestEachPageIsInTheNavigation(t *testing.T) {
	t.Parallel()
	all := must(pages.Read(repository))(t)
	seen := map[string]int{}
	for _, g := range navigation(all) {
		if len(g.Items) == 0 && g.Title != "Start" {
			t.Errorf("the group %s is empty", g.Title)
		}
		for _, i := range g.Items {
			seen[i.URL]++
			for _, below := range i.Items {
				seen[below.URL]++
			}
		}
	}
	for _, p := range all {
		if seen[address(p.Path)] != 1 {
			t.Errorf("%s is in the navigation %d times", p.Path, seen[address(p.Path)])
		}
	}
}

// The library that searches is what the lock says.
func TestTheScriptIsWhatTheLockSays(t *testing.T) {
	t.Parallel()
	var lock map[string]string
	if err := json.Unmarshal(must(os.ReadFile("assets/lock.json"))(t), &lock); err != nil || len(lock) != 4 {
		t.Fatal(lock, err)
	}
	for name, want := range lock {
		sum := sha256.Sum256(must(os.ReadFile(filepath.Join("assets", name)))(t))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s is not what assets/lock.json says: make site-assets", name)
		}
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
