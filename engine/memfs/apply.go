package memfs

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// check refuses paths that no file of a directory has.
func check(p string) error {
	if p == "" || p[0] == '/' || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../") {
		return fmt.Errorf("%q is no path of a file in a directory", p)
	}
	return nil
}

// comparePaths sorts a folder's files behind its own name, and before all other names.
func comparePaths(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	switch {
	case n == len(a) || n == len(b):
		return len(a) - len(b)
	case a[n] == '/':
		return -1
	case b[n] == '/':
		return 1
	default:
		return int(a[n]) - int(b[n])
	}
}

// edit is what becomes of one file.
type edit struct {
	whole, rest string // its path, and what of it lies below the folder that is looked at
	content     []byte
	put         bool // else it is removed
}

// apply makes the next version of a folder; nil if it is empty. edits are sorted by [comparePaths].
func (n *node) apply(edits []edit) (*node, error) {
	var children []*node
	left, same := n.children, true // left is what is not copied to children yet
	for len(edits) > 0 {
		name, _, _ := strings.Cut(edits[0].rest, "/")
		of := 1
		for of < len(edits) && (edits[of].rest == name || strings.HasPrefix(edits[of].rest, name+"/")) {
			of++
		}
		at, found := slices.BinarySearchFunc(left, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
		var old *node
		if found {
			old = left[at]
		}
		next, err := old.next(name, edits[:of])
		if err != nil {
			return nil, err
		}
		edits = edits[of:]
		if next == old {
			continue
		}
		if same {
			children, same = make([]*node, 0, len(n.children)+1), false
		}
		children, left = append(children, left[:at]...), left[at:]
		if found {
			left = left[1:]
		}
		if next != nil {
			children = append(children, next)
		}
	}
	if same {
		return n, nil
	}
	if children = append(children, left...); len(children) == 0 {
		return nil, nil //nolint:nilnil // an empty folder is none
	}
	return &node{name: n.name, folder: true, children: children}, nil
}

// next is what becomes of a file or folder, nil for none, by the edits of it and of what is below it.
func (n *node) next(name string, edits []edit) (*node, error) {
	now := n
	var own *edit
	if edits[0].rest == name {
		own, edits = &edits[0], edits[1:]
	}
	if own != nil && !own.put && now != nil && !now.folder {
		now = nil
	}
	var below []edit
	for _, e := range edits {
		e.rest = e.rest[len(name)+1:]
		if now == nil || now.folder || e.put {
			below = append(below, e)
		}
	}
	if len(below) > 0 {
		folder := now
		switch {
		case now == nil:
			folder = &node{name: strings.Clone(name), folder: true}
		case !now.folder:
			return nil, clash(strings.TrimSuffix(below[0].whole, "/"+below[0].rest))
		}
		next, err := folder.apply(below)
		if err != nil {
			return nil, err
		}
		if now != nil || next != folder {
			now = next
		}
	}
	switch {
	case own == nil || !own.put:
		return now, nil
	case now != nil && now.folder:
		return nil, clash(own.whole)
	case now != nil && bytes.Equal(now.content, own.content):
		return now, nil
	default:
		return &node{name: strings.Clone(name), content: own.content}, nil
	}
}

func clash(p string) error { return fmt.Errorf("%s is a file and a folder at once", p) }
