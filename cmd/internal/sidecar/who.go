package sidecar

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"defenseclaw/engine"
)

// who finds out who caused a reload. The announcements of one report ask in turn, and the first one looks: the files may
// have other owners later.
type who struct {
	dir string // the policy directory; empty: the policy is embedded

	mu    sync.Mutex
	of    time.Time // when the report began that name is for
	name  string
	moved string // the last line of git's log that was seen
}

func newWho(dir string) *who { return &who{dir: dir, moved: lastLine(gitLog(dir))} }

// maxOwned bounds the files that are asked for their owners.
const maxOwned = 1000

// actor names who caused a reload: the caller who asked for it; else, since anybody may write a file and only the
// watch asks, the owners of the files, and who moved git's HEAD with them.
func (w *who) actor(r engine.Report) string {
	given := r.Trigger.Actor
	if w.dir == "" || r.Trigger.Source != nil || given != "" && r.Trigger.Kind != engine.TriggerSignal {
		return cmp.Or(given, string(r.Trigger.Kind))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.StartedAt.Equal(w.of) && w.name != "" {
		return w.name
	}
	w.of, w.name = r.StartedAt, w.find(r)
	return w.name
}

func (w *who) find(r engine.Report) string {
	files := filesOf(r)
	var found []string
	if r.Trigger.Actor != "" {
		found = append(found, r.Trigger.Actor)
	}
	if len(files) > 0 || len(found) == 0 {
		found = append(found, w.owners(files)...)
	}
	if author := w.author(time.Now()); author != "" && r.Result != engine.Unchanged {
		found = append(found, "git: "+author)
	}
	return strings.Join(found, ", ")
}

// filesOf lists the files that a reload was about.
func filesOf(r engine.Report) []string {
	if files := r.Changed(); len(files) > 0 {
		return files
	}
	files := slices.Clone(r.Trigger.Paths)
	if r.Refused != nil {
		for _, d := range r.Refused.Diagnostics {
			if d.File != "" {
				files = append(files, d.File)
			}
		}
	}
	return files
}

// owners are those of files, sorted. The owner of the folder stands for that of a file that is gone, and the owner of the
// directory for those of no file.
func (w *who) owners(files []string) []string {
	found := map[string]bool{}
	for _, file := range files[:min(len(files), maxOwned)] {
		if owner := w.owner(file); owner != "" {
			found[owner] = true
		}
	}
	if len(found) == 0 {
		found[cmp.Or(w.owner("."), "unknown")] = true
	}
	named := slices.Sorted(maps.Keys(found))
	for i := range named {
		named[i] = nameOwner(named[i])
	}
	return named
}

func (w *who) owner(file string) string {
	if !fs.ValidPath(file) {
		return ""
	}
	for {
		info, err := os.Stat(filepath.Join(w.dir, filepath.FromSlash(file)))
		if err == nil {
			return ownerOf(info)
		}
		if file == "." {
			return ""
		}
		file = path.Dir(file)
	}
}

// withEdit is how long before a reload HEAD moves at most, if it moved with the files.
const withEdit = 10 * time.Second

// author is who moved git's HEAD with the files, as git's log of it says: a commit, a checkout or a pull. It is "" if HEAD did
// not move.
func (w *who) author(now time.Time) string {
	line := lastLine(gitLog(w.dir))
	if line == "" || line == w.moved {
		return ""
	}
	w.moved = line
	by, at, ok := parseGitLog(line)
	if !ok || now.Sub(at).Abs() > withEdit {
		return ""
	}
	return by
}
