package watcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symbolic links one path may pass, as in Linux.
const maxLinks = 40

// entrySet are the entries of one directory that a path depends on.
type entrySet map[string]bool

// anchors are the places where a path can come to mean something else: directory → entries.
type anchors map[string]entrySet

func (a anchors) add(dir, name string) {
	if a[dir] == nil {
		a[dir] = entrySet{}
	}
	a[dir][name] = true
}

// resolve follows an absolute path through its symbolic links and adds every place that it passes
// to the anchors. The result is the real path; the error says where the way ends.
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
		if name == ".." { // not cleaned as text before: it means the parent of where a link led
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
