// Package pages reads the repository's Markdown as GitHub does: titles, headings with their anchors, links, images, code and text.
// Both the documentation site and the checks of the documents are made of what it finds.
package pages

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Page is a Markdown file.
type Page struct {
	Path     string // from the root of the repository, with slashes
	Title    string // its first heading
	Text     []byte
	Sections []Section
	Links    []Link
	Fences   []Fence
	HTML     []HTML
	Prose    []Prose
}

// A Section is a heading with what follows it, up to the next heading. What stands before the first heading has level 0.
type Section struct {
	Level  int
	Title  string
	Anchor string
	Line   int
	Text   string // without markup
}

// A Link is a link or an image.
type Link struct {
	To    string // as it is written
	Alt   string // what an image says to those who do not see it
	Image bool
	Line  int
}

// A Fence is a block of code between fences.
type Fence struct {
	Language string
	Line     int // the one that opens it
}

// HTML is markup that stands as it is in a page.
type HTML struct {
	Text string
	Line int
}

// Prose is a paragraph, a heading or a cell of a table, without code and without the places to which its links lead.
type Prose struct {
	Text string // lines as they stand in the page
	Line int
}

// Read reads the pages that a reader of the repository can come to: README.md, SECURITY.md, all of docs, and what they link to.
func Read(root string) ([]Page, error) {
	todo := []string{"README.md", "SECURITY.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") {
			name, err = filepath.Rel(root, name)
			todo = append(todo, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the documents: %w", err)
	}
	seen := map[string]bool{}
	var all []Page
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		p := parse(name, text)
		all = append(all, p)
		for _, l := range p.Links {
			to, _, _ := p.Target(l)
			if strings.HasSuffix(to, ".md") && inside(root, to) {
				todo = append(todo, to)
			}
		}
	}
	slices.SortFunc(all, func(a, b Page) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

func inside(root, name string) bool {
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil && info.Mode().IsRegular()
}

// Target returns the path, from the root of the repository, and the anchor that a link of the page leads to. ok is false where it leads
// out of the repository: to another site, or above the root.
func (p Page) Target(l Link) (to, anchor string, ok bool) {
	if strings.Contains(l.To, "://") || strings.HasPrefix(l.To, "mailto:") || strings.HasPrefix(l.To, "/") {
		return "", "", false
	}
	to, anchor, _ = strings.Cut(l.To, "#")
	to, _, _ = strings.Cut(to, "?")
	if to == "" {
		return p.Path, anchor, true
	}
	to = path.Join(path.Dir(p.Path), to)
	return to, anchor, to != ".." && !strings.HasPrefix(to, "../")
}

// Has reports whether a heading or an element of the page has the anchor.
func (p Page) Has(anchor string) bool {
	for _, s := range p.Sections {
		if s.Level > 0 && s.Anchor == anchor {
			return true
		}
	}
	for _, h := range p.HTML {
		if strings.Contains(h.Text, `id="`+anchor+`"`) || strings.Contains(h.Text, `name="`+anchor+`"`) {
			return true
		}
	}
	return false
}
