package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"defenseclaw/ci/site/pages"

	"github.com/gohugoio/hugo/commands"
)

// source holds Hugo's configuration, templates, styles and scripts.
//
//go:embed all:hugo
var source embed.FS

// A pair is a destination as a page writes it, and the one that it has on the site.
type pair struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// front is what a page says to Hugo. The site has the folders of the repository, so relative links lead to the same places in both.
type front struct {
	Title  string `json:"title"`
	URL    string `json:"url"`
	Params params `json:"params"`
}

type params struct {
	Source string `json:"source"` // the page's path in the repository
	Up     string `json:"up"`     // the way from the page to the root of the site: "", "../", …
	Links  []pair `json:"links"`
}

// build writes the site of the repository at root into the directory out.
func build(root, out string) error {
	all, err := pages.Read(root)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "site")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	hugo, err := fs.Sub(source, "hugo")
	if err != nil {
		return err
	}
	if err := os.CopyFS(work, hugo); err != nil {
		return err
	}
	s := stage{root: root, work: work, pages: map[string]bool{}, copied: map[string]bool{}}
	for _, p := range all {
		s.pages[p.Path] = true
	}
	for _, p := range all {
		if err := s.page(p); err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	if err := errors.Join(s.data("nav.json", navigation(all)), s.search(all)); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	if err := commands.Execute([]string{"--source", work, "--destination", out, "--noBuildLock", "--quiet"}); err != nil {
		return fmt.Errorf("hugo: %w", err)
	}
	fmt.Printf("%d pages in %s\n", len(all), filepath.Join(out, "index.html"))
	return nil
}

// A stage is the folder that Hugo reads.
type stage struct {
	root, work string
	pages      map[string]bool // by path
	copied     map[string]bool // files and folders that are on the site
}

// address returns where a page is on the site.
func address(page string) string {
	if path.Base(page) == "README.md" {
		return path.Join(path.Dir(page), "index.html")
	}
	return strings.TrimSuffix(page, ".md") + ".html"
}

func frontOf(title, source, address string) front {
	return front{Title: title, URL: "/" + address, Params: params{
		Source: source, Up: strings.Repeat("../", strings.Count(address, "/")), Links: []pair{},
	}}
}

// page writes a page with the places to which its links lead, and takes along the files that they name.
func (s *stage) page(p pages.Page) error {
	at := address(p.Path)
	f := frontOf(p.Title, p.Path, at)
	for _, l := range p.Links {
		to, anchor, ok := p.Target(l)
		if !ok || strings.HasPrefix(l.To, "#") {
			continue
		}
		on, err := s.place(to)
		if err != nil {
			return fmt.Errorf("line %d: the link to %s: %w", l.Line, l.To, err)
		}
		rel, err := filepath.Rel(path.Dir("/"+at), "/"+on)
		if err != nil {
			return err
		}
		if anchor != "" {
			rel += "#" + anchor
		}
		f.Params.Links = append(f.Params.Links, pair{l.To, filepath.ToSlash(rel)})
	}
	return s.content("page--"+p.Path, f, string(p.Text))
}

// place returns where a file or folder of the repository is on the site, and puts it there if it is no page.
func (s *stage) place(name string) (string, error) {
	if s.pages[name] {
		return address(name), nil
	}
	if readme := path.Join(name, "README.md"); s.pages[readme] {
		return address(readme), nil
	}
	info, err := os.Stat(filepath.Join(s.root, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return path.Join(name, "index.html"), s.folder(name)
	}
	return name, s.file(name)
}

func (s *stage) file(name string) error {
	if s.copied[name] {
		return nil
	}
	s.copied[name] = true
	text, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	return s.write(path.Join("static", name), text)
}

// folder makes a page that lists the files of a folder, and takes them along.
func (s *stage) folder(name string) error {
	if s.copied[name] {
		return nil
	}
	s.copied[name] = true
	f := frontOf(name, name, path.Join(name, "index.html"))
	list := "# " + name + "\n\n"
	err := fs.WalkDir(os.DirFS(s.root), name, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := strings.TrimPrefix(file, name+"/")
		on, err := s.place(file)
		list += "- [" + rel + "](<" + rel + ">)\n"
		f.Params.Links = append(f.Params.Links, pair{rel, strings.TrimPrefix(on, name+"/")})
		return err
	})
	if err != nil {
		return err
	}
	return s.content("folder--"+name+".md", f, list)
}

// content writes a page for Hugo. Its name has no folders: the page says itself where it is.
func (s *stage) content(name string, f front, text string) error {
	head, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return s.write(path.Join("content", strings.ReplaceAll(name, "/", "--")), fmt.Appendf(head, "\n\n%s", text))
}

func (s *stage) data(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.write("data/"+name, text)
}

// search writes what is searched, each section by itself. It is a script, since a page that no server serves can load no other data.
func (s *stage) search(all []pages.Page) error {
	type section struct {
		ID    int    `json:"id"`
		Page  string `json:"page"`
		Title string `json:"title"`
		URL   string `json:"url"`
		Text  string `json:"text"`
	}
	var sections []section
	for _, p := range all {
		for _, part := range p.Sections {
			if part.Level == 0 && part.Text == "" {
				continue
			}
			at := address(p.Path)
			if part.Level > 1 {
				at += "#" + part.Anchor
			}
			sections = append(sections, section{len(sections), p.Title, part.Title, at, part.Text})
		}
	}
	text, err := json.Marshal(sections)
	if err != nil {
		return err
	}
	return s.write("static/search-sections.js", fmt.Appendf(nil, "window.searchSections = %s;\n", text))
}

func (s *stage) write(name string, text []byte) error {
	file := filepath.Join(s.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
