package source

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// racy is the age below which a stat proves nothing: two writes within one tick of a file system's clock
// leave the same times. FAT's clock ticks every two seconds, which is the longest.
// A younger stat costs a read that may not have been needed, and never a wrong answer. Git calls entries of
// its index racy for the same reason.
//
// racyFine is that age where the clock is this kernel's own and ticks at least every ten milliseconds. Without it, the first
// edit after a start that follows a deployment would read all files.
const racy, racyFine = 2 * time.Second, 100 * time.Millisecond

// Ticking is a source with files whose times are this kernel's own.
type Ticking interface {
	fs.FS
	// FineDevice is the number of the device that holds them; 0: there are none.
	FineDevice() uint64
}

func fineDevice(src fs.FS) uint64 {
	if t, ok := src.(Ticking); ok {
		return t.FineDevice()
	}
	return 0
}

// provenFrom is when a stat begins to prove that its file is unchanged. The change time counts too: a program may set the
// modification time back, as cp -p and tar do, but not the change time. fine is the source's device, if it has one. A file
// system that ticks in seconds all the same, as old ones of ext4 do, has no digits behind the point.
func provenFrom(info fs.FileInfo, fine uint64) time.Time {
	changed := changeTime(info)
	age := racy
	if fine != 0 && deviceOf(info) == fine && changed.Nanosecond() != 0 {
		age = racyFine
	}
	if m := info.ModTime(); m.After(changed) {
		changed = m
	}
	return changed.Add(age)
}

// Earlier says what a reading may take from an earlier one instead of opening files. The zero value takes
// nothing.
type Earlier struct {
	// Reading is taken from where stats are the same. nil: every file is opened, but for [Lasting] ones.
	Reading *Reading

	// Previous shares its bytes with files that are read again and turn out to be the same, and what is [Lasting] is
	// taken from it. It may be set without Reading, and may be nil.
	Previous *Reading

	// Changed are paths that are known to have changed, whatever their stats say.
	Changed map[string]bool

	// ChangedDirs are the directories to list again, in addition to those whose stats differ. It is for
	// callers that watch every directory: a write in a directory that is not named would have produced an
	// event. nil: every directory is listed.
	ChangedDirs map[string]bool

	// skipUnnamed also skips the stats of directories that ChangedDirs does not name. A second look has
	// to follow.
	skipUnnamed bool
}

// after is e for another try, when r has just been read. Changed is left out, since r was read after those
// changes; what has changed since shows in the stats, by the rule of invariant 2.
func (e Earlier) after(r *Reading) Earlier {
	return Earlier{Reading: r, Previous: e.Previous, ChangedDirs: e.ChangedDirs}
}

// listing is [walker.earlier] for what may change. See invariant 3.
func (e Earlier) listing(dir string, info fs.FileInfo) *listing {
	if e.Reading == nil || e.ChangedDirs == nil || e.ChangedDirs[dir] {
		return nil
	}
	l := e.Reading.dirs[dir]
	if l == nil || l.links || !sameStat(l.info, info) || !e.settled(info) {
		return nil
	}
	// A listing that is taken over takes its files over unseen, so each has to be old enough as well. The
	// directory's own stat says nothing of a write into a file.
	if !l.proven.Before(e.Reading.begun) {
		return nil
	}
	return l
}

// stat returns the stat of a directory: the earlier one where looks may be skipped.
func (e Earlier) stat(src fs.FS, dir string) (fs.FileInfo, error) {
	if e.skipUnnamed && !e.ChangedDirs[dir] {
		if l := e.Reading.dirs[dir]; l != nil {
			return l.info, nil
		}
	}
	return fs.Stat(src, dir)
}

// settled reports whether a stat was old enough, when it was looked at, to prove that its file is unchanged.
func (e Earlier) settled(info fs.FileInfo) bool {
	return provenFrom(info, e.Reading.fine).Before(e.Reading.begun)
}

// file returns the file at p as it was read before; nil means that it has to be read. See invariant 2.
func (e Earlier) file(p, rel string, k Kind, info fs.FileInfo) *File {
	r, lasting := e.readingOf(info), isLasting(info)
	if r == nil || e.Changed[p] && !lasting {
		return nil
	}
	l := r.dirs[path.Dir(p)]
	if l == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(l.files, p, func(f *File, p string) int { return strings.Compare(f.Path, p) })
	if !found {
		return nil
	}
	// rel differs if the policy moved between the directory and its rego folder. The same file then means
	// something else: rel says under which path its data lies, and it is part of the revision.
	old := l.files[i]
	switch {
	case old.Bytes == nil || old.kind != k || old.rel != rel:
		return nil
	case lasting && sameLasting(old.info, info), !lasting && sameStat(old.info, info) && e.settled(info):
		return old
	default:
		return nil
	}
}

// reuseBytes replaces the bytes of a file that was just read by those of Previous, if they are equal, and
// reports whether they are. Comparing costs less than hashing, and equal bytes are held once (invariant 7). It
// asks nothing of stats, so it serves a full check as well.
func (e Earlier) reuseBytes(file *File) bool {
	if e.Previous == nil {
		return false
	}
	old := e.Previous.Find(file.Path)
	if old == nil {
		old = find(e.Previous.tests, file.Path)
	}
	if old == nil || !bytes.Equal(old.Bytes, file.Bytes) {
		return false
	}
	file.Bytes, file.hash = old.Bytes, old.hash
	return true
}

// sameStat is false for files that are not the operating system's: they have no identity. See [Lasting] for those that have
// another one.
func sameStat(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a).Equal(changeTime(b))
}
