package watcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is the limit on symbolic links in one path, the same as Linux has.
const maxLinks = 40

// entrySet holds the names of the entries of one directory on which a path depends.
type entrySet map[string]bool

// anchors holds, for each directory, the entries through which a path was resolved. If one of them
// is created, removed or replaced, the path may lead elsewhere.
type anchors map[string]entrySet

func (a anchors) add(dir, name string) {
	if a[dir] == nil {
		a[dir] = entrySet{}
	}
	a[dir][name] = true
}

// resolve follows an absolute path through its symbolic links and adds every entry on the way to
// passed. It returns the real path, or an error that names the entry at which it stopped.
func resolve(path string, passed anchors) (string, error) {
	at := string(filepath.Separator)
	if volume := filepath.VolumeName(path); volume != "" {
		at = volume + at
	}
	rest := split(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "." {
			continue
		}
		if name == ".." { // the parent of the directory the link led to, which cleaning the text would get wrong
			at = filepath.Dir(at)
			continue
		}
		passed.add(at, name)
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: more than %d symbolic links", path, maxLinks)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = filepath.VolumeName(target) + string(filepath.Separator)
			rest = append(split(target), rest...)
			continue
		}
		rest = append(split(target), rest...)
	}
	return at, nil
}

func split(path string) []string {
	path = strings.TrimPrefix(path, filepath.VolumeName(path))
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator || r == '/' })
}
