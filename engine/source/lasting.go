package source

import (
	"io/fs"
	"slices"
)

// Lasting is the stat of a file or folder in memory that never changes. Where two stats of one path are the same value
// (==), a file has the same bytes, and a folder has the same files and folders at the same paths below it. So what an
// earlier reading holds of it is taken without being opened, whatever asked for the reading: this stat cannot be made to
// lie. What implements it has to be comparable, as a pointer is.
type Lasting interface {
	fs.FileInfo
	Content() []byte // of a file; not to be changed
}

// isLasting asks the stat and not the source: a tree in memory may stand within another source.
func isLasting(info fs.FileInfo) bool {
	_, ok := info.(Lasting)
	return ok
}

// sameLasting reports whether two stats are of one file or folder that never changes.
func sameLasting(a, b fs.FileInfo) bool { return isLasting(a) && isLasting(b) && a == b }

// readingOf is the reading from which a file or folder with this stat may be taken; nil: from none. What lasts may be taken
// even where the caller wants every file opened, since opening it could show nothing else.
func (e Earlier) readingOf(info fs.FileInfo) *Reading {
	if e.Previous != nil && isLasting(info) {
		return e.Previous
	}
	return e.Reading
}

// earlier returns what the directory with the stat info held when it was listed before, and whether all below it is as
// before too; nil means that it has to be listed again. A reading of other kinds or overlays, or of a policy in another
// folder, made other listings.
func (w *walker) earlier(dir string, info fs.FileInfo) (l *listing, lasts bool) {
	e := w.o.Earlier
	r := e.readingOf(info)
	// A directory that is reached through a link has another path in each reading that the link moves.
	if r == nil || w.inLink > 0 || r.root != w.root || !slices.Equal(r.kinds, w.kinds) || !slices.Equal(r.overlays, w.overlays) {
		return nil, false
	}
	// One pointer stands for all below it, so a tree costs what changed in it and not what it holds
	// (BenchmarkReloadSharedTree).
	if l := r.dirs[dir]; l != nil && !l.links && sameLasting(l.info, info) {
		return l, true
	}
	return e.listing(dir, info), false
}
