// Package memfs holds a policy directory in memory: one that was saved, or handed over by another process.
package memfs

import (
	"bytes"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine/source"
)

// New makes a policy directory that holds the given files, by their slash paths. It accepts any name that a
// file of a directory has, even one that [fs.ValidPath] refuses because it is not UTF-8. The bytes are not
// copied and must not be changed.
func New(files iter.Seq2[string, []byte]) fs.FS {
	t := tree{".": {name: ".", folder: true}}
	for p, content := range files {
		t.add(p, &node{content: content})
	}
	for _, n := range t {
		slices.SortFunc(n.children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t
}

// tree holds every file and folder by its path.
type tree map[string]*node

// node is a file or a folder. It is immutable once the tree is made.
type node struct {
	name     string
	content  []byte
	folder   bool
	children []fs.DirEntry // by name
}

// Overlays are all files that are called like one: these files were served, and no others.
func (t tree) Overlays() []string {
	var names []string
	for _, root := range []string{".", "rego"} {
		if folder := t[root]; folder != nil {
			for _, file := range folder.children {
				names = append(names, file.Name())
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !source.IsOverlayName(name) })
}

func (t tree) add(p string, n *node) {
	n.name = path.Base(p)
	t[p] = n
	dir := path.Dir(p)
	if t[dir] == nil {
		t.add(dir, &node{folder: true})
	}
	t[dir].children = append(t[dir].children, n)
}

// Open opens a file or folder by its path.
func (t tree) Open(name string) (fs.File, error) {
	n := t[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if n.folder {
		return &openFolder{node: n}, nil
	}
	return &openFile{bytes.NewReader(n.content), n}, nil
}

func (n *node) Name() string               { return n.name }
func (n *node) IsDir() bool                { return n.folder }
func (n *node) Type() fs.FileMode          { return n.Mode().Type() }
func (n *node) Info() (fs.FileInfo, error) { return n, nil }
func (n *node) Size() int64                { return int64(len(n.content)) }
func (n *node) ModTime() time.Time         { return time.Time{} }
func (n *node) Sys() any                   { return nil }

func (n *node) Mode() fs.FileMode {
	if n.folder {
		return fs.ModeDir | 0o500
	}
	return 0o400
}

type openFile struct {
	*bytes.Reader
	node *node
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFile) Close() error               { return nil }

type openFolder struct {
	node  *node
	given int
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFolder) Close() error               { return nil }

func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.node.name, Err: fs.ErrInvalid}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := f.node.children[f.given:]
	if n <= 0 {
		n = len(rest)
	} else if len(rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(rest))
	f.given += n
	return append([]fs.DirEntry(nil), rest[:n]...), nil
}
