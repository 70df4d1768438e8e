// Package memfs holds a policy directory in memory: one that was saved, fetched, or handed over by another process.
//
// Most callers need [New], and [Tree.Apply] or [Tree.Replace] for what comes after it.
//
// # What is promised
//
//   - A [Tree] never changes. All its methods are safe for concurrent use.
//   - The next tree shares all that it has in common with the one before, and what that costs follows the change: only the
//     folders on the way to a changed file are copied. engine.Load takes shared files and folders from the generation
//     before without looking into them (they are [source.Lasting]), and makes the same of a tree as of its files in any
//     other place.
//   - A path cannot be a file and a folder at once, and cannot lead out of the tree.
package memfs

import (
	"bytes"
	"iter"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"defenseclaw/engine/source"
)

// Tree is a policy directory that never changes. It is a [source.Overlaid]. The zero value and nil are an empty one.
type Tree struct {
	root *node // nil: empty
	err  error // why it could not be made
}

var empty = &node{name: ".", folder: true}

// New makes a policy directory that holds the given files, by their slash paths; of two with one path, the latter. It
// accepts any name that a file of a directory has, even one that fs.ValidPath refuses because it is not UTF-8. The bytes
// are not copied and must not be changed. Where paths do not go together, every use of the tree is an error that says so.
func New(files iter.Seq2[string, []byte]) *Tree {
	t, err := (*Tree)(nil).Apply(maps.Collect(files), nil)
	if err != nil {
		return &Tree{err: err}
	}
	return t
}

// Apply makes the next tree: without the removed files, and with the changed ones, by their slash paths. Paths of removed
// that are no files are passed over. A file whose bytes are as before is shared, as if it had not been given; if nothing is
// left to change, the result is t itself. The bytes are not copied and must not be changed. An error says which paths do
// not go together.
func (t *Tree) Apply(changed map[string][]byte, removed []string) (*Tree, error) {
	if t != nil && t.err != nil {
		return nil, t.err
	}
	edits := make([]edit, 0, len(changed)+len(removed))
	for p, content := range changed {
		if err := check(p); err != nil {
			return nil, err
		}
		edits = append(edits, edit{whole: p, rest: p, content: content, put: true})
	}
	for _, p := range removed {
		if _, both := changed[p]; !both && check(p) == nil {
			edits = append(edits, edit{whole: p, rest: p})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return comparePaths(a.rest, b.rest) })
	edits = slices.CompactFunc(edits, func(a, b edit) bool { return a.rest == b.rest })
	old := t.top()
	root, err := old.apply(edits)
	switch {
	case err != nil:
		return nil, err
	case root == old && t != nil:
		return t, nil
	case root == nil:
		root = empty
	}
	return &Tree{root: root}, nil
}

// Replace makes a tree that holds just the given files, as [New] does, and shares with t what both have.
func (t *Tree) Replace(files map[string][]byte) (*Tree, error) {
	var gone []string
	for p := range t.Files() {
		if _, ok := files[p]; !ok {
			gone = append(gone, p)
		}
	}
	return t.Apply(files, gone)
}

// Files are the files by their slash paths, a folder after the other. The bytes are not to be changed.
func (t *Tree) Files() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) { t.top().each("", yield) }
}

// ChangedSince lists the paths of files that were added, altered or removed since previous, sorted. What both share costs
// nothing. previous may be nil: then these are all paths.
func (t *Tree) ChangedSince(previous *Tree) []string {
	var changed []string
	diff("", previous.top(), t.top(), func(p string) { changed = append(changed, p) })
	slices.Sort(changed)
	return changed
}

func (t *Tree) top() *node {
	if t == nil || t.root == nil {
		return empty
	}
	return t.root
}

// Overlays are all files that are called like one: these files were served, and no others.
func (t *Tree) Overlays() []string {
	const prefix = "data-"
	var names []string
	root := t.top()
	for _, folder := range []*node{root, root.child("rego")} {
		if folder == nil {
			continue
		}
		from := sort.Search(len(folder.children), func(i int) bool { return folder.children[i].name >= prefix })
		for _, n := range folder.children[from:] {
			if !strings.HasPrefix(n.name, prefix) {
				break
			}
			if !n.folder && source.IsOverlayName(n.name) {
				names = append(names, n.name)
			}
		}
	}
	return names
}

func (n *node) each(dir string, yield func(string, []byte) bool) bool {
	for _, c := range n.children {
		p := path.Join(dir, c.name)
		if c.folder {
			if !c.each(p, yield) {
				return false
			}
		} else if !yield(p, c.content) {
			return false
		}
	}
	return true
}

// diff names the files in which two folders differ.
func diff(dir string, before, after *node, changed func(string)) {
	source.EachPair(before.children, after.children, (*node).Name, func(b, a *node) {
		if a == b {
			return
		}
		name := b
		if b == nil {
			name = a
		}
		p := path.Join(dir, name.name)
		switch {
		case b.isFile() && a.isFile() && bytes.Equal(a.content, b.content):
		case b.isFile(), a.isFile():
			changed(p)
		}
		diff(p, b.orNone(), a.orNone(), changed)
	})
}

// orNone is n, or an empty folder where there is none.
func (n *node) orNone() *node {
	if n == nil {
		return empty
	}
	return n
}

func (n *node) isFile() bool { return n != nil && !n.folder }
