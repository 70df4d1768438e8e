package pages

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const root = "../../.."

var readOnce = sync.OnceValues(func() ([]Page, error) { return Read(root) })

func repository(t *testing.T) []Page {
	t.Helper()
	all, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("there are %d pages", len(all))
	}
	return all
}

// A reader who follows a link comes to what it promises, on GitHub and on the site alike.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	all := repository(t)
	byPath := map[string]Page{}
	for _, p := range all {
		byPath[p.Path] = p
	}
	links := 0
	for _, p := range all {
		for _, l := range p.Links {
			to, anchor, ok := p.Target(l)
			switch {
			case strings.HasPrefix(l.To, "https://"), strings.HasPrefix(l.To, "mailto:"):
				continue
			case !ok:
				t.Errorf("%s:%d: %s: expected https://, or a path inside the repository", p.Path, l.Line, l.To)
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s:%d: %s: there is no %s", p.Path, l.Line, l.To, to)
				continue
			}
			if target, isPage := byPath[to]; anchor != "" && (!isPage || !target.Has(anchor)) {
				t.Errorf("%s:%d: %s: %s has no such heading", p.Path, l.Line, l.To, to)
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
}

func TestEveryImageSaysWhatItShows(t *testing.T) {
	t.Parallel()
	for _, p := range repository(t) {
		for _, l := range p.Links {
			if l.Image && len(l.Alt) < 10 {
				t.Errorf("%s:%d: %s: its text is %q: expected what the image shows", p.Path, l.Line, l.To, l.Alt)
			}
		}
	}
}
