package memfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

var errNotFolder = errors.New("is not a folder")

// node is a file or a folder. It never changes once its tree is made, and is part of each later tree that has the same.
type node struct {
	name     string
	content  []byte
	folder   bool
	children []*node // by name
}

func (n *node) child(name string) *node {
	i, ok := slices.BinarySearchFunc(n.children, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
	if !ok {
		return nil
	}
	return n.children[i]
}

func (t *Tree) find(op, name string) (*node, error) {
	if t != nil && t.err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: t.err}
	}
	n := t.top()
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.child(part); n == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

// Open opens a file or folder by its path.
func (t *Tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	switch {
	case err != nil:
		return nil, err
	case n.folder:
		return &openFolder{node: n}, nil
	default:
		return &openFile{bytes.NewReader(n.content), n}, nil
	}
}

// Stat makes it an [fs.StatFS].
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ReadDir makes it an [fs.ReadDirFS].
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	switch {
	case err != nil:
		return nil, err
	case !n.folder:
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotFolder}
	default:
		return entries(n.children), nil
	}
}

func entries(nodes []*node) []fs.DirEntry {
	list := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		list[i] = n
	}
	return list
}

func (n *node) Name() string               { return n.name }
func (n *node) IsDir() bool                { return n.folder }
func (n *node) Type() fs.FileMode          { return n.Mode().Type() }
func (n *node) Info() (fs.FileInfo, error) { return n, nil }
func (n *node) Size() int64                { return int64(len(n.content)) }
func (n *node) ModTime() time.Time         { return time.Time{} }
func (n *node) Sys() any                   { return nil }
func (n *node) String() string             { return fs.FormatFileInfo(n) }

// Content makes it a source.Lasting.
func (n *node) Content() []byte { return n.content }

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
	return entries(rest[:n]), nil
}
