package main

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"defenseclaw/ci/site/pages"
)

// An item is a page in the navigation, with those below it.
type item struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	Items []item `json:"items"`
	group string
}

// A group has the pages for one kind of reader.
type group struct {
	Title string `json:"title"`
	Items []item `json:"items"`
}

var groups = []string{"Start", "How-to", "Reference", "Explanation"}

// Pages that no folder of docs assigns to a group.
var placed = map[string]string{
	"README.md": "Start", "docs/README.md": "Start", "docs/INSTALL.md": "Start",
	"docs/CONSOLE.md":   "How-to",
	"docs/CHANGELOG.md": "Reference", "docs/COMPATIBILITY.md": "Reference", "SECURITY.md": "Reference",
	"docs/ARCHITECTURE.md": "Explanation", ".github/CONTRIBUTING.md": "Explanation",
}

// The first matching prefix assigns.
var folders = []struct{ prefix, group string }{
	{"docs/start/", "Start"},
	{"docs/how-to/", "How-to"},
	{"docs/examples/", "How-to"},
	{"docs/kubernetes/", "How-to"},
	{"docs/reference/", "Reference"},
	{"docs/", "Explanation"},
}

func groupOf(name string) string {
	if in := placed[name]; in != "" {
		return in
	}
	for _, f := range folders {
		if strings.HasPrefix(name, f.prefix) {
			return f.group
		}
	}
	return "Explanation"
}

// navigation puts each page into one group. A folder with a README.md is one item, with its other pages below it.
func navigation(all []pages.Page) []group {
	top := map[string]*item{} // by folder
	var order []*item
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b pages.Page) int { return cmp.Compare(depth(a.Path), depth(b.Path)) })
	for _, p := range sorted {
		i := item{Title: p.Title, URL: address(p.Path), Items: []item{}, group: groupOf(p.Path)}
		folder := path.Dir(p.Path)
		if path.Base(p.Path) == "README.md" {
			folder = path.Dir(folder)
		}
		if parent := top[folder]; parent != nil {
			parent.Items = append(parent.Items, i)
			continue
		}
		order = append(order, &i)
		if path.Base(p.Path) == "README.md" && strings.Count(p.Path, "/") > 1 {
			top[path.Dir(p.Path)] = &i
		}
	}
	nav := make([]group, len(groups))
	for n, title := range groups {
		nav[n] = group{Title: title, Items: []item{}}
		for _, i := range order {
			if i.group == title {
				nav[n].Items = append(nav[n].Items, *i)
			}
		}
		slices.SortStableFunc(nav[n].Items, func(a, b item) int { return cmp.Compare(rank(a), rank(b)) })
	}
	return nav
}

// depth sorts a folder's README.md before its other pages.
func depth(name string) int {
	n := 2 * strings.Count(name, "/")
	if path.Base(name) != "README.md" {
		n++
	}
	return n
}

// rank puts the overviews first, pages with others below them last.
func rank(i item) int {
	switch {
	case i.URL == "index.html":
		return 0
	case i.URL == "docs/index.html":
		return 1
	case len(i.Items) > 0:
		return 3
	}
	return 2
}
