package watcher

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// reopenInterval is how long to wait before events are tried again after they could not be had.
const reopenInterval = 30 * time.Second

// loop owns all state of a watch. Only its run method touches it.
type loop struct {
	cfg     Config
	open    func() (notifier, error)
	publish func(Health)

	notifier  notifier // nil while events cannot be had
	feed      *feed
	feedDone  chan struct{} // closed when the notifier's feed has ended
	nextOpen  time.Time     // when to try again
	openErr   error
	watched   map[string]fileID // directories that the notifier watches, as they were when it began to
	watchedAs map[fileID]string // the same, the other way round
	addErr    error             // why a directory of the newest scan could not be watched
	snapshot  *snapshot
	pending   *Change
	due       time.Time // when pending is handed over, unless more comes
	nextScan  time.Time // when the next scan for a change of structure may begin
	scanOwed  bool      // such a scan is owed
	fullCheck time.Time
	health    Health
}

func newLoop(cfg Config, open func() (notifier, error), publish func(Health)) *loop {
	return &loop{
		cfg: cfg, open: open, publish: publish, feed: newFeed(),
		watched: map[string]fileID{}, watchedAs: map[fileID]string{}, snapshot: &snapshot{}, health: Health{State: StateStarting},
	}
}

// run is the loop: what happened merges into one pending change, which is offered once it has
// settled, through a channel that is nil until then.
func (l *loop) run(ctx context.Context, out chan<- Change) {
	now := time.Now()
	l.fullCheck = now.Add(l.cfg.FullCheckInterval)
	l.rescan(now)
	l.merge(now, 0, Change{Rescan: true, Polled: l.mode() == ModePoll, Reason: "the watch is set"})
	settle, poll := time.NewTimer(0), time.NewTimer(l.pollInterval())
	defer settle.Stop()
	defer poll.Stop()
	safe := l.eventsSuffice()
	for {
		if l.eventsSuffice() != safe {
			safe = l.eventsSuffice()
			poll.Reset(l.pollInterval())
		}
		var offer chan<- Change
		var change Change
		if l.pending != nil {
			if l.settled(time.Now()) {
				offer, change = out, l.pendingChange()
			} else {
				settle.Reset(max(time.Until(l.due), 0))
			}
		}
		l.publishHealth()
		select {
		case <-ctx.Done():
			return
		case offer <- change:
			l.pending = nil
		case <-l.feed.wake:
			l.handleEvents(time.Now())
		case <-settle.C:
		case <-poll.C:
			l.poll(time.Now())
			poll.Reset(l.pollInterval())
		}
	}
}

// close ends the events and says that nothing is watched any more.
func (l *loop) close() {
	l.closeNotifier()
	l.health.State = StateStopped
	l.publish(l.health)
}

func (l *loop) closeNotifier() {
	if l.notifier != nil {
		_ = l.notifier.Close() // what it could not free, the process's end frees
		<-l.feedDone
		l.notifier, l.watched, l.watchedAs = nil, map[string]fileID{}, map[fileID]string{}
	}
}

func (l *loop) mode() Mode {
	if l.notifier != nil && l.addErr == nil {
		return ModeNotify
	}
	return ModePoll
}

// safe reports whether events alone are expected to tell of every change.
func (l *loop) eventsSuffice() bool { return l.mode() == ModeNotify && l.snapshot.root != "" }

func (l *loop) pollInterval() time.Duration {
	interval := l.cfg.PollInterval
	if l.eventsSuffice() {
		interval = l.cfg.SafetyInterval
	}
	l.health.NextPoll = time.Now().Add(interval)
	return interval
}

func (l *loop) publishHealth() {
	h := &l.health
	h.Mode, h.State, h.Directories = l.mode(), StateWatching, len(l.snapshot.dirs)
	if l.snapshot.root == "" {
		h.State = StateMissing
	}
	var reasons []string
	if h.Mode == ModePoll && l.cfg.Mode != ModePoll {
		if err := errors.Join(l.openErr, l.addErr); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	if l.snapshot.root == "" {
		reasons = append(reasons, l.cfg.Root+" is not a directory now; it is waited for")
	}
	h.Reason = strings.Join(append(reasons, l.snapshot.unwatched...), "; ")
	l.publish(*h)
}

// mark merges a change into the pending one, which then waits for quiet.
func (l *loop) merge(now time.Time, quiet time.Duration, c Change) {
	if l.pending == nil {
		c.At = now
		l.pending, l.due = &c, now
	} else {
		p := l.pending
		p.Paths = append(p.Paths, c.Paths...)
		p.Rescan = p.Rescan || c.Rescan
		p.Polled = p.Polled && c.Polled
		if p.Reason == "" {
			p.Reason = c.Reason
		}
	}
	latest := l.pending.At.Add(l.cfg.MaxWait)
	if due := now.Add(quiet); due.After(l.due) {
		l.due = due
	}
	if l.due.After(latest) {
		l.due = latest
	}
}

// finished is the pending change in the form in which it is handed over.
func (l *loop) pendingChange() Change {
	p := l.pending
	slices.Sort(p.Paths)
	p.Paths = slices.Compact(p.Paths)
	return *p
}

// settled reports whether the pending change is complete; when it is not, due has moved.
func (l *loop) settled(now time.Time) bool {
	if now.Before(l.due) {
		return false
	}
	if l.scanOwed { // it is due now, however soon after the last
		l.nextScan = now
		l.rescanStructure(now)
		return !now.Before(l.due)
	}
	return !l.looksUnfinished(now)
}

// structure scans because directories or links changed; at once, unless scans would then take
// more than half of the time.
func (l *loop) rescanStructure(now time.Time) {
	const reason = "directories or links changed"
	if l.scanOwed = now.Before(l.nextScan); l.scanOwed {
		l.merge(now, l.nextScan.Sub(now), Change{Rescan: true, Reason: reason})
		return
	}
	l.merge(now, wholeFileQuiet, Change{Paths: l.rescan(now), Rescan: true, Reason: reason})
}

// looksUnfinished reports whether a file of the pending change is empty: that is how an in-place
// save begins. It is waited for, within the longest wait.
func (l *loop) looksUnfinished(now time.Time) bool {
	latest := l.pending.At.Add(l.cfg.MaxWait)
	if !now.Before(latest) || l.snapshot.root == "" {
		return false
	}
	for _, rel := range l.pending.Paths {
		if info, err := os.Stat(filepath.Join(l.snapshot.root, rel)); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			l.due = now.Add(l.cfg.Debounce)
			if l.due.After(latest) {
				l.due = latest
			}
			return true
		}
	}
	return false
}

// take handles what the kernel told.
func (l *loop) handleEvents(now time.Time) {
	events, errs, lost := l.feed.drain()
	if lost > 0 {
		l.health.Dropped += lost
		reason := "events were lost: " + errors.Join(errs...).Error()
		paths := l.rescan(now)
		l.merge(now, wholeFileQuiet, Change{Paths: paths, Rescan: true, Reason: reason})
	}
	structural := false
	for name, op := range events {
		structural = l.handleEvent(now, name, op) || structural
	}
	if structural {
		l.rescanStructure(now)
	}
}

// event handles one event and reports whether it may have changed what is to be watched.
func (l *loop) handleEvent(now time.Time, name string, op fsnotify.Op) (structural bool) {
	dir, base := filepath.Split(filepath.Clean(name))
	dir = filepath.Clean(dir)
	if _, ok := l.watched[name]; ok && op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0 {
		l.unwatch(name) // the next scan watches what is here now; the inode's number may be the old one's
	}
	if l.snapshot.anchors[dir][base] && op&^fsnotify.Chmod&^fsnotify.Write != 0 {
		l.health.Events++
		return true
	}
	if _, isDir := l.snapshot.dirs[name]; isDir {
		if op&^fsnotify.Write == 0 {
			return false
		}
		l.health.Events++
		l.merge(now, l.cfg.Debounce, Change{}) // the other half of a move may be on its way
		return true
	}
	relDir, inTree := l.snapshot.dirs[dir]
	if !inTree || strings.HasPrefix(base, ".") {
		return l.handleLinkTarget(now, dir, base)
	}
	rel := path.Join(relDir, base)
	info, err := os.Lstat(name)
	if err == nil && (info.IsDir() || info.Mode()&os.ModeSymlink != 0) {
		l.health.Events++
		return true
	}
	if !l.cfg.Relevant(rel) {
		if err != nil && op.Has(fsnotify.Create) && !op.Has(fsnotify.Write) {
			// It came and went before anybody looked, and nothing was written to it: a link or a directory,
			// for all that is known, and what reads the tree may have met it.
			l.health.Events++
			l.merge(now, l.cfg.Debounce, Change{Paths: []string{rel}})
		}
		return l.handleLinkTarget(now, dir, base)
	}
	l.health.Events++
	l.merge(now, l.quietPeriod(op, info), Change{Paths: []string{rel}})
	l.recordStamp(name, rel)
	return false
}

// quiet is how long a file must be left alone before its change counts as complete. One that
// appeared whole, as a rename does, is complete when seen; all else is only over when it is quiet.
func (l *loop) quietPeriod(op fsnotify.Op, info os.FileInfo) time.Duration {
	if op == fsnotify.Create && info != nil && info.Size() > 0 {
		return min(wholeFileQuiet, l.cfg.Debounce)
	}
	return l.cfg.Debounce
}

// fileBehindLink handles a write to a file that a link in the tree leads to.
func (l *loop) handleLinkTarget(now time.Time, dir, base string) bool {
	if l.snapshot.anchors[dir][base] {
		l.health.Events++
		l.merge(now, l.cfg.Debounce, Change{Rescan: true, Reason: "a file behind a link changed"})
		return true
	}
	return false
}

// remember keeps the next scan from reporting again what an event has told.
func (l *loop) recordStamp(name, rel string) {
	if info, err := os.Stat(name); err == nil {
		l.snapshot.files[rel] = stampOf(info)
	} else {
		delete(l.snapshot.files, rel)
	}
}

// poll is the slow scan that runs whatever the events say.
func (l *loop) poll(now time.Time) {
	if paths := l.rescan(now); len(paths) > 0 {
		l.merge(now, l.cfg.Debounce, Change{Paths: paths, Polled: true})
	}
	if l.cfg.FullCheckInterval > 0 && !now.Before(l.fullCheck) {
		l.fullCheck = now.Add(l.cfg.FullCheckInterval)
		l.merge(now, 0, Change{Rescan: true, Polled: true, Reason: "full check"})
	}
}
