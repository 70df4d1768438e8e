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
	"syscall"
)

// stamp holds what a stat says about a file. Equal stamps are assumed to mean equal content.
type stamp struct {
	size int64
	time int64 // nanoseconds
	mode fs.FileMode
	id   fileID
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{info.Size(), info.ModTime().UnixNano(), info.Mode(), idOf(info)}
}

// snapshot is the result of one scan.
type snapshot struct {
	root      string            // real path of the root; empty when it is missing
	files     map[string]stamp  // relevant files by slash path relative to the root
	dirs      map[string]string // directories of the tree: real path → slash path relative to the root
	anchors   anchors           // entries through which the root's path and the links in the tree resolve
	unwatched []string          // directories that are not watched, and why
	starved   error             // why the scan is incomplete: no descriptor was left to list a directory
}

// changedSince returns the files that were added, removed or changed, sorted.
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

// scanner takes a snapshot. It calls watch for each directory before it reads it, so that no change
// goes unseen between the two.
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

// follow resolves path, watches the directories on the way, and repeats that until it finds no new
// directory. So a change of any of them is either seen here or causes an event. classify reports
// whether a directory belongs to the tree, and whether to watch it at all.
func (s *scanner) follow(
	path string, classify func(dir string) (inTree, wanted bool),
) (target string, passed anchors, err error) {
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
			return // another name for a directory that is watched already, or a link back
		}
		s.visited[id] = true
	}
	if depth > s.cfg.MaxDepth || len(s.snap.dirs) >= s.cfg.MaxDirectories {
		s.unwatched("%s and its subdirectories are not watched: the limit is %d directories, %d deep",
			rel, s.cfg.MaxDirectories, s.cfg.MaxDepth)
		return
	}
	s.snap.dirs[realPath] = rel
	s.watch(realPath, true)
	entries, err := os.ReadDir(realPath)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		s.snap.starved = fmt.Errorf("no file descriptor is left to list %s: %w", path.Join(".", rel), rootCause(err))
	default:
		s.unwatched("cannot list %s: %s", path.Join(".", rel), rootCause(err))
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			s.scanEntry(filepath.Join(realPath, entry.Name()), path.Join(rel, entry.Name()), entry, depth)
		}
	}
}

func (s *scanner) scanEntry(realPath, rel string, entry fs.DirEntry, depth int) {
	isLink := entry.Type()&fs.ModeSymlink != 0
	if s.cfg.Flat && entry.IsDir() {
		return
	}
	if !entry.IsDir() && !isLink && !s.cfg.Relevant(rel) {
		return
	}
	if isLink {
		s.scanLink(realPath, rel, depth)
		return
	}
	info, err := entry.Info()
	switch {
	case err != nil: // removed since; an event or the next scan reports it
	case info.IsDir():
		s.scanDir(realPath, rel, info, depth+1)
	default:
		s.snap.files[rel] = stampOf(info)
	}
}

// scanLink follows a symbolic link of the tree and adds the entries on its way to the anchors.
func (s *scanner) scanLink(realPath, rel string, depth int) {
	inside := func(path string) bool {
		return path == s.snap.root || strings.HasPrefix(path, s.snap.root+string(filepath.Separator))
	}
	// Directories outside the root are not watched. A linked file there is still compared by each scan.
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
	case isDir && s.cfg.Flat:
	case isDir && inside(target):
		s.scanDir(target, rel, info, depth+1)
	case err != nil:
		s.snap.files[rel] = stamp{} // dangling; when its target appears, the stamp differs
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
