package watcher

import (
	"os"
	"time"
)

// rescan updates the watches and the snapshot, and returns the files that differ from the snapshot
// before. A scan that ran out of descriptors updates neither; the next poll scans again.
func (l *loop) rescan(now time.Time) []string {
	l.openEvents(now)
	l.addErr = nil
	l.dropStale()
	wanted := map[string]bool{}
	snap := scan(&l.cfg, func(dir string, inTree bool) {
		wanted[dir] = true
		l.watch(dir, inTree)
	})
	end := time.Now()
	l.nextScan = end.Add(end.Sub(now))
	if l.starved = snap.starved; l.starved != nil && l.snapshot.root != "" {
		return nil // what it could not list is not gone: the snapshot and the watches stay
	}
	for dir := range l.watched {
		if !wanted[dir] {
			l.unwatch(dir)
		}
	}
	changed := snap.changedSince(l.snapshot)
	if snap.root != l.snapshot.root && len(changed) == 0 && l.health.State != StateStarting {
		l.merge(now, l.cfg.Debounce, Change{Rescan: true, Reason: "the directory appeared, disappeared or was replaced"})
	}
	l.snapshot = snap
	l.health.LastScan = now
	return changed
}

func (l *loop) openEvents(now time.Time) {
	if l.notifier != nil || l.open == nil || now.Before(l.nextOpen) {
		return
	}
	n, err := l.open()
	if l.openErr = err; err != nil {
		l.nextOpen = now.Add(reopenInterval)
		return
	}
	l.notifier, l.feedDone = n, make(chan struct{})
	go func(f *feed, done chan<- struct{}) {
		defer close(done)
		f.run(n)
	}(l.feed, l.feedDone)
}

// dropStale removes the watches of directories that are no longer at their path. It runs before new
// watches are added: the kernel watches inodes, not paths, and when it reports that the old directory
// has moved, fsnotify would remove the watch of the new directory at the same path.
func (l *loop) dropStale() {
	for dir, id := range l.watched {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || idOf(info) != id {
			l.unwatch(dir)
		}
	}
}

func (l *loop) unwatch(dir string) {
	if id := l.watched[dir]; l.watchedAs[id] == dir {
		delete(l.watchedAs, id)
	}
	delete(l.watched, dir)
	_ = l.notifier.Remove(dir) // an error means that the kernel has already removed the watch
}

// watch adds a watch for dir. It does so even if dir is watched already: a directory that was removed
// and recreated between two scans has lost its watch without an event.
func (l *loop) watch(dir string, inTree bool) {
	if l.notifier == nil {
		return
	}
	info, gone := os.Lstat(dir) // before Add: if dir is replaced in between, the next scan sees another id
	if gone != nil {
		return
	}
	id := idOf(info)
	if before, ok := l.watched[dir]; ok && before != id {
		l.unwatch(dir)
	}
	if other, ok := l.watchedAs[id]; ok && other != dir {
		l.unwatch(other) // it moved here during this scan and keeps its watch under its old name
	}
	err := l.notifier.Add(dir)
	if err == nil {
		l.watched[dir] = id
		if id != (fileID{}) {
			l.watchedAs[id] = dir
		}
		return
	}
	l.unwatch(dir)
	if _, gone := os.Lstat(dir); gone != nil {
		return
	}
	// Without a watch on a parent of the root, a swap of that parent is found by the next scan instead.
	if inTree || isLimit(err) {
		l.addErr = limitError(err, dir)
	}
}
