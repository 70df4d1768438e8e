package delta

import (
	"crypto/sha256"
	"iter"
	"slices"
	"strings"
)

// File is one of a [Set].
type File struct {
	Path    string // as [io/fs.ValidPath] has it
	Content []byte // not to be changed
	Sum     [sha256.Size]byte
}

// Set is a set of files by path. It never changes, and is safe for use by several goroutines. The zero value is empty.
type Set struct{ files []File }

// NewSet makes a set of files; their contents are not copied.
func NewSet(files iter.Seq2[string, []byte]) Set {
	var s Set
	for p, content := range files {
		s.files = append(s.files, File{p, content, sha256.Sum256(content)})
	}
	slices.SortFunc(s.files, byPath)
	return s
}

func byPath(a, b File) int { return strings.Compare(a.Path, b.Path) }

// Files are sorted by path. Not to be changed.
func (s Set) Files() []File { return s.files }

// Bytes is the size of all contents.
func (s Set) Bytes() (n int64) {
	for _, f := range s.files {
		n += int64(len(f.Content))
	}
	return n
}

// Find returns the file at a path.
func (s Set) Find(p string) (File, bool) {
	i, ok := slices.BinarySearchFunc(s.files, File{Path: p}, byPath)
	if !ok {
		return File{}, false
	}
	return s.files[i], true
}

// Change is how one set became another.
type Change struct {
	Removed []string // sorted
	Files   []File   // that were added or altered, by path
}

// Paths lists all that changed, sorted.
func (c Change) Paths() []string {
	paths := slices.Clone(c.Removed)
	for _, f := range c.Files {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	return paths
}

// Since is how from became s.
func (s Set) Since(from Set) Change {
	var c Change
	old, now := from.files, s.files
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Path < now[0].Path:
			c.Removed = append(c.Removed, old[0].Path)
			old = old[1:]
		case len(old) == 0 || now[0].Path < old[0].Path:
			c.Files = append(c.Files, now[0])
			now = now[1:]
		default:
			if old[0].Sum != now[0].Sum {
				c.Files = append(c.Files, now[0])
			}
			old, now = old[1:], now[1:]
		}
	}
	return c
}

// with is the set after a change.
func (s Set) with(c Change) Set {
	files := make([]File, 0, len(s.files)+len(c.Files))
	added := c.Files
	for _, f := range s.files {
		for len(added) > 0 && added[0].Path < f.Path {
			files, added = append(files, added[0]), added[1:]
		}
		if len(added) > 0 && added[0].Path == f.Path {
			continue
		}
		if _, gone := slices.BinarySearch(c.Removed, f.Path); !gone {
			files = append(files, f)
		}
	}
	return Set{append(files, added...)}
}
