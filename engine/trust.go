package engine

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// racy is how young a change of a file may be for its stat to miss the next one: two writes within
// one tick of a file system's clock leave the same times. Two seconds are FAT's.
const racy = 2 * time.Second

// trusted is an earlier reading whose files need not be read again where their stats are the same.
// The zero value trusts nothing.
type trusted struct {
	files *files
	was   *files          // what was read before, trusted or not; may be nil
	not   map[string]bool // paths that are known to have changed, whatever their stats say

	// Directories that hold one of them are listed again, as are those whose stats differ. Others hold
	// the same names as before, and events would have told had one of their files been written to; so
	// they are not listed where it was events that told. nil: all are listed.
	notDirs map[string]bool

	// The other directories are not even looked at. What is read so has to be looked at once more.
	unseen bool
}

// trust says what of previous need not be read again for the trigger. Whoever asks for a reload, and
// a full check, has everything read: a stat can be made to lie.
func trust(trigger Trigger, previous *Generation) trusted {
	if previous == nil || trigger.Kind.explicit() || trigger.Recheck || trigger.Source != nil {
		return trusted{}
	}
	t := trusted{files: previous.files, not: make(map[string]bool, len(trigger.Paths))}
	if trigger.Kind == TriggerWatch {
		t.notDirs = make(map[string]bool, len(trigger.Paths))
	}
	for _, p := range trigger.Paths {
		t.not[p] = true
		if t.notDirs != nil {
			t.notDirs[path.Dir(p)] = true
		}
	}
	return t
}

// listing is what the directory, whose stat is info, was found to hold when it was listed before;
// nil when it has to be listed.
func (t trusted) listing(dir string, info fs.FileInfo) *listing {
	if t.notDirs == nil || t.notDirs[dir] {
		return nil
	}
	l := t.files.dirs[dir]
	if l == nil || l.links || !sameStat(l.info, info) || !t.settled(info) {
		return nil
	}
	if !l.newest.Before(t.old()) {
		return nil
	}
	return l
}

// stat is that of the directory dir, as it is or, where that has to do, as it was.
func (t trusted) stat(src fs.FS, dir string) (fs.FileInfo, error) {
	if t.unseen && !t.notDirs[dir] {
		if l := t.files.dirs[dir]; l != nil {
			return l.info, nil
		}
	}
	return fs.Stat(src, dir)
}

// old is the moment before which a change was old already when the earlier reading began.
func (t trusted) old() time.Time { return t.files.begun.Add(-racy) }

// settled reports whether what has that stat has not changed since then.
func (t trusted) settled(info fs.FileInfo) bool {
	return info.ModTime().Before(t.old()) && changeTime(info).Before(t.old())
}

// file is the file at p, whose stat is info, as it was read before; nil when it has to be read.
func (t trusted) file(p, rel string, k kind, info fs.FileInfo) *File {
	if t.files == nil || t.not[p] {
		return nil
	}
	l := t.files.dirs[path.Dir(p)]
	if l == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(l.files, p, func(f *File, p string) int { return strings.Compare(f.Path, p) })
	if !found {
		return nil
	}
	old := l.files[i]
	if old.Bytes == nil || old.kind != k || old.rel != rel || !sameStat(old.info, info) || !t.settled(info) {
		return nil
	}
	return old
}

// share gives a file that was read anew the bytes and the hash of what was read before, and reports
// whether its bytes are the same: to compare costs less than to hash, and what two generations have in
// common is kept once.
func (t trusted) share(file *File) bool {
	if t.was == nil {
		return false
	}
	old := t.was.find(file.Path)
	if old == nil || !bytes.Equal(old.Bytes, file.Bytes) {
		return false
	}
	file.Bytes, file.hash = old.Bytes, old.hash
	return true
}

// sameStat holds for files of the operating system only: others have no identity.
func sameStat(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a).Equal(changeTime(b))
}
