package watcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// stamp is what a stat tells of a file. Two equal stamps are taken for the same content.
type stamp struct {
	size int64
	time int64 // nanoseconds
	mode fs.FileMode
	id   fileID
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{info.Size(), info.ModTime().UnixNano(), info.Mode(), idOf(info)}
}

// snapshot is what one scan saw.
type snapshot struct {
	root      string            // the real path of the root; empty when it is missing
	files     map[string]stamp  // relevant files, by slash path relative to the root
	dirs      map[string]string // directories of the tree, real path → slash path relative to the root
	anchors   anchors           // where the root's path and the links in the tree can change their meaning
	unwatched []string          // what is not watched, and why
}

// changedSince lists the files that are not as they were, sorted.
func (s *snapshot) changedSince(before *snapshot) []string {
	var changed []string
	for rel, now := range s.files {
		if then, ok := before.files[rel]; !ok || then != now {
			changed = append(changed, rel)
		}
	}
	for rel := range before.files {
		if _, ok := s.files[rel]; !ok {
			changed = append(changed, rel)
		}
	}
	slices.Sort(changed)
	return changed
}

// scanner makes a snapshot. watch is called with each directory before it is read, so that nothing
// falls between watching and reading.
type scanner struct {
	cfg   *Config
	watch func(dir string, inTree bool)

	snap    *snapshot
	visited map[fileID]bool
}

func scan(cfg *Config, watch func(dir string, inTree bool)) *snapshot {
	s := &scanner{cfg: cfg, watch: watch, visited: map[fileID]bool{}, snap: &snapshot{
		files: map[string]stamp{}, dirs: map[string]string{}, anchors: anchors{},
	}}
	root, passed, err := s.follow(cfg.Root, func(string) (inTree, wanted bool) { return false, true })
	s.snap.anchors = passed
	if err != nil {
		return s.snap
	}
	info, err := os.Stat(root)
	if err != nil || !info.IsDir() {
		return s.snap
	}
	s.snap.root = root
	s.scanDir(root, "", info, 0)
	return s.snap
}

// follow resolves a path after it has watched the places that the path passes, so that a change of
// any of them either is seen here or causes an event.
func (s *scanner) follow(path string, classify func(dir string) (inTree, wanted bool)) (target string, passed anchors, err error) {
	watched := map[string]bool{}
	for {
		passed = anchors{}
		target, err = resolve(path, passed)
		foundNew := false
		for dir := range passed {
			inTree, wanted := classify(dir)
			if !wanted {
				delete(passed, dir)
				continue
			}
			if !watched[dir] {
				watched[dir], foundNew = true, true
				s.watch(dir, inTree)
			}
		}
		if !foundNew {
			return target, passed, err
		}
	}
}

func (s *scanner) unwatched(format string, args ...any) {
	const maxUnwatched = 5
	if len(s.snap.unwatched) < maxUnwatched {
		s.snap.unwatched = append(s.snap.unwatched, fmt.Sprintf(format, args...))
	}
}

func (s *scanner) scanDir(realPath, rel string, info fs.FileInfo, depth int) {
	if id := idOf(info); id != (fileID{}) {
		if s.visited[id] {
			return // another name of a directory that is watched already, or a link back
		}
		s.visited[id] = true
	}
	if depth > s.cfg.MaxDepth || len(s.snap.dirs) >= s.cfg.MaxDirectories {
		s.unwatched("%s and what is below it is not watched: the limit is %d directories, %d deep", rel, s.cfg.MaxDirectories, s.cfg.MaxDepth)
		return
	}
	s.snap.dirs[realPath] = rel
	s.watch(realPath, true)
	entries, err := os.ReadDir(realPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.unwatched("%s cannot be listed: %s", path.Join(".", rel), rootCause(err))
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			s.scanEntry(filepath.Join(realPath, entry.Name()), path.Join(rel, entry.Name()), entry, depth)
		}
	}
}

func (s *scanner) scanEntry(realPath, rel string, entry fs.DirEntry, depth int) {
	isLink := entry.Type()&fs.ModeSymlink != 0
	if !entry.IsDir() && !isLink && !s.cfg.Relevant(rel) {
		return
	}
	if isLink {
		s.scanLink(realPath, rel, depth)
		return
	}
	info, err := entry.Info()
	switch {
	case err != nil: // gone since; its event, or the next scan, tells
	case info.IsDir():
		s.scanDir(realPath, rel, info, depth+1)
	default:
		s.snap.files[rel] = stampOf(info)
	}
}

// link follows a symbolic link of the tree and notes where its meaning can change.
func (s *scanner) scanLink(realPath, rel string, depth int) {
	inside := func(path string) bool {
		return path == s.snap.root || strings.HasPrefix(path, s.snap.root+string(filepath.Separator))
	}
	// Above the root, links of the tree lead nowhere that its reader would follow.
	target, passed, err := s.follow(realPath, func(dir string) (inTree, wanted bool) { return true, inside(dir) })
	var info fs.FileInfo
	if err == nil {
		info, err = os.Lstat(target)
	}
	isDir := err == nil && info.IsDir()
	if !isDir && !s.cfg.Relevant(rel) {
		return
	}
	for dir, entries := range passed {
		for name := range entries {
			s.snap.anchors.add(dir, name)
		}
	}
	switch {
	case isDir && inside(target):
		s.scanDir(target, rel, info, depth+1)
	case err != nil:
		s.snap.files[rel] = stamp{} // dangling: it is a change when it no longer is
	case !isDir:
		s.snap.files[rel] = stampOf(info)
	}
}

func rootCause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
