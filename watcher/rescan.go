package watcher

import (
	"os"
	"time"
)

// rescan brings the watches and what is known up to date, and returns the files that are not as
// they were known.
func (l *loop) rescan(now time.Time) []string {
	l.openEvents(now)
	l.addErr = nil
	l.dropStale()
	wanted := map[string]bool{}
	snap := scan(&l.cfg, func(dir string, inTree bool) {
		wanted[dir] = true
		l.watch(dir, inTree)
	})
	for dir := range l.watched {
		if !wanted[dir] {
			l.unwatch(dir)
		}
	}
	changed := snap.changedSince(l.snapshot)
	if snap.root != l.snapshot.root && len(changed) == 0 && l.health.State != StateStarting {
		l.merge(now, l.cfg.Debounce, Change{Rescan: true, Reason: "the directory came, went or was replaced"})
	}
	l.snapshot = snap
	l.health.LastScan = now
	end := time.Now()
	l.nextScan = end.Add(end.Sub(now))
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

// dropStale ends the watches of directories that are no longer where they were. It comes before
// new watches are set: the kernel watches directories, not paths, and when it tells that the one
// that was here has moved, fsnotify would end the watch of the one that is here now.
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
	_ = l.notifier.Remove(dir) // the kernel has often ended the watch before
}

// watch is asked again for directories that are watched: a directory that was removed and made
// again between two scans has lost its watch without a trace.
func (l *loop) watch(dir string, inTree bool) {
	if l.notifier == nil {
		return
	}
	info, gone := os.Lstat(dir) // before the watch: if it is replaced in between, the next scan sees another
	if gone != nil {
		return
	}
	id := idOf(info)
	if before, ok := l.watched[dir]; ok && before != id {
		l.unwatch(dir)
	}
	if other, ok := l.watchedAs[id]; ok && other != dir {
		l.unwatch(other) // it moved here while this scan ran, and takes its watch along under its old name
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
	// A parent of the root that cannot be watched costs speed in a rare case; the polls stay.
	if inTree || isLimit(err) {
		l.addErr = limitError(err, dir)
	}
}
